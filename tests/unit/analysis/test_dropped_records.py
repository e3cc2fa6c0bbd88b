"""Dropped trials in what is made of records: fronts, caveats, the confirmation, the report."""

from support.factories import make_fact, make_facts, make_record, make_sweep, small_study
from sweeper.analysis.confirmation import confirmation_sweep
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.reports import optuna_note
from sweeper.reports.html_page import page
from sweeper.types import DroppedTrial

AT = 1_800_000_000.0


def dropped(arm: str, slot: int, why: str = "too warm", *networks: int) -> DroppedTrial:
    numbers = networks or (0,)
    return DroppedTrial(arm, 0, slot, numbers, not networks, why, AT)


def record_without(*trials: DroppedTrial) -> SweepRecord:
    sweep, facts = small_study()
    return make_record(sweep, facts).with_dropped(trials)


def test_a_dropped_trial_is_on_no_front_and_arms_are_ranked_all_the_same() -> None:
    record = record_without(dropped("l1", 0))
    assert [point.slot for point in record.fronts()["l1"]] == [1]
    assert [point.slot for point in record.fronts()["none"]] == [0, 1]
    assert record.problems == ()
    assert len(record.records) == 3
    assert len(record.all_records) == 4
    assert record.all_records == make_record(*small_study()).records
    assert record_without().records == record.all_records


def test_the_caveats_name_the_first_of_them() -> None:
    assert record_without().caveats == ()
    (one,) = record_without(dropped("l1", 0, "too warm.")).caveats
    assert one == (
        "1 trial was dropped by hand, and left out of fronts, tables and comparisons: "
        "l1/0/0 on 2027-01-15: too warm."
    )
    trials = [dropped(arm, slot) for arm in ("none", "l1") for slot in (0, 1)]
    (several,) = record_without(*trials).caveats
    assert several.startswith("4 trials were dropped by hand, and left out")
    assert several.endswith("l1/0/0 on 2027-01-15: too warm; and 1 more.")


def test_the_report_and_the_note_say_which_and_why() -> None:
    html = page(record_without(dropped("l1", 0, "a <b>bold</b> reason")))
    assert "<li>l1/0/0 on 2027-01-15: a &lt;b&gt;bold&lt;/b&gt; reason</li>" in html
    assert "4 trials on record" in html
    assert "Dropped by hand" not in page(record_without())
    assert "dropped by hand" in optuna_note.note(record_without(dropped("l1", 0)), studies={})


def test_networks_of_a_ladder_are_dropped_by_themselves() -> None:
    trial = dropped("l1", 3, "cut badly", 2, 5)
    assert trial.name == "l1/0/3, networks 2, 5"
    assert trial.places == (("l1", 0, 3, 2), ("l1", 0, 3, 5))


def test_a_choice_that_was_dropped_since_forbids_to_rank_what_it_came_to() -> None:
    sweep = make_sweep(search={"trials": 6})
    facts = make_facts(sweep)
    record = make_record(sweep, facts)
    again = confirmation_sweep(sweep, record.status, facts, seeds=1)
    assert again.confirms is not None
    chosen = again.confirms.chosen["l1"][0].slot
    confirmed = record.with_dropped([dropped("l1", chosen)]).with_confirmation(again, ())
    assert confirmed.confirmation is not None
    (problem,) = confirmed.confirmation.problems
    assert problem.startswith(f"Trials were dropped since they were confirmed: l1/0/{chosen}. ")
    left = [fact for fact in facts if fact.slot.place != ("l1", 0, chosen)]
    another = confirmation_sweep(sweep, record.status, left, seeds=1)
    assert another.confirms is not None
    assert chosen not in [config.slot for config in another.confirms.chosen["l1"]]


def test_a_training_of_a_confirmation_that_was_dropped_is_done_and_counts_nowhere() -> None:
    sweep = make_sweep(search={"trials": 6})
    record = make_record(sweep, make_facts(sweep))
    again = confirmation_sweep(sweep, record.status, record.records, seeds=2)
    trained = tuple(
        make_fact(sweep=again, arm=arm, repeat=repeat, slot=slot)
        for arm in again.arms
        for repeat, slot in again.slots(arm)
    )
    whole = record.with_confirmation(again, trained).confirmation
    gone = record.with_confirmation(again, trained, [dropped("l1", trained[-1].slot.number)])
    assert whole is not None
    assert gone.confirmation is not None
    assert gone.confirmation.done == whole.done
    assert len(gone.confirmation.records) == len(whole.records) - 1
    assert "1 trial was dropped" in gone.dropped_sentence
