"""The store's contract, on every kind of database: slots, leases, records, dumps."""

import hashlib
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from support import claimer
from support.database_edits import execute, expire
from support.postgres import Postgres
from support.processes import LONG
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.errors import DigestError, InputError, LeaseLost, StorageError, UnknownSweepError
from sweeper.retry import COMMAND, RetryPolicy
from sweeper.store import Store, database, leases, registered_sweeps
from sweeper.store.clock import now
from sweeper.store.database import Database
from sweeper.store.storage_url import parse_storage_url
from sweeper.types import (
    CurvePoint,
    Evaluation,
    LayerCount,
    MethodConfig,
    Normalisation,
    PenaltyConfig,
    Provenance,
    PruneConfig,
    Scalar,
    SharedConfig,
    Slot,
    SplitConfig,
    TrialConfig,
    TrialOutcome,
    TrialResult,
)


def changed(sweep: Sweep, **changes: Any) -> Sweep:
    raw = sweep.model_dump(mode="json")
    raw["search"].update(changes.pop("search", {}))
    raw["arms"].update(changes.pop("arms", {}))
    return Sweep.model_validate({**raw, **changes})


def free(sweep: Sweep, trials: int, **changes: Any) -> Sweep:
    """The sweep with a sampler that does not learn, so that no slot waits for another."""
    return changed(sweep, search={"sampler": "random", "trials": trials, **changes})


def finish(store: Store, worker: str, sweep: Sweep, slot: Slot) -> None:
    claimer.record(store, worker, slot, sweep)
    store.mark_reported([slot])


def column(url: str, query: str) -> list[Any]:
    """Read one column."""
    direct = Database(parse_storage_url(url))
    found = direct.read(lambda connection: list(connection.scalars(text(query))))
    direct.close()
    return found


@pytest.fixture
def impatient(storage_url: str, store: Store) -> Iterator[Store]:
    """The same storage, with leases that end while the test waits."""
    opened = Store(storage_url, lease_seconds=1)
    yield opened
    opened.close()


# Sweeps


def test_registering_again_resumes_and_changes_nothing(store: Store, sweep: Sweep) -> None:
    assert store.register(sweep) == "new"
    before = store.status(sweep.name)
    assert store.register(sweep) == "resumed"
    assert replace(store.status(sweep.name), now=before.now) == before
    assert (before.budget, before.done, before.finished) == (12, 0, False)


def test_a_registered_sweep_comes_back_equal_with_its_arms_in_order(
    store: Store, sweep: Sweep
) -> None:
    store.register(sweep)
    assert store.sweep(sweep.name) == sweep
    assert list(store.sweep(sweep.name).arms) == ["none", "l1"]
    assert [arm.arm for arm in store.status(sweep.name).arms] == ["none", "l1"]


def test_sweeps_are_listed_oldest_first(store: Store, sweep: Sweep) -> None:
    for name in ("tiny", "b", "A", "c"):
        store.register(changed(sweep, name=name))
    assert store.names() == ("tiny", "b", "A", "c")


def test_another_file_under_the_same_name_is_refused_with_each_difference(
    store: Store, sweep: Sweep
) -> None:
    store.register(sweep)
    other = changed(sweep, seed=7, search={"trials": 8})
    for extend in (False, True):
        with pytest.raises(DigestError) as caught:
            store.register(other, extend=extend)
        lines = str(caught.value).splitlines()
        assert "'tiny' is registered from another study file" in lines[0]
        assert [line.strip() for line in lines[1:]] == [
            "seed: registered 0, now 7",
            "search.trials: registered 6, now 8",
        ]
    assert store.sweep(sweep.name) == sweep


def test_a_file_that_only_appends_is_refused_unless_extending_and_told_so(
    store: Store, sweep: Sweep
) -> None:
    store.register(sweep)
    with pytest.raises(DigestError, match="--extend to go on with it"):
        store.register(changed(sweep, search={"trials": 8}))


def test_extending_appends_slots_and_keeps_what_is_done(store: Store, sweep: Sweep) -> None:
    store.register(sweep)
    worker = store.join(sweep.name, device="cpu")
    for slot in store.claim(worker, 2):
        finish(store, worker, sweep, slot)
    bigger = changed(
        sweep,
        search={"trials": 8, "repeats": 2},
        arms={"l2": {"penalty": "l2", "strength": 0.1}},
    )
    assert store.register(bigger, extend=True) == "extended"
    status = store.status(sweep.name)
    assert [(arm.arm, arm.budget) for arm in status.arms] == [("none", 16), ("l1", 16), ("l2", 16)]
    assert (status.done, status.digest) == (2, bigger.digest)
    assert store.register(bigger) == "resumed"
    with pytest.raises(DigestError):
        store.register(sweep)


def test_an_arm_that_is_added_comes_last_wherever_the_file_has_it(
    store: Store, sweep: Sweep
) -> None:
    # Its place decides on its colour and marker, and no other arm may lose its own.
    store.register(sweep)
    values = changed(sweep, arms={"l2": {"penalty": "l2", "strength": 0.1}}).model_dump()
    values["arms"] = {name: values["arms"][name] for name in ("l2", "l1", "none")}
    longer = Sweep.model_validate(values)
    assert store.register(longer, extend=True) == "extended"
    assert [*store.sweep(sweep.name).arms] == ["none", "l1", "l2"]
    assert store.sweep(sweep.name).digest == longer.digest
    assert store.register(longer) == "resumed"


def test_other_targets_change_nothing_but_where_fronts_are_read_off(
    store: Store, sweep: Sweep
) -> None:
    store.register(sweep)
    worker = store.join(sweep.name, device="cpu")
    for slot in store.claim(worker, 2):
        finish(store, worker, sweep, slot)
    before = store.status(sweep.name)
    other = changed(sweep, targets={"accuracy": [0.5], "nonzero": [7]})
    with pytest.raises(
        DigestError, match=r"--extend(.|\n)*targets.accuracy: (.|\n)*targets.nonzero"
    ):
        store.register(other)
    assert store.register(other, extend=True) == "extended"
    after = store.status(sweep.name)
    assert (after.arms, after.done, after.budget) == (before.arms, 2, before.budget)
    assert store.sweep(sweep.name) == other


