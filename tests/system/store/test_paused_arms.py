"""Paused arms, on every kind of database: nothing of them is claimed, all else goes on."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing

import pytest

from support import claimer
from sweeper.config import Sweep
from sweeper.errors import InputError, UnknownSweepError
from sweeper.store import Store
from sweeper.types import Slot


def random_sweep(sweep: Sweep, trials: int = 6) -> Sweep:
    raw = sweep.model_dump(mode="json")
    raw["search"].update(sampler="random", trials=trials)
    return Sweep.model_validate(raw)


def finish(store: Store, worker: str, sweep: Sweep, slot: Slot) -> None:
    claimer.record(store, worker, slot, sweep)
    store.mark_reported([slot])


def test_slots_of_a_paused_arm_are_not_claimed_and_the_others_are(
    everywhere: Store, sweep: Sweep
) -> None:
    everywhere.register(random_sweep(sweep))
    hand = everywhere.interventions
    assert hand.pause("tiny", ["l1"]) == ("l1",)
    worker = everywhere.join("tiny", device="cpu")
    assert Counter(slot.arm for slot in everywhere.claim(worker, 100)) == {"none": 6}
    assert everywhere.claim(worker, 100) == ()
    assert not hand.is_held_up("tiny")  # another worker may come to nothing with those
    assert hand.resume("tiny") == ("l1",)
    assert Counter(slot.arm for slot in everywhere.claim(worker, 100)) == {"l1": 6}


def test_pausing_twice_and_resuming_twice_change_nothing_more(
    everywhere: Store, sweep: Sweep
) -> None:
    everywhere.register(sweep)
    hand = everywhere.interventions
    assert hand.pause("tiny") == ("none", "l1")
    assert hand.pause("tiny") == hand.pause("tiny", ["l1"]) == ()
    assert hand.paused("tiny") == ("none", "l1")
    assert hand.resume("tiny", ["none"]) == ("none",)
    assert hand.resume("tiny", ["none"]) == ()
    assert hand.paused("tiny") == ("l1",)


def test_a_slot_of_a_paused_arm_that_is_claimed_is_recorded(
    everywhere: Store, sweep: Sweep
) -> None:
    sweep = random_sweep(sweep)
    everywhere.register(sweep)
    worker = everywhere.join("tiny", device="cpu")
    slots = everywhere.claim(worker, 4)
    everywhere.interventions.pause("tiny")
    for slot in slots:
        finish(everywhere, worker, sweep, slot)
    assert len(everywhere.records("tiny")) == 4
    assert everywhere.interventions.is_held_up("tiny")
    status = everywhere.status("tiny")
    assert (status.waits, status.paused) == (True, ("none", "l1"))


def test_what_a_dead_worker_held_of_a_paused_arm_stays_open(
    everywhere: Store, sweep: Sweep
) -> None:
    everywhere.register(random_sweep(sweep))
    worker = everywhere.join("tiny", device="cpu")
    assert len(everywhere.claim(worker, 100)) == 12
    everywhere.interventions.pause("tiny", ["l1"])
    everywhere.leave(worker)
    other = everywhere.join("tiny", device="cpu")
    assert {slot.arm for slot in everywhere.claim(other, 100)} == {"none"}


def test_generations_of_the_other_arms_do_not_wait_for_a_paused_one(
    everywhere: Store, sweep: Sweep
) -> None:
    everywhere.register(sweep)  # tpe, three in flight
    worker = everywhere.join("tiny", device="cpu")
    first = everywhere.claim(worker, 4)  # a part of the first generation of the second arm
    everywhere.interventions.pause("tiny", ["l1"])
    while first:
        for slot in first:
            finish(everywhere, worker, sweep, slot)
        first = everywhere.claim(worker, 4)
    arms = {arm.arm: arm for arm in everywhere.status("tiny").arms}
    assert arms["none"].done == 6
    assert arms["l1"].done < 6
    everywhere.interventions.resume("tiny")
    while slots := everywhere.claim(worker, 4):
        for slot in slots:
            finish(everywhere, worker, sweep, slot)
    assert everywhere.finished("tiny")


def test_probes_of_a_paused_arm_are_not_claimed(everywhere: Store, sweep: Sweep) -> None:
    raw = sweep.model_dump(mode="json")
    raw["arms"] = {
        "l1": {"penalty": "l1", "strength": "auto"},
        "l2": {"penalty": "l2", "strength": "auto"},
    }
    everywhere.register(Sweep.model_validate(raw))
    everywhere.interventions.pause("tiny", ["l1"])
    worker = everywhere.join("tiny", device="cpu")
    task = everywhere.claim_probe(worker)
    assert task is not None
    assert task.arm == "l2"
    everywhere.interventions.pause("tiny", ["l2"])
    assert everywhere.claim_probe(worker) == task  # which it holds
    everywhere.record_range(worker, task, claimer.BRACKET, claimer.PROVENANCE)
    assert everywhere.claim_probe(worker) is None
    assert everywhere.claim(worker, 9) == ()
    everywhere.interventions.resume("tiny", ["l1"])
    assert (again := everywhere.claim_probe(worker)) is not None
    assert again.arm == "l1"


def test_an_extension_leaves_arms_paused_and_brings_others(everywhere: Store, sweep: Sweep) -> None:
    sweep = random_sweep(sweep)
    everywhere.register(sweep)
    everywhere.interventions.pause("tiny")
    raw = sweep.model_dump(mode="json")
    raw["search"]["trials"] = 8
    raw["arms"]["l2"] = {"penalty": "l2", "strength": 0.1}
    everywhere.stop("tiny")
    everywhere.register(Sweep.model_validate(raw), extend=True)
    worker = everywhere.join("tiny", device="cpu")
    assert Counter(slot.arm for slot in everywhere.claim(worker, 100)) == {"l2": 8}


def test_what_cannot_be_paused_is_one_line_for_each(everywhere: Store, sweep: Sweep) -> None:
    sweep = random_sweep(sweep, trials=1)
    everywhere.register(sweep)
    hand = everywhere.interventions
    worker = everywhere.join("tiny", device="cpu")
    everywhere.interventions.pause("tiny", ["l1"])
    (slot,) = everywhere.claim(worker, 9)
    finish(everywhere, worker, sweep, slot)
    refusals: list[tuple[Callable[[], object], str]] = [
        (
            lambda: hand.pause("tiny", ["l11", "l2"]),
            "tiny: no such arm: got 'l11'; allowed: l1, none; did you mean 'l1'?\n"
            "tiny: no such arm: got 'l2'; allowed: l1, none",
        ),
        (lambda: hand.pause("tiny", ["none"]), "tiny: none is finished, there is nothing to pause"),
        (
            lambda: hand.resume("tiny", ["nune"]),
            "tiny: no such arm: got 'nune'; allowed: l1, none; did you mean 'none'?",
        ),
    ]
    for call, line in refusals:
        with pytest.raises(InputError) as refused:
            call()
        assert str(refused.value) == line
    hand.resume("tiny")
    (slot,) = everywhere.claim(worker, 9)
    finish(everywhere, worker, sweep, slot)
    with pytest.raises(InputError, match="tiny: is finished, there is nothing to pause"):
        hand.pause("tiny")
    assert hand.resume("tiny") == ()
    with pytest.raises(UnknownSweepError, match="did you mean 'tiny'"):
        hand.pause("tinny")


def test_a_restored_sweep_is_as_paused_as_the_one_that_was_dumped(
    everywhere: Store, sqlite_store: Store, sweep: Sweep
) -> None:
    sweep = random_sweep(sweep)
    everywhere.register(sweep)
    everywhere.interventions.pause("tiny", ["l1"])
    dumped = everywhere.dump("tiny")
    sqlite_store.load([dumped])
    sqlite_store.finish_restore(dumped)
    assert sqlite_store.interventions.paused("tiny") == ("l1",)
    with closing(sqlite_store.reconnect()) as store:
        worker = store.join("tiny", device="cpu")
        assert {slot.arm for slot in store.claim(worker, 99)} == {"none"}
    everywhere.delete("tiny")
    assert everywhere.names() == ()
