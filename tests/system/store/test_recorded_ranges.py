"""Ranges of strengths in the store: given out once each, recorded once, reused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from support import claimer
from support.claimer import BRACKET, PROVENANCE
from support.fakes import small_sweep
from support.finished_sweeps import find_all
from sweeper.config import Sweep
from sweeper.config.probe_plan import probe_key
from sweeper.errors import LeaseLost, StorageError
from sweeper.store import Store
from sweeper.store.database import Database
from sweeper.store.storage_url import parse_storage_url
from sweeper.types import ProbePoint, ProbeTask, RecordedRange

ARMS: dict[str, Any] = {
    "none": {},
    "l1": {"penalty": "l1", "strength": "auto"},
    "both": {"sum": {"l2": {"strength": "auto"}, "renyi_entropy": {"strength": "auto"}}},
}
PROBES = [("l1", "strength"), ("both", "l2.strength"), ("both", "renyi_entropy.strength")]


def auto_parameters(name: str = "tiny", arms: dict[str, Any] = ARMS, **changes: Any) -> Sweep:
    """A sweep whose slots wait for probes alone."""
    return Sweep.model_validate(
        {
            "name": name,
            "dataset": "digits",
            "model": "mlp(8)",
            "training": {"epochs": 1, "batch_size": 64},
            "search": {"sampler": "random", "trials": 2},
            "arms": arms,
            **changes,
        }
    )


def execute(url: str, statement: str, **values: object) -> None:
    """Change rows by hand."""
    direct = Database(parse_storage_url(url))
    direct.write(lambda connection: connection.execute(text(statement), values))
    direct.close()


def claimed(store: Store, worker: str) -> ProbeTask:
    task = store.claim_probe(worker)
    assert task is not None
    return task


def found(store: Store, name: str) -> list[tuple[str, str, float, bool]]:
    """What is on record, in short."""
    return [
        (one.arm, one.parameter, one.range.high, one.reused) for one in store.strength_ranges(name)
    ]


def test_slots_of_an_arm_wait_for_all_its_probes(store: Store) -> None:
    store.register(auto_parameters())
    mine, other = (store.join("tiny", device="cpu") for _ in range(2))
    arms = []
    for place in [None, *PROBES]:
        if place:
            task = claimed(store, mine)
            assert (task.sweep, task.arm, task.parameter) == ("tiny", *place)
            assert not any(slot.arm == task.arm for slot in store.claim(other, 99))
            store.record_range(mine, task, BRACKET, PROVENANCE)
        slots = store.claim(mine, 99)
        arms.append([slot.arm for slot in slots])
        for slot in slots:
            claimer.record(store, mine, slot, auto_parameters())
        status = store.status("tiny")
        assert (status.probes, status.probed) == (3, PROBES.index(place) + 1 if place else 0)
        assert not store.finished("tiny")
    # A half of what is claimable, for there are two workers.
    assert arms == [["none"], ["l1"], [], ["both"]]
    assert store.claim_probe(mine) is None


def test_a_bracket_comes_back_as_it_was_recorded_in_the_order_of_the_file(store: Store) -> None:
    store.register(auto_parameters())
    assert store.strength_ranges("tiny") == ()
    worker = store.join("tiny", device="cpu")
    tasks = []
    for number in range(3):
        tasks.append(claimed(store, worker))
        bracket = replace(BRACKET, low=10.0**-number, open_below=number == 1, points=())
        bracket = BRACKET if number == 0 else bracket
        store.record_range(worker, tasks[-1], bracket, replace(PROVENANCE, threads=1 + number))
    assert [(task.arm, task.parameter) for task in tasks] == PROBES
    first, second, third = store.strength_ranges("tiny")
    # repr tells 1 from 1.0 and True, which are equal.
    assert repr(first) == repr(RecordedRange("l1", "strength", BRACKET, PROVENANCE, False))
    assert (second.parameter, second.range.low, second.range.open_below) == (
        "l2.strength",
        0.1,
        True,
    )
    assert (third.parameter, third.provenance.threads) == ("renyi_entropy.strength", 3)


def test_a_bracket_is_never_updated(store: Store, storage_url: str) -> None:
    store.register(auto_parameters())
    mine, other = (store.join("tiny", device="cpu") for _ in range(2))
    task = claimed(store, mine)
    store.record_range(mine, task, BRACKET, PROVENANCE)
    changed = replace(BRACKET, high=99.0)
    store.record_range(mine, task, changed, PROVENANCE)  # it may have missed the first answer
    with pytest.raises(LeaseLost, match="probe of strength of l1 is not held by worker"):
        store.record_range(other, task, changed, PROVENANCE)
    store.release_probe(mine, task)
    store.leave(mine)
    execute(storage_url, "UPDATE sweeper_worker SET process_start = '1'")
    store.reap("tiny")
    assert found(store, "tiny") == [("l1", "strength", BRACKET.high, False)]


def test_a_bracket_that_is_not_a_number_is_refused_and_its_probe_stays_claimed(
    store: Store,
) -> None:
    store.register(auto_parameters())
    worker = store.join("tiny", device="cpu")
    task = claimed(store, worker)
    bad = replace(BRACKET, points=(ProbePoint(0.0, "complete", 0.9, 5, float("nan")),))
    with pytest.raises(StorageError, match="JSON"):
        store.record_range(worker, task, bad, PROVENANCE)
    assert claimed(store, worker) == task
    store.record_range(worker, task, BRACKET, PROVENANCE)


def test_many_processes_are_given_each_probe_once(store: Store, storage_url: str) -> None:
    penalties = [
        "l1",
        "l2",
        "log_sum",
        "mcp",
        "scad",
        "hoyer",
        "hoyer_square",
        "group_lasso",
    ]
    arms = {name: {"penalty": name, "strength": "auto"} for name in penalties}
    store.register(auto_parameters(arms=arms))
    given = claimer.together("probe", 4, storage_url, "tiny")
    # Oracle: the set of all probes, each exactly once.
    assert sorted(probe for one in given for probe in one) == sorted(
        [name, "strength"] for name in penalties
    )
    assert found(store, "tiny") == [(name, "strength", BRACKET.high, False) for name in penalties]


def test_a_worker_holds_one_probe_at_a_time(store: Store) -> None:
    store.register(auto_parameters())
    mine, other = (store.join("tiny", device="cpu") for _ in range(2))
    task = claimed(store, mine)
    another = claimed(store, other)
    assert (another.arm, another.parameter) == PROBES[1]
    store.stop("tiny")  # no reason to forget what it has
    assert [claimed(store, mine), claimed(store, other)] == [task, another]


def test_what_a_worker_gave_up_is_given_out_again(store: Store, storage_url: str) -> None:
    store.register(auto_parameters())

    def lease_over(worker: str) -> None:
        execute(storage_url, "UPDATE sweeper_worker SET lease_until = 1 WHERE id = :id", id=worker)
        store.reap("tiny")

    def dead(worker: str) -> None:
        statement = "UPDATE sweeper_worker SET process_start = '1' WHERE id = :id"
        execute(storage_url, statement, id=worker)
        assert store.reap("tiny") == 0  # of slots it had none

    ways: list[Callable[[str], object]] = [
        lambda worker: store.release_probe(worker, task),
        store.leave,
        lease_over,
        dead,
    ]
    for give_up in ways:
        former, next_one, third = (store.join("tiny", device="cpu") for _ in range(3))
        task = claimed(store, former)
        assert (task.arm, task.parameter) == PROBES[0]
        give_up(former)
        with pytest.raises(LeaseLost):
            store.record_range(former, task, BRACKET, PROVENANCE)
        assert claimed(store, next_one) == task
        with pytest.raises(LeaseLost):
            store.record_range(former, task, BRACKET, PROVENANCE)
        store.release_probe(former, task)
        store.leave(former)
        assert claimed(store, third) != task  # it is another's still
        for worker in (next_one, third):
            store.leave(worker)
    assert store.strength_ranges("tiny") == ()
    assert store.status("tiny").probed == 0


def test_whose_lease_is_over_is_told_even_when_there_is_nothing_to_probe(
    store: Store, storage_url: str
) -> None:
    store.register(auto_parameters())
    worker = store.join("tiny", device="cpu")
    task = claimed(store, worker)
    execute(storage_url, "UPDATE sweeper_worker SET lease_until = 1")
    store.reap("tiny")
    for _ in range(2):
        with pytest.raises(LeaseLost):
            store.claim_probe(worker)
        with pytest.raises(LeaseLost):
            store.record_range(worker, task, BRACKET, PROVENANCE)
        find_all(store, "tiny")


def test_a_stopped_sweep_gives_out_no_probe(store: Store) -> None:
    store.register(auto_parameters("done"))
    find_all(store, "done")
    store.register(auto_parameters())
    worker = store.join("tiny", device="cpu")
    store.stop("tiny")
    assert store.claim_probe(worker) is None
    assert store.strength_ranges("tiny") == ()
    store.register(auto_parameters())
    assert store.claim_probe(worker) is None  # all are copied now
    assert store.status("tiny").probed == 3


def test_what_another_sweep_has_found_is_copied_and_outlives_it(store: Store) -> None:
    store.register(auto_parameters("first"))
    assert find_all(store, "first") == PROBES
    # The seed and the density are no part of a probe, the batch size is.
    like = auto_parameters("second", seed=7, sparsification={"density": 0.5})
    unlike = auto_parameters("third", training={"epochs": 1, "batch_size": 32})
    for sweep in (like, unlike):
        store.register(sweep)
    assert find_all(store, "second") == []
    assert find_all(store, "third", replace(BRACKET, high=9.0)) == PROBES
    store.delete("first")
    expected = [replace(one, reused=True) for one in store.strength_ranges("second")]
    assert [one.reused for one in expected] == [True] * 3
    assert {one.provenance for one in expected} == {PROVENANCE}
    store.register(auto_parameters("fourth"))
    assert find_all(store, "fourth") == []
    assert store.strength_ranges("fourth") == store.strength_ranges("second") == tuple(expected)
    assert found(store, "third")[0] == ("l1", "strength", 9.0, False)
    store.delete("second")


def test_equal_probes_of_one_sweep_are_given_out_once(store: Store) -> None:
    # l1 alone is what the first part of the sum is probed with.
    arms = {**ARMS, "both": {"sum": {"l1": {"strength": "auto"}, "l2": {"strength": 0.1}}}}
    store.register(auto_parameters(arms=arms))
    mine, other = (store.join("tiny", device="cpu") for _ in range(2))
    task = claimed(store, mine)
    assert store.claim_probe(other) is None
    store.release_probe(mine, task)
    assert claimed(store, other) == task
    assert store.claim_probe(mine) is None
    store.record_range(other, task, BRACKET, PROVENANCE)
    assert store.claim_probe(mine) is None
    assert found(store, "tiny") == [
        ("l1", "strength", BRACKET.high, False),
        ("both", "l1.strength", BRACKET.high, True),
    ]


def test_extending_adds_the_probes_of_new_arms_and_keeps_what_is_found(store: Store) -> None:
    store.register(auto_parameters(arms={"none": {}, "l1": ARMS["l1"]}))
    assert find_all(store, "tiny") == PROBES[:1]
    assert store.register(auto_parameters(), extend=True) == "extended"
    assert (store.status("tiny").probes, store.status("tiny").probed) == (3, 1)
    assert store.register(auto_parameters()) == "resumed"
    assert find_all(store, "tiny", replace(BRACKET, high=9.0)) == PROBES[1:]
    assert [high for _, _, high, _ in found(store, "tiny")] == [BRACKET.high, 9.0, 9.0]


def test_deleting_takes_the_probes_of_one_sweep_and_no_other(
    store: Store, storage_url: str
) -> None:
    for name in ("tiny", "other"):
        store.register(auto_parameters(name))
    find_all(store, "other")
    worker = store.join("tiny", device="cpu")
    task = ProbeTask("tiny", "l1", "strength", "k")
    assert store.claim_probe(worker) is None
    store.delete("tiny")
    with pytest.raises(LeaseLost):
        store.claim_probe(worker)
    with pytest.raises(LeaseLost):
        store.record_range(worker, task, BRACKET, PROVENANCE)
    store.release_probe(worker, task)
    assert len(store.strength_ranges("other")) == 3
    assert store.register(auto_parameters()) == "new"
    assert (store.status("tiny").probes, store.status("tiny").probed) == (3, 0)


def test_ranges_of_a_model_from_outside_stay_with_their_sweep() -> None:
    """What it computes may have changed since another sweep looked for its range."""
    own = [
        probe_key(
            small_sweep(name, model={"name": "my.nets:tiny"}, dataset="digits"), "l1", "strength"
        )
        for name in ("one", "two")
    ]
    assert own[0] != own[1]
    ours = [probe_key(small_sweep(name), "l1", "strength") for name in ("one", "two")]
    assert ours[0] == ours[1]