def test_a_sweep_of_an_older_program_resumes_when_its_missing_keys_have_defaults(
    store: Store, storage_url: str, sweep: Sweep
) -> None:
    store.register(sweep)
    spec = sweep.model_dump(mode="json")
    del spec["reference"]
    statement = "UPDATE sweeper_sweep SET spec = :spec, digest = 'old'"
    execute(storage_url, statement, spec=json.dumps(spec))
    assert store.register(sweep) == "resumed"
    execute(storage_url, statement, spec=json.dumps({**spec, "dataset": "gone"}))
    with pytest.raises(StorageError, match="'tiny' was registered by another version"):
        store.status(sweep.name)


def test_an_unknown_sweep_is_answered_with_the_nearest_name(store: Store, sweep: Sweep) -> None:
    with pytest.raises(UnknownSweepError, match="there are none yet"):
        store.status("tiny")
    store.register(sweep)
    uses: list[Callable[[str], object]] = [
        store.sweep,
        store.status,
        store.state,
        store.finished,
        store.stop,
        store.delete,
        store.reap,
        store.unreported,
        store.records,
        store.strength_ranges,
        lambda name: store.join(name, device="cpu"),
        lambda name: store.try_throttle(name, "publish", 1),
    ]
    for use in uses:
        with pytest.raises(UnknownSweepError, match="did you mean 'tiny'"):
            use("tinny")


def test_a_stopped_sweep_gives_out_nothing_until_it_is_registered_again(
    store: Store, sweep: Sweep
) -> None:
    store.register(sweep)
    worker = store.join(sweep.name, device="cpu")
    store.stop(sweep.name)
    assert store.state(sweep.name) == store.status(sweep.name).state == "stopped"
    assert store.claim(worker, 4) == ()
    store.register(sweep)
    assert store.state(sweep.name) == "open"
    assert len(store.claim(worker, 4)) == 4


def test_deleting_takes_one_sweep_with_all_its_rows_and_no_other(
    store: Store, storage_url: str, sweep: Sweep
) -> None:
    other = changed(sweep, name="other")
    for each in (sweep, other):
        store.register(each)
        worker = store.join(each.name, device="cpu")
        claimer.record(store, worker, store.claim(worker, 1)[0], each)
        store.try_throttle(each.name, "publish", 1)
    store.delete(sweep.name)
    assert store.names() == ("other",)
    assert len(store.records("other")) == 1
    for table in ("slot", "worker", "fact", "provenance", "turn"):
        query = f"SELECT DISTINCT sweep FROM sweeper_{table}"
        assert column(storage_url, query) == ["other"], table
    assert store.register(sweep) == "new"
    assert store.records(sweep.name) == ()


def test_a_worker_of_a_deleted_sweep_has_lost_its_lease(store: Store, sweep: Sweep) -> None:
    store.register(sweep)
    worker = store.join(sweep.name, device="cpu")
    (slot,) = store.claim(worker, 1)
    store.delete(sweep.name)
    uses: list[Callable[[], object]] = [
        lambda: store.renew(worker),
        lambda: store.claim(worker, 1),
        lambda: store.link(worker, {slot: 0}),
        lambda: claimer.record(store, worker, slot, sweep),
    ]
    for use in uses:
        with pytest.raises(LeaseLost):
            use()
    store.release(worker, [slot])
    store.mark_reported([slot])
    store.leave(worker)


# Claims


def test_slots_are_claimed_by_repeat_then_number_then_arm(store: Store, sweep: Sweep) -> None:
    store.register(free(sweep, 2, repeats=2))
    worker = store.join(sweep.name, device="cpu")
    slots = [*store.claim(worker, 3), *store.claim(worker, 99)]
    assert [(slot.repeat, slot.number, slot.arm) for slot in slots] == [
        (repeat, number, arm) for repeat in (0, 1) for number in (0, 1) for arm in ("l1", "none")
    ]
    assert slots[0].study == sweep.study("l1", 0)
    assert store.claim(worker, 1) == ()


def test_a_generation_is_claimed_arm_by_arm_so_that_its_first_arms_are_told_when_it_ends(
    store: Store, sweep: Sweep
) -> None:
    store.register(sweep)  # three in flight, two arms
    worker, other = (store.join(sweep.name, device="cpu") for _ in range(2))
    first = store.claim(worker, 3)
    assert [(slot.arm, slot.number) for slot in first] == [("l1", 0), ("l1", 1), ("l1", 2)]
    rest = [*store.claim(other, 3), *store.claim(other, 3)]
    assert [(slot.arm, slot.number) for slot in rest] == [("none", 0), ("none", 1), ("none", 2)]
    for slot in first:
        finish(store, worker, sweep, slot)
    # While the last arm of the generation is trained, the first one goes on.
    assert {(slot.arm, slot.number) for slot in store.claim(worker, 3)} == {("l1", 3), ("l1", 4)}


