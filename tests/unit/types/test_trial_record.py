"""A trial is one record that grows: what an earlier stage held, a later one holds unchanged."""

from dataclasses import fields

from support.factories import make_fact
from sweeper.types import Slot, TrialOutcome, TrialRecord, TrialTask


def test_a_record_holds_what_its_outcome_and_its_task_held() -> None:
    record = make_fact(arm="l1", repeat=1, slot=3)
    task = TrialTask(record.slot, record.trial, record.params, record.config)
    outcome = TrialOutcome.of(task, record.result, record.provenance)
    for stage in (task, outcome):
        for field in fields(stage):
            assert getattr(record, field.name) == getattr(stage, field.name), field.name
    grown = [{field.name for field in fields(kind)} for kind in (TrialTask, TrialOutcome)]
    assert grown[0] < grown[1] < {field.name for field in fields(TrialRecord)}


def test_the_place_of_a_slot_tells_it_from_others_of_its_sweep() -> None:
    slot = Slot("tiny", "l1", 1, 3, "tiny/l1/1")
    assert slot.place == ("l1", 1, 3)
    assert make_fact(arm="l1", repeat=1, slot=3).slot.place == slot.place
