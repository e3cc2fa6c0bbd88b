"""Dropped trials, on every kind of database: on record for good, and left out until taken back."""

import pytest

from support import claimer
from support.fakes import fake_probe, fake_train, ladder_sweep
from sweeper import lifecycle
from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.store import NamedTrial, Store
from sweeper.worker.worker_loop import work

HERE = NamedTrial(("l1", 0, 1))


@pytest.fixture
def finished(everywhere: Store, sweep: Sweep) -> Store:
    """A store with the finished sweep `tiny`: two arms of six trials."""
    raw = sweep.model_dump(mode="json")
    raw["search"]["sampler"] = "random"
    sweep = Sweep.model_validate(raw)
    everywhere.register(sweep)
    worker = everywhere.join("tiny", device="cpu")
    slots = everywhere.claim(worker, 100)
    for slot in slots:
        claimer.record(everywhere, worker, slot, sweep)
    everywhere.mark_reported(slots)
    return everywhere


def test_a_dropped_trial_stays_on_record_and_is_left_out_until_it_is_taken_back(
    finished: Store,
) -> None:
    before, hand = finished.records("tiny"), finished.interventions
    other = NamedTrial(("none", 0, 4))
    assert hand.drop("tiny", [HERE, other], "too warm") == (HERE, other)
    assert hand.drop("tiny", [HERE], "again") == ()
    assert finished.records("tiny") == before
    counted = {record.slot.place for record in hand.counted_records("tiny")}
    assert len(counted) == 10
    assert not counted & {HERE.place, other.place}
    of_none, of_l1 = hand.dropped("tiny")
    assert (of_none.name, of_l1.name, of_l1.why) == ("none/0/4", "l1/0/1", "too warm")
    assert abs(of_l1.at - finished.status("tiny").now) < 600
    assert [arm.dropped for arm in finished.status("tiny").arms] == [1, 1]
    assert [arm.done for arm in finished.status("tiny").arms] == [6, 6]
    assert hand.take_back("tiny", [HERE]) == (HERE,)
    assert hand.take_back("tiny", [HERE]) == ()
    assert len(hand.counted_records("tiny")) == 11
    assert hand.drop("tiny", [HERE], "after all") == (HERE,)
    assert hand.dropped("tiny")[1].why == "after all"
    version = finished.version("tiny")
    assert version is not None
    assert version.dropped == 4


def test_the_first_reason_of_a_network_stays(everywhere: Store) -> None:
    sweep = ladder_sweep()
    lifecycle.register(everywhere, sweep)
    work("tiny", everywhere, pack=8, train=fake_train, probe=fake_probe)
    hand = everywhere.interventions
    hand.drop("tiny", [NamedTrial(HERE.place, (2,))], "too warm")
    hand.drop("tiny", [HERE], "the wrong data")
    found = {one.networks: one.why for one in hand.dropped("tiny")}
    assert found == {(2,): "too warm", (0, 1, 3, 4, 5): "the wrong data"}


def test_what_is_not_on_record_cannot_be_dropped(everywhere: Store, sweep: Sweep) -> None:
    everywhere.register(sweep)
    with pytest.raises(InputError) as refused:
        everywhere.interventions.drop("tiny", [HERE, NamedTrial(("l1", 0, 9))], "why not")
    lines = "tiny: l1/0/1 is not on record\ntiny: l1/0/9 is not on record"
    assert str(refused.value) == lines
    assert everywhere.interventions.dropped("tiny") == ()


def test_the_best_and_the_smallest_of_an_arm_are_those_that_count(finished: Store) -> None:
    before = finished.status("tiny").arms[1]
    assert (before.best_accuracy, before.smallest_nonzero) == (0.9, 50)
    all_of_l1 = [NamedTrial(("l1", 0, slot)) for slot in range(6)]
    finished.interventions.drop("tiny", all_of_l1, "wrong data")
    none, l1 = finished.status("tiny").arms
    assert (l1.best_accuracy, l1.smallest_nonzero, l1.dropped) == (None, None, 6)
    assert (none.best_accuracy, none.smallest_nonzero) == (0.9, 50)


def test_an_optuna_trial_leads_to_its_place(finished: Store) -> None:
    assert finished.interventions.place_of("tiny", "tiny/l1/0", 3) == ("l1", 0, 3, 0)
    assert finished.interventions.place_of("tiny", "tiny/l1/0", 30) is None


def test_a_dump_brings_what_was_dropped_and_taken_back(
    finished: Store, sqlite_store: Store
) -> None:
    hand = finished.interventions
    hand.drop("tiny", [HERE, NamedTrial(("l1", 0, 2))], "too warm")
    hand.take_back("tiny", [HERE])
    dumped = finished.dump("tiny")
    assert len(dumped.dropped) == 3
    for _ in range(2):  # restored again it changes nothing
        sqlite_store.load([dumped])
        sqlite_store.finish_restore(dumped)
    assert sqlite_store.interventions.dropped("tiny") == hand.dropped("tiny")
    assert sqlite_store.dump("tiny").dropped == dumped.dropped
    finished.delete("tiny")
    assert finished.names() == ()