def test_a_generation_waits_until_the_one_before_it_is_told(store: Store, sweep: Sweep) -> None:
    store.register(sweep)  # three in flight
    worker = store.join(sweep.name, device="cpu")
    first = store.claim(worker, 99)
    assert Counter((slot.arm, slot.number // 3) for slot in first) == {("none", 0): 3, ("l1", 0): 3}
    mine = [slot for slot in first if slot.arm == "l1"]
    for slot in mine[:2]:
        finish(store, worker, sweep, slot)
    claimer.record(store, worker, mine[2], sweep)
    assert store.claim(worker, 99) == ()  # recorded is not told
    store.mark_reported([mine[2]])
    assert [(slot.arm, slot.number) for slot in store.claim(worker, 99)] == [
        ("l1", 3),
        ("l1", 4),
        ("l1", 5),
    ]  # the other arm still waits


def test_slots_of_a_sampler_that_does_not_learn_wait_for_nothing(
    store: Store, sweep: Sweep
) -> None:
    store.register(free(sweep, 20))
    worker = store.join(sweep.name, device="cpu")
    assert len(store.claim(worker, 99)) == 40


def test_a_claim_leaves_the_other_workers_their_share(
    store: Store, storage_url: str, sweep: Sweep
) -> None:
    store.register(free(sweep, 5))
    expire(storage_url, store.join(sweep.name, device="cpu"))
    workers = [store.join(sweep.name, device="cpu") for _ in range(3)]
    claimed = [len(store.claim(worker, 99)) for worker in workers]
    assert claimed == [4, 2, 2]  # of ten: a third rounded up, and so on


def test_nothing_is_claimed_ahead_while_another_worker_has_nothing_to_do(
    store: Store, storage_url: str, sweep: Sweep
) -> None:
    store.register(free(sweep, 5))
    gone, busy, idle = (store.join(sweep.name, device="cpu") for _ in range(3))
    expire(storage_url, gone)
    first = store.claim(busy, 4)
    assert len(first) == 4
    assert store.claim(busy, 99, ahead=True) == ()
    assert len(store.claim(idle, 2)) == 2
    assert len(store.claim(busy, 99, ahead=True)) == 2  # of four, half
    # A worker that has recorded everything, and has not claimed again, has nothing to do either.
    for slot in first:
        claimer.record(store, busy, slot, sweep)
    assert store.claim(idle, 99, ahead=True) != ()
    store.leave(busy)
    assert store.claim(idle, 99, ahead=True) != ()


def test_a_worker_that_probes_has_something_to_do(store: Store, sweep: Sweep) -> None:
    arms = {"auto": {"penalty": "l1", "strength": "auto"}}
    store.register(free(changed(sweep, arms=arms), 5))
    mine, other = (store.join(sweep.name, device="cpu") for _ in range(2))
    assert store.claim(mine, 99, ahead=True) == ()
    assert store.claim_probe(other)
    assert store.claim(mine, 99, ahead=True) != ()


def test_a_pack_is_linked_and_recorded_as_a_whole_or_not_at_all(store: Store, sweep: Sweep) -> None:
    store.register(free(sweep, 5))
    worker = store.join(sweep.name, device="cpu")
    slots = store.claim(worker, 4)
    config = sweep.config("l1", 0, 0, {"strength": 0.01})
    outcomes = [
        TrialOutcome(slot, slot.number, {}, config, claimer.RESULT, claimer.PROVENANCE)
        for slot in slots
    ]
    store.release(worker, slots[2:3])
    uses: list[Callable[[], object]] = [
        lambda: store.link(worker, dict.fromkeys(slots, 7)),
        lambda: store.record(worker, outcomes),
    ]
    for use in uses:
        with pytest.raises(LeaseLost, match="slot 1 of tiny/l1/0 is not held by worker"):
            use()
    assert store.trials_in_use(sweep.name, "l1", [0]) is None
    assert store.records(sweep.name) == ()
    held = [one for one in outcomes if one.slot != slots[2]]
    store.link(worker, {one.slot: one.trial for one in held})
    store.record(worker, held[:2])
    store.record(worker, held)  # what was recorded before is passed over
    assert len(store.records(sweep.name)) == 3
    assert store.trials_taken(
        outcomes[0].slot.sweep, [(one.slot.study, one.trial) for one in outcomes]
    ) == {(one.slot.study, one.trial) for one in held}
    store.mark_reported([one.slot for one in held])
    store.leave(worker)
    assert store.unreported(sweep.name) == ()


def test_a_pack_of_a_thousand_fits_one_transaction(store: Store, sweep: Sweep) -> None:
    store.register(free(sweep, 500))
    worker = store.join(sweep.name, device="cpu")
    slots = store.claim(worker, 1000)
    store.link(worker, {slot: slot.number for slot in slots})
    config = sweep.config("l1", 0, 0, {"strength": 0.01})
    store.record(
        worker,
        [
            TrialOutcome(slot, slot.number, {}, config, claimer.RESULT, claimer.PROVENANCE)
            for slot in slots
        ],
    )
    assert (
        len(store.trials_taken(slots[0].sweep, [(slot.study, slot.number) for slot in slots]))
        == 1000
    )
    store.mark_reported(slots)
    assert store.finished(sweep.name)
    store.leave(worker)
    assert store.unreported(sweep.name) == ()


def test_given_back_slots_are_open_again_and_counted_as_lost(store: Store, sweep: Sweep) -> None:
    store.register(free(sweep, 4))
    worker = store.join(sweep.name, device="cpu")
    slots = store.claim(worker, 4)
    store.link(worker, {slots[0]: 0})
    store.release(worker, slots[:1])
    store.release(worker, slots[:1])
    assert store.trials_in_use(sweep.name, slots[0].arm, [0]) is None  # a claimed slot is unlinked
    assert sum(store.status(sweep.name).failures.values()) == 1
    store.leave(worker)
    store.leave(worker)
    status = store.status(sweep.name)
    assert sum(status.failures.values()) == 4
    assert sum(arm.claimed for arm in status.arms) == 0
    other = store.join(sweep.name, device="cpu")
    assert len(store.claim(other, 99)) == 8
    store.release(worker, slots)  # they are another's now
    assert sum(arm.claimed for arm in store.status(sweep.name).arms) == 8


def test_trials_in_use_are_those_of_slots_that_are_not_open(store: Store, sweep: Sweep) -> None:
    store.register(sweep)
    worker = store.join(sweep.name, device="cpu")
    slots = [slot for slot in store.claim(worker, 99) if slot.arm == "l1"]
    assert store.trials_in_use(sweep.name, "l1", [0]) is None
    for number, slot in enumerate(slots):
        store.link(worker, {slot: 10 + number})
    assert store.trials_in_use(sweep.name, "l1", [0]) == frozenset({10, 11, 12})
    store.release(worker, slots[:1])
    assert store.trials_in_use(sweep.name, "l1", [0]) == frozenset({11, 12})
    assert store.trials_in_use(sweep.name, "l1", [1]) == frozenset()


@pytest.mark.parametrize(
    ("fixture", "processes"), [("sqlite_url", 8), ("postgres_url", 16), ("mariadb_url", 16)]
)
def test_many_processes_record_the_budget_exactly(
    fixture: str, processes: int, request: pytest.FixtureRequest, sweep: Sweep
) -> None:
    storage_url = str(request.getfixturevalue(fixture))
    store = Store(storage_url)
    store.upgrade()
    store.register(changed(sweep, search={"trials": 30, "in_flight": 8}))
    recorded = [
        slot
        for one in claimer.together("work", processes, storage_url, "tiny", "3")
        for slot in one
    ]
    # Oracle: the set of all slots, each exactly once.
    expected = [[arm, 0, number] for arm in ("l1", "none") for number in range(30)]
    assert sorted(recorded) == expected
    assert [list(fact.slot.place) for fact in store.records("tiny")] == [
        *expected[30:],
        *expected[:30],
    ]
    status = store.status("tiny")
    assert status.finished
    assert store.finished("tiny")
    assert sum(status.failures.values()) == 0
    assert not any(worker.alive for worker in status.workers)
    assert sum(worker.done for worker in status.workers) == 60
    store.close()


# Leases


def test_the_databases_clock_counts_seconds_since_1970(storage_url: str) -> None:
    claimer.upgrade(storage_url)
    direct = Database(parse_storage_url(storage_url))
    assert direct.read(lambda c: c.scalar(now().select())) == pytest.approx(time.time(), abs=2)
    direct.close()


def test_a_renewed_lease_holds(impatient: Store, sweep: Sweep) -> None:
    impatient.register(sweep)
    worker = impatient.join(sweep.name, device="cpu")
    for _ in range(4):
        time.sleep(0.35)
        impatient.renew(worker, progress=0.5)
    assert [one.progress for one in impatient.status(sweep.name).workers] == [0.5]
    assert len(impatient.claim(worker, 2)) == 2
    assert impatient.reap(sweep.name) == 0


def test_whose_lease_is_over_goes_on_until_somebody_ends_it(impatient: Store, sweep: Sweep) -> None:
    impatient.register(sweep)
    worker = impatient.join(sweep.name, device="cpu")
    first, slot = impatient.claim(worker, 2)
    time.sleep(1.05)
    assert not impatient.status(sweep.name).workers[0].alive
    claimer.record(impatient, worker, first, sweep)
    impatient.renew(worker)
    assert impatient.status(sweep.name).workers[0].alive
    assert impatient.reap(sweep.name) == 0
    time.sleep(1.05)
    assert impatient.reap(sweep.name) == 1
    assert impatient.status(sweep.name).failures == {"lease over": 1}
    uses: list[Callable[[], object]] = [
        lambda: impatient.renew(worker),
        lambda: impatient.claim(worker, 1),
        lambda: impatient.link(worker, {slot: 0}),
        lambda: claimer.record(impatient, worker, slot, sweep),
    ]
    for use in uses:
        with pytest.raises(LeaseLost):
            use()
    assert len(impatient.records(sweep.name)) == 1


def test_a_slow_worker_whose_slots_were_given_away_records_nothing_twice(
    store: Store, storage_url: str, sweep: Sweep
) -> None:
    store.register(sweep)
    slow = store.join(sweep.name, device="cpu")
    slots = store.claim(slow, 3)
    store.link(slow, {slots[0]: 5})
    expire(storage_url, slow)
    assert store.reap(sweep.name) == 3
    assert store.reap(sweep.name) == 0
    quick = store.join(sweep.name, device="cpu")
    again = store.claim(quick, 3)
    assert again == slots
    finish(store, quick, sweep, again[0])
    for slot in slots:
        with pytest.raises(LeaseLost):
            claimer.record(store, slow, slot, sweep)
    store.release(slow, slots)
    store.leave(slow)
    (fact,) = store.records(sweep.name)
    assert (fact.slot.arm, fact.slot.number) == (slots[0].arm, slots[0].number)
    assert sum(arm.claimed for arm in store.status(sweep.name).arms) == 2


def test_a_worker_cannot_link_or_record_a_slot_that_it_gave_back(
    store: Store, sweep: Sweep
) -> None:
    store.register(sweep)
    mine, other = (store.join(sweep.name, device="cpu") for _ in range(2))
    (slot,) = store.claim(mine, 1)
    store.release(mine, [slot])
    config = sweep.config(slot.arm, 0, 0, {"strength": 0.01})

    def record() -> None:
        outcome = TrialOutcome(slot, 0, {}, config, claimer.RESULT, claimer.PROVENANCE)
        store.record(mine, [outcome])

    for _ in range(2):  # first it is open, then it is another's
        with pytest.raises(LeaseLost, match="not held by worker"):
            store.link(mine, {slot: 0})
        with pytest.raises(LeaseLost, match="not held by worker"):
            record()
        store.claim(other, 1)
    assert store.records(sweep.name) == ()


def test_a_lease_that_is_ended_while_its_transaction_waits_is_lost(
    store: Store, impatient: Store, storage_url: str, sweep: Sweep
) -> None:
    store.register(sweep)
    worker = impatient.join(sweep.name, device="cpu")
    (slot,) = impatient.claim(worker, 1)
    impatient.link(worker, {slot: 0})
    ended = f"UPDATE sweeper_worker SET lease_until = 0 WHERE id = '{worker}'"
    config = sweep.config(slot.arm, 0, slot.number, dict.fromkeys(sweep.domains(slot.arm), 0.01))
    outcome = TrialOutcome(slot, 0, {}, config, claimer.RESULT, claimer.PROVENANCE)
    with locked(storage_url, sweep.name, seconds=0.5, then=ended), pytest.raises(LeaseLost):
        impatient.record(worker, [outcome])
    assert store.records(sweep.name) == ()


def test_a_killed_process_of_this_machine_is_known_to_be_dead_at_once(
    store: Store, storage_url: str, sweep: Sweep
) -> None:
    store.register(sweep)
    alive = store.join(sweep.name, device="cpu")
    store.claim(alive, 1)
    command = claimer.command("hold", 1, storage_url, sweep.name, "3")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = process.stdout.readline().strip()
        assert store.reap(sweep.name) == 0
        process.kill()
        deadline = time.monotonic() + LONG
        while leases.process_start(process.pid) is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        # It is still in the table of processes: nobody has waited for it.
        assert process.returncode is None
        assert store.reap(sweep.name) == 3
    states = {one.id: one.alive for one in store.status(sweep.name).workers}
    assert states == {alive: True, worker: False}
    with pytest.raises(LeaseLost):
        store.renew(worker)


def test_another_process_with_the_same_id_does_not_keep_a_worker_alive(
    store: Store, storage_url: str, sweep: Sweep
) -> None:
    store.register(sweep)
    worker = store.join(sweep.name, device="cpu")
    store.claim(worker, 2)
    execute(storage_url, "UPDATE sweeper_worker SET process_start = '1'")
    assert store.reap(sweep.name) == 2


def test_a_worker_of_another_machine_is_judged_by_its_lease_alone(
    store: Store, storage_url: str, sweep: Sweep
) -> None:
    store.register(sweep)
    store.claim(store.join(sweep.name, device="cpu"), 2)
    execute(storage_url, "UPDATE sweeper_worker SET machine = 'another', process_start = '1'")
    assert store.reap(sweep.name) == 0


def test_a_reaped_worker_does_not_come_to_life_when_the_clock_is_set_back(
    store: Store, storage_url: str, sweep: Sweep
) -> None:
    store.register(sweep)
    store.join(sweep.name, device="cpu")
    execute(storage_url, "UPDATE sweeper_worker SET process_start = '1'")
    store.reap(sweep.name)
    assert column(storage_url, "SELECT lease_until FROM sweeper_worker") == [0]


def test_facts_that_a_dead_worker_did_not_tell_are_found(
    store: Store, storage_url: str, sweep: Sweep
) -> None:
    store.register(sweep)
    living = store.join(sweep.name, device="cpu")
    dying = store.join(sweep.name, device="cpu")
    (kept,) = store.claim(living, 1)
    told, untold = store.claim(dying, 2)
    claimer.record(store, living, kept, sweep)
    finish(store, dying, sweep, told)
    claimer.record(store, dying, untold, sweep)
    assert store.unreported(sweep.name) == ()
    expire(storage_url, dying)
    assert store.reap(sweep.name) == 0  # it had no claimed slot
    (fact,) = store.unreported(sweep.name)
    assert (fact.slot.arm, fact.slot.number) == (untold.arm, untold.number)
    store.mark_reported([untold])
    store.mark_reported([untold])
    assert store.unreported(sweep.name) == ()


def test_the_facts_of_a_worker_that_left_without_telling_are_found(
    store: Store, sweep: Sweep
) -> None:
    store.register(sweep)
    worker = store.join(sweep.name, device="cpu")
    (slot,) = store.claim(worker, 1)
    claimer.record(store, worker, slot, sweep)
    store.leave(worker)
    assert [fact.slot.number for fact in store.unreported(sweep.name)] == [slot.number]


# Facts

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
# Without -0.0, whose sign SQLite does not keep; no figure of a trial has one.
reals = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)
counts = st.integers(0, 2**40)
scalars: st.SearchStrategy[Scalar] = st.one_of(st.booleans(), st.integers(), reals, words)
shapes = st.lists(st.integers(1, 2**31), max_size=4).map(tuple)


def tuples(elements: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(elements, max_size=3).map(tuple)


pairs = tuples(st.tuples(words, scalars))
configs = st.builds(
    TrialConfig,
    recipe=st.builds(
        SharedConfig,
        model=words,
        model_options=tuples(st.tuples(words, st.one_of(scalars, shapes))),
        dataset=words,
        batch_size=counts,
        epochs=counts,
        finetune_epochs=counts,
        optimizer=words,
        schedule=words,
        repeat=counts,
        order_seed=counts,
        curve=tuples(reals),
        precision=words,
        finetuned_curve=tuples(reals),
        dataset_options=tuples(st.tuples(words, scalars)),
        split=st.builds(SplitConfig, st.none() | reals, st.none() | reals, counts, st.booleans()),
        augment=tuples(words),
        prune=st.just(PruneConfig())
        | st.builds(PruneConfig, tuples(words), st.sampled_from(["global", "erk"]), words),
    ),
    init_seed=counts,
    learning_rate=reals,
    momentum=reals,
    finetune_learning_rate_factor=reals,
    method=st.builds(
        MethodConfig,
        terms=tuples(st.builds(PenaltyConfig, words, words, reals, pairs, st.booleans())),
        name=words,
        own_strength=reals,
        hyper=pairs,
    ),
    density=reals,
    floor=reals,
)
networks = st.builds(
    Evaluation,
    nonzero=counts,
    weights=counts,
    biases=counts,
    effective=st.none() | counts,
    val_accuracy=reals,
    test_accuracy=reals,
    layers=tuples(st.builds(LayerCount, words, shapes, counts, counts, counts, counts)),
)
results = st.builds(
    TrialResult,
    state=st.sampled_from(["complete", "collapsed"]),
    total=counts,
    pruned=networks,
    as_trained=networks,
    curve=tuples(st.builds(CurvePoint, reals, counts, reals, reals, counts, counts)),
    steps=counts,
    seconds=reals,
    pack=st.integers(1, 2**20),
    finetuned=tuples(st.builds(CurvePoint, reals, counts, reals, reals)),
) | st.builds(
    TrialResult,
    state=st.just("diverged"),
    total=counts,
    pruned=st.none(),
    as_trained=st.none(),
    curve=st.just(()),
    steps=counts,
    seconds=reals,
    pack=st.integers(1, 2**20),
)
provenances = st.builds(
    Provenance,
    *[words] * 7,
    threads=st.integers(1, 512),
    data_hash=words,
    host=words,
    normalisation=st.none() | st.builds(Normalisation, tuples(reals), tuples(reals)),
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    params=st.dictionaries(words, scalars, max_size=4),
    config=configs,
    result=results,
    provenance=provenances,
)
def test_a_fact_comes_back_as_it_was_recorded(
    store: Store,
    sweep: Sweep,
    params: Mapping[str, Scalar],
    config: TrialConfig,
    result: TrialResult,
    provenance: Provenance,
) -> None:
    store.register(free(sweep, 500))
    worker = store.join(sweep.name, device="cpu")
    (slot,) = store.claim(worker, 1)
    store.record(worker, [TrialOutcome(slot, slot.number, params, config, result, provenance)])
    store.leave(worker)
    facts = {(fact.slot.arm, fact.slot.number): fact for fact in store.records(sweep.name)}
    fact = facts[slot.arm, slot.number]
    # repr tells 1 from 1.0 and True, which are equal.
    assert repr((dict(fact.params), fact.config, fact.result, fact.provenance)) == repr(
        (dict(params), config, result, provenance)
    )
    assert (fact.slot.study, fact.trial, fact.slot.repeat) == (slot.study, slot.number, slot.repeat)
    assert fact.recorded_at == pytest.approx(time.time(), abs=5)


def test_equal_provenance_is_kept_once(store: Store, storage_url: str, sweep: Sweep) -> None:
    store.register(sweep)
    worker = store.join(sweep.name, device="cpu")
    for slot in store.claim(worker, 4):
        claimer.record(store, worker, slot, sweep)
    assert column(storage_url, "SELECT count(*) FROM sweeper_provenance") == [1]


def test_a_provenance_without_a_normalisation_has_the_digest_that_it_always_had(
    store: Store, storage_url: str, sweep: Sweep
) -> None:
    store.register(sweep)
    worker = store.join(sweep.name, device="cpu")
    (slot,) = store.claim(worker, 1)
    claimer.record(store, worker, slot, sweep)
    values = asdict(claimer.PROVENANCE)
    assert values.pop("normalisation") is None
    known = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    assert column(storage_url, "SELECT digest FROM sweeper_provenance") == [known]
    query = "SELECT count(*) FROM sweeper_provenance WHERE normalisation IS NULL"
    assert column(storage_url, query) == [1]


def test_a_result_that_is_not_a_number_is_refused_and_leaves_the_slot_claimed(
    store: Store, sweep: Sweep
) -> None:
    store.register(sweep)
    worker = store.join(sweep.name, device="cpu")
    (slot,) = store.claim(worker, 1)
    config = sweep.config(slot.arm, 0, 0, {"strength": 0.01})
    bad = {"strength": float("nan")}
    outcome = TrialOutcome(slot, 0, bad, config, claimer.RESULT, claimer.PROVENANCE)
    with pytest.raises(StorageError, match="JSON"):
        store.record(worker, [outcome])
    assert store.records(sweep.name) == ()
    claimer.record(store, worker, slot, sweep)


def test_status_sums_up_the_facts(store: Store, sweep: Sweep) -> None:
    store.register(sweep)
    worker = store.join(sweep.name, device="cpu")
    mine = [slot for slot in store.claim(worker, 99) if slot.arm == "l1"]
    network = claimer.NETWORK
    outcomes = [
        replace(claimer.RESULT, pruned=replace(network, nonzero=30, val_accuracy=0.8)),
        replace(
            claimer.RESULT,
            state="collapsed",
            pruned=replace(network, nonzero=2, val_accuracy=0.1),
        ),
        replace(claimer.RESULT, state="diverged", pruned=None, as_trained=None),
    ]
    config = sweep.config("l1", 0, 0, {"strength": 0.01})
    rows = [
        TrialOutcome(slot, slot.number, {}, config, outcome, claimer.PROVENANCE)
        for slot, outcome in zip(mine, outcomes, strict=True)
    ]
    store.record(worker, rows)
    none, l1 = store.status(sweep.name).arms
    assert (none.claimed, none.done, none.best_accuracy) == (3, 0, None)
    assert (l1.claimed, l1.done, l1.diverged, l1.collapsed) == (0, 3, 1, 1)
    # The pruned track is the objective; a collapsed network is not the smallest over the floor.
    assert (l1.best_accuracy, l1.smallest_nonzero) == (0.8, 30)
    assert (l1.seconds, l1.pace, none.seconds, none.pace) == (1.5, 0.5, 0.0, None)
    (status,) = store.status(sweep.name).workers
    assert (status.id, status.device, status.alive) == (worker, "cpu", True)
    assert (status.slots, status.done) == (3, 3)
    store.leave(worker)
    _, left = store.status(sweep.name).arms
    assert (left.seconds, left.pace) == (1.5, None)


# Turns


def test_a_turn_is_given_once_in_its_time(store: Store, sweep: Sweep) -> None:
    store.register(sweep)
    assert [store.try_throttle("tiny", "publish", 0.5) for _ in range(3)] == [True, False, False]
    assert store.try_throttle("tiny", "another", 0.5)
    assert store.try_throttle("tiny", "publish", 0)
    time.sleep(0.55)
    assert [store.try_throttle("tiny", "publish", 0.5) for _ in range(2)] == [True, False]


def test_a_turn_in_the_future_is_due(store: Store, storage_url: str, sweep: Sweep) -> None:
    # The database's clock was an hour fast when it was taken.
    store.register(sweep)
    store.try_throttle("tiny", "publish", 10)
    execute(storage_url, "UPDATE sweeper_turn SET taken_at = taken_at + 3600")
    assert [store.try_throttle("tiny", "publish", 10) for _ in range(2)] == [True, False]


def test_only_one_of_many_gets_the_turn(store: Store, sweep: Sweep) -> None:
    store.register(sweep)
    taken: list[bool] = []
    threads = [
        threading.Thread(target=lambda: taken.append(store.try_throttle("tiny", "publish", 60)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False, False, False, True]


# Transactions


class locked:  # noqa: N801  # reads as a state
    """Hold the lock of a sweep in another connection while the block begins."""

    def __init__(self, url: str, name: str, seconds: float, *, then: str = "") -> None:
        self.then = then
        self.database = Database(parse_storage_url(url))
        self.holds = threading.Event()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._hold, args=(name, seconds))

    def _hold(self, name: str, seconds: float) -> None:
        def work(connection: Connection) -> None:
            registered_sweeps.lock(connection, name)
            self.holds.set()
            self.over.wait(seconds)
            if self.then:
                connection.execute(text(self.then))

        self.database.write(work)

    def __enter__(self) -> Self:
        self.thread.start()
        self.holds.wait()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()
        self.database.close()


def test_looking_waits_for_no_lock(store: Store, storage_url: str, sweep: Sweep) -> None:
    store.register(sweep)
    store.try_throttle("tiny", "publish", 60)
    worker = store.join("tiny", device="cpu")
    with locked(storage_url, sweep.name, seconds=15) as lock:
        store.status("tiny")
        store.records("tiny")
        store.finished("tiny")
        store.reap("tiny")
        store.claim_probe(worker)
        store.try_throttle("tiny", "publish", 60)
        assert lock.thread.is_alive()


def test_what_is_written_waits_for_the_lock(
    store: Store, storage_url: str, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On SQLite the driver gives up after a while, and the transaction is tried again.
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.05)
    store.register(sweep)
    other = Store(storage_url)
    with locked(storage_url, sweep.name, seconds=0.6):
        begin = time.monotonic()
        other.stop("tiny")
        assert time.monotonic() - begin > 0.4
    assert other.state("tiny") == "stopped"
    other.close()


def test_a_lock_that_is_never_given_free_ends_in_one_line(
    store: Store, storage_url: str, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not store.url.startswith("sqlite"):
        pytest.skip("a server has no time limit for locks")
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.05)
    store.register(sweep)
    other = Store(storage_url, patience=RetryPolicy(0.1))
    with locked(storage_url, sweep.name, seconds=1):
        with pytest.raises(StorageError, match="database is locked") as caught:
            other.stop("tiny")
        assert "\n" not in str(caught.value)
    other.close()


def test_a_transaction_whose_answer_was_lost_is_not_applied_twice(
    store: Store, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.names() == ()  # only a database that has answered once is waited for
    done = Database._transaction
    lost: list[str] = []

    def commit_and_lose_the_answer(
        self: Database, work: Callable[[Connection], Any], *, writes: bool
    ) -> Any:
        answer = done(self, work, writes=writes)
        if writes and not lost:
            lost.append("the answer")
            raise OperationalError("COMMIT", {}, OSError("gone"), connection_invalidated=True)
        return answer

    monkeypatch.setattr(Database, "_transaction", commit_and_lose_the_answer)

    def once(use: Callable[[], Any]) -> Any:
        lost.clear()
        result = use()
        assert lost
        return result

    once(lambda: store.register(changed(sweep, arms={"l2": {"penalty": "l2", "strength": "auto"}})))
    assert store.status("tiny").budget == 18
    assert store.status("tiny").probes == 1
    worker = once(lambda: store.join("tiny", device="cpu"))
    assert [one.id for one in store.status("tiny").workers] == [worker]
    slots = once(lambda: store.claim(worker, 4))
    assert sum(arm.claimed for arm in store.status("tiny").arms) == len(slots) == 4
    once(lambda: store.link(worker, {slots[0]: 0}))
    lost.append("kept")
    config = sweep.config(slots[0].arm, 0, 0, {"strength": 0.01})
    outcome = TrialOutcome(slots[0], 0, {}, config, claimer.RESULT, claimer.PROVENANCE)
    once(lambda: store.record(worker, [outcome]))
    assert len(store.records("tiny")) == 1
    once(lambda: store.mark_reported([slots[0]]))
    once(lambda: store.release(worker, slots[1:2]))
    assert sum(store.status("tiny").failures.values()) == 1
    task = once(lambda: store.claim_probe(worker))
    once(lambda: store.release_probe(worker, task))
    assert once(lambda: store.claim_probe(worker)) == task
    once(lambda: store.record_range(worker, task, claimer.BRACKET, claimer.PROVENANCE))
    assert len(store.strength_ranges("tiny")) == 1
    once(lambda: store.renew(worker))
    once(lambda: store.leave(worker))
    assert sum(store.status("tiny").failures.values()) == 3
    once(lambda: store.stop("tiny"))
    once(lambda: store.delete("tiny"))
    assert store.names() == ()


@pytest.mark.postgres
def test_a_connection_that_the_server_ended_is_replaced(
    postgres: Postgres, postgres_url: str, sweep: Sweep
) -> None:
    store = Store(postgres_url)
    store.upgrade()
    store.register(sweep)
    attempts: list[int] = []

    def work(connection: Connection) -> None:
        attempts.append(1)
        registered_sweeps.lock(connection, "tiny")
        if len(attempts) == 1:
            pid = connection.scalar(text("SELECT pg_backend_pid()"))
            postgres.execute(f"SELECT pg_terminate_backend({pid})")
        connection.execute(text("UPDATE sweeper_sweep SET state = 'stopped'"))

    store._database.write(work)
    assert len(attempts) == 2
    assert store.state("tiny") == "stopped"
    store.close()


@pytest.mark.postgres
def test_two_that_wait_for_each_other_both_get_through(postgres_url: str, sweep: Sweep) -> None:
    store = Store(postgres_url)
    store.upgrade()
    for name in ("a", "b"):
        store.register(changed(sweep, name=name))
    meeting = threading.Barrier(2)
    attempts: list[str] = []

    def crosswise(first: str, second: str) -> None:
        def work(connection: Connection) -> None:
            attempts.append(first)
            registered_sweeps.lock(connection, first)
            if len(attempts) <= 2:
                meeting.wait(240)
            registered_sweeps.lock(connection, second)

        store._database.write(work)

    threads = [threading.Thread(target=crosswise, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(attempts) == 3
    store.close()


# URLs and refusals


@pytest.mark.parametrize(
    ("given", "full", "shown"),
    [
        ("sqlite:////tmp/a b.db", "sqlite:////tmp/a b.db", "sqlite:////tmp/a b.db"),
        ("postgresql://h/d", "postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
        ("postgres://u:geheim@h:5/d", "postgresql+psycopg://u:geheim@h:5/d", None),
        ("mysql://u:geheim@h/d", "mysql+pymysql://u:geheim@h/d", None),
        ("mariadb://u:geheim@h/d", "mariadb+pymysql://u:geheim@h/d", None),
        ("postgresql://h/d?password=geheim", "postgresql+psycopg://h/d?password=geheim", None),
        (
            "postgresql://u:geheim@%2Fvar%2Frun%2Fpostgresql:5433/d",
            "postgresql+psycopg://u:geheim@/d?host=%2Fvar%2Frun%2Fpostgresql&port=5433",
            None,
        ),
        (
            "mysql://u@%2Frun%2Fmysqld.sock/d?charset=utf8mb4",
            "mysql+pymysql://u@/d?charset=utf8mb4&unix_socket=%2Frun%2Fmysqld.sock",
            None,
        ),
        ("postgresql://u@[::1]:5/d", "postgresql+psycopg://u@[::1]:5/d", None),
    ],
)
def test_urls_are_completed_and_shown_without_passwords(
    given: str, full: str, shown: str | None
) -> None:
    store = Store(given)
    assert store.url == full
    assert store.safe_url == (shown or full.replace("geheim", "***"))
    store.close()


def test_a_relative_file_is_taken_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Store("sqlite:///sweeps/x.db").url == f"sqlite:///{tmp_path}/sweeps/x.db"


@pytest.mark.parametrize("name", ["with space.db", "100%.db", "what?.db", "ü#1.db"])
def test_any_file_name_works(tmp_path: Path, name: str, sweep: Sweep) -> None:
    url = Store(f"sqlite:///{tmp_path}/x.db")._database.url.url.set(
        database=str(tmp_path / "new folder" / name)
    )
    store = Store(url.render_as_string())
    store.upgrade()
    store.register(sweep)
    store.close()
    assert (tmp_path / "new folder" / name).exists()
    again = Store(store.url)
    assert again.names() == ("tiny",)
    again.close()


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("sweeps.db", "must be a URL such as sqlite:///file.db.*got 'sweeps.db'"),
        ("postgresql://u:geheim@h:port/d", "is no URL"),
        ("://u:geheim@h/d", "is no URL"),
        ("postgresql://u:geh@eim@h/d", "'@' within a password must be written as %40"),
        ("postgresq://u:geheim@h/d", "got 'postgresq'.*did you mean 'postgresql'"),
        ("oracle://h/d", "no such kind of database"),
        ("postgresql+psycopg2://u:geheim@h/d", r"leave '\+psycopg2' out"),
        ("postgresql://u:geheim@h", "names no database"),
        ("sqlite://file.db", "three slashes: sqlite:///file.db"),
        ("sqlite://", "SQLite needs a file"),
        ("sqlite:///:memory:", "SQLite needs a file"),
        ("sqlite:///x.db?mode=ro", "takes no options"),
    ],
)
def test_a_wrong_url_is_refused_in_one_line_without_its_password(url: str, text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        Store(url)
    assert "\n" not in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert "eim" not in str(caught.value)


def refused(use: Callable[[], object], text: str) -> None:
    begin = time.monotonic()
    with pytest.raises(StorageError, match=text) as caught:
        use()
    assert time.monotonic() - begin < COMMAND - 5  # it is not tried again and again
    assert "\n" not in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_a_server_that_is_not_there_is_told_at_once() -> None:
    store = Store("postgresql://me:geheim@127.0.0.1:1/sweeps")
    for use in (store.upgrade, store.check, store.names):
        refused(use, r"postgresql\+psycopg://me:\*\*\*@127.0.0.1:1/sweeps: .*refused")
    store.close()


@pytest.mark.postgres
def test_a_database_that_is_not_there_is_told(postgres: Postgres) -> None:
    store = Store(postgres.url("nowhere"))
    refused(store.upgrade, 'database "nowhere" does not exist')
    store.close()


@pytest.mark.postgres
def test_a_wrong_password_is_told_without_it(postgres: Postgres) -> None:
    postgres.execute("DROP ROLE IF EXISTS locked", "CREATE ROLE locked LOGIN PASSWORD 'right'")
    store = Store(postgres.url("postgres", "locked:geheim"))
    refused(store.names, "password authentication failed")
    store.close()


@pytest.mark.postgres
def test_missing_rights_are_told(postgres: Postgres, postgres_url: str) -> None:
    postgres.execute("DROP ROLE IF EXISTS stranger", "CREATE ROLE stranger LOGIN")
    store = Store(postgres_url.replace("postgres@", "stranger@"))
    refused(store.upgrade, "permission denied for schema public")
    store.close()


@pytest.mark.postgres
def test_who_may_only_read_can_look(postgres: Postgres, postgres_url: str, sweep: Sweep) -> None:
    owner = Store(postgres_url)
    owner.upgrade()
    owner.register(sweep)
    worker = owner.join("tiny", device="cpu")
    claimer.record(owner, worker, owner.claim(worker, 1)[0], sweep)
    owner.close()
    postgres.execute("DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN")
    execute(postgres_url, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    reader = Store(postgres_url.replace("postgres@", "reader@"))
    reader.check()
    assert reader.names() == ("tiny",)
    assert reader.status("tiny").done == len(reader.records("tiny")) == 1
    refused(lambda: reader.stop("tiny"), "permission denied")
    reader.close()
    execute(postgres_url, "DROP OWNED BY reader")
    postgres.execute("DROP ROLE reader")


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("This is a letter and not a database." * 40)
    store = Store(f"sqlite:///{tmp_path}/x.db")
    for use in (store.upgrade, store.names):
        refused(use, "file is not a database")
    store.close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    store = Store(f"sqlite:///{tmp_path}/x/y/sweeps.db")
    refused(store.upgrade, "Not a directory")
    store.close()


@pytest.mark.postgres
def test_a_postgresql_database_without_an_encoding_gives_texts(
    postgres: Postgres, sweep: Sweep
) -> None:
    """As one that was made without a locale: its driver gives bytes unless told otherwise."""
    name = f"plain_{uuid4().hex[:8]}"
    locale = "LC_COLLATE 'C' LC_CTYPE 'C'"
    postgres.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 {locale}")
    try:
        with closing(Store(postgres.url(name))) as store:
            lifecycle.register(store, sweep)
            assert store.names() == ("tiny",)
            assert store.sweep("tiny") == sweep
    finally:
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize(
    "url", [pytest.param("postgres_url", marks=pytest.mark.postgres), "mariadb_url"]
)
def test_a_reader_sees_one_snapshot_and_a_writer_what_others_left(
    url: str, sweep: Sweep, request: pytest.FixtureRequest
) -> None:
    there = text("SELECT COUNT(*) FROM sweeper_sweep")
    url = str(request.getfixturevalue(url))
    with closing(Store(url)) as store, closing(Store(url)) as other:
        store.upgrade()

        def twice(connection: Connection) -> int:
            before = int(connection.scalar(there) or 0)
            other.register(sweep.model_copy(update={"name": f"one{before}"}))
            return int(connection.scalar(there) or 0) - before

        for _ in range(2):  # in the same session: nothing is left of the last transaction
            assert store._database.read(twice) == 0
            assert store._database.write(twice) == 1
