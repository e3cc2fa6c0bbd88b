"""Enqueued configurations, on every kind of database: in slots that nobody has claimed."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support import claimer
from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.store import Store
from sweeper.store.enqueued_configs import Searches

A, B = {"strength": 0.1 + 0.2}, {"strength": 1e-3}


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Store]:
    """Another store, to restore into."""
    with closing(Store(f"sqlite:///{tmp_path}/another.db")) as store:
        store.upgrade()
        yield store


def test_configurations_go_into_the_next_slots_that_nobody_has_begun(
    everywhere: Store, sweep: Sweep
) -> None:
    everywhere.register(sweep)
    hand = everywhere.interventions
    worker = everywhere.join("tiny", device="cpu")
    slots = everywhere.claim(worker, 2)  # of l1
    assert hand.given(slots) == {}
    everywhere.release(worker, [slot for slot in slots if slot.place == ("l1", 0, 1)])
    first = hand.enqueue("tiny", {("l1", 0): [A, B]}, "by hand")
    assert [(one.place, one.params, one.source) for one in first] == [
        (("l1", 0, 2), A, "by hand"),  # slot 1 was begun, though it is open again
        (("l1", 0, 3), B, "by hand"),
    ]
    (second,) = hand.enqueue("tiny", {("l1", 0): [A]}, "by hand")
    assert second.slot == 4
    assert hand.enqueued("tiny") == (*first, second)
    claimed = everywhere.claim(worker, 9)
    given = hand.given(claimed)
    assert {slot.number: config.params for slot, config in given.items()} == {2: A}


def test_more_than_there_are_slots_is_refused_with_the_number(
    everywhere: Store, sweep: Sweep
) -> None:
    everywhere.register(sweep)
    worker = everywhere.join("tiny", device="cpu")
    everywhere.claim(worker, 2)
    wanted: Searches = {("l1", 0): [A] * 5, ("none", 0): [{}]}
    with pytest.raises(InputError) as refused:
        everywhere.interventions.enqueue("tiny", wanted, "by hand")
    line = (
        "tiny: l1, repeat 0: has 4 slots that nobody has begun, got 5 configurations; a higher "
        "search.trials, taken by `run --extend`, makes more"
    )
    assert str(refused.value) == line
    assert everywhere.interventions.enqueued("tiny") == ()


def test_a_dump_brings_what_was_enqueued(everywhere: Store, another: Store, sweep: Sweep) -> None:
    everywhere.register(sweep)
    everywhere.interventions.enqueue("tiny", {("l1", 0): [A, B]}, "by hand")
    dumped = everywhere.dump("tiny")
    for _ in range(2):
        another.load([dumped])
        another.finish_restore(dumped)
    enqueued = another.interventions.enqueued("tiny")
    assert enqueued == everywhere.interventions.enqueued("tiny")
    assert [one.params for one in enqueued] == [A, B]
    everywhere.delete("tiny")
    assert everywhere.names() == ()


def test_a_dump_of_other_parameters_is_refused_and_changes_nothing(
    everywhere: Store, another: Store, sweep: Sweep
) -> None:
    for store, params in ((everywhere, A), (another, B)):
        store.register(sweep)
        store.interventions.enqueue("tiny", {("l1", 0): [params]}, "by hand")
    text = "tiny: slot 0 of l1, repeat 0: other parameters are enqueued for it here"
    with pytest.raises(InputError, match=text):
        another.load([everywhere.dump("tiny")])
    assert [one.params for one in another.interventions.enqueued("tiny")] == [B]
    assert another.state("tiny") == "open"


def test_a_record_of_a_slot_that_is_given_others_here_is_refused(
    everywhere: Store, another: Store, sweep: Sweep
) -> None:
    for store in (everywhere, another):
        store.register(sweep)
    worker = everywhere.join("tiny", device="cpu")
    for slot in everywhere.claim(worker, 3):
        claimer.record(everywhere, worker, slot, sweep)
    another.interventions.enqueue("tiny", {("l1", 0): [{}]}, "by hand")
    with pytest.raises(InputError, match="slot 0 of l1, repeat 0: other parameters"):
        another.load([everywhere.dump("tiny")])
