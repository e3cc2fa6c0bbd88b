"""The note and figures of a sweep's study, from records made by hand."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import pytest

from support.factories import (
    make_bracket,
    make_fact,
    make_facts,
    make_record,
    make_status,
    make_sweep,
    small_study,
)
from sweeper.analysis import fronts_by_repeat, reference_corner
from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.analysis.confirmation import confirmation_sweep
from sweeper.config import Sweep
from sweeper.reports import optuna_note
from sweeper.types import RecordedRange, TrialRecord, TrialState

THIRTEEN = {
    f"arm-{n}": {"penalty": "l1", "strength": {"log_uniform": [1e-4, 1]}} for n in range(13)
}


def shown(
    sweep: Sweep, facts: list[TrialRecord], again: ConfirmationResult | None = None
) -> optuna_note.Figures:
    return optuna_note.figures(replace(make_record(sweep, facts), confirmation=again))


def note(
    sweep: Sweep,
    facts: list[TrialRecord],
    *,
    ranges: Sequence[RecordedRange] = (),
    again: ConfirmationResult | None = None,
    studies: Mapping[str, int] | None = None,
) -> str:
    if studies is None:
        studies = {name: number for number, name in enumerate(["toy", *sweep.studies()])}
    record = replace(make_record(sweep, facts, ranges=ranges), confirmation=again)
    return optuna_note.note(record, studies=studies)


def again(
    sweep: Sweep, facts: list[TrialRecord], seeds: int = 2, undone: int = 0
) -> ConfirmationResult:
    """Return a confirmation whose networks are those of the search, by and by."""
    wanted = confirmation_sweep(sweep, make_status(sweep, facts), facts, seeds=seeds)
    assert wanted.confirms
    trained = []
    for arm in wanted.arms:
        for repeat, number in wanted.slots(arm):
            one, _ = wanted.confirms.at(arm, repeat, number)
            (found,) = [f for f in facts if f.slot.place == (arm, repeat, one.slot)]
            network = found.result.judged("pruned")
            assert network
            make = partial(make_fact, sweep=wanted, arm=arm, repeat=repeat, slot=number)
            trained.append(
                make(nonzero=network.nonzero, val=network.val_accuracy, params=one.params)
            )
    record = make_record(sweep, facts, confirmation=(wanted, trained[: len(trained) - undone]))
    assert record.confirmation
    return record.confirmation


@pytest.fixture(scope="module")
def large() -> tuple[Sweep, list[TrialRecord]]:
    """The facts of 13 arms of 5 repeats of 24 trials."""
    sweep = make_sweep(
        arms=THIRTEEN,
        search={"trials": 24, "repeats": 5},
        targets={"nonzero": [2000, 5000, 20_000], "accuracy": [0.96, 0.975]},
    )
    return sweep, list(make_facts(sweep))


def test_all_figures_of_thirteen_arms_are_small(large: tuple[Sweep, list[TrialRecord]]) -> None:
    found = shown(*large, again(*large))
    assert list(found) == [
        "sweeper-fronts",
        "sweeper-hypervolume",
        "sweeper-effort",
        "sweeper-confirmed",
    ]
    sizes = {name: len(text or "") for name, text in found.items()}
    assert all(2000 < size < 25_000 for size in sizes.values()), sizes


def test_what_has_nothing_to_show_is_no_figure() -> None:
    sweep = make_sweep()
    facts = [make_fact(sweep=sweep, slot=slot) for slot in range(2)]
    empty = dict.fromkeys(["sweeper-hypervolume", "sweeper-effort", "sweeper-confirmed"])
    assert shown(sweep, []) | empty == shown(sweep, [])
    first = shown(sweep, facts[:1])
    assert first["sweeper-hypervolume"]
    assert first["sweeper-effort"] is None  # one trial is no curve
    assert shown(sweep, facts)["sweeper-effort"]
    collapsed = [make_fact(sweep=sweep, slot=slot, state="collapsed") for slot in range(3)]
    assert shown(sweep, collapsed) | empty == shown(sweep, collapsed)
    unborn = ConfirmationResult(sweep, (), ())
    assert shown(sweep, facts, unborn)["sweeper-confirmed"] is None


def test_hypervolume_is_drawn_by_repeat_from_the_best_arm_down(
    large: tuple[Sweep, list[TrialRecord]],
) -> None:
    sweep, facts = large
    figure = json.loads(shown(sweep, facts)["sweeper-hypervolume"] or "")
    _, dots, means = figure["data"]
    # Oracle: the fronts of the repeats, each on its own.
    corner = reference_corner(sweep, facts)
    worth = {
        arm: [round(front.hypervolume(corner), 4) for front in of]
        for arm, of in fronts_by_repeat(facts, sweep).items()
    }
    drawn: dict[str, list[float]] = {}
    for name, value in zip(dots["y"], dots["x"], strict=True):
        drawn.setdefault(name, []).append(value)
    assert drawn == worth
    assert means["y"] == sorted(worth, key=lambda arm: -sum(worth[arm]))
    assert means["x"] == pytest.approx([sum(worth[arm]) / 5 for arm in means["y"]], abs=1e-4)
    assert figure["layout"]["yaxis"]["categoryarray"] == means["y"][::-1]


def test_a_repeat_of_which_all_collapsed_is_worth_nothing() -> None:
    sweep = make_sweep(search={"trials": 1, "repeats": 3})
    states: list[TrialState] = ["complete", "collapsed"]
    facts = [make_fact(sweep=sweep, arm="l1", repeat=n, state=states[n]) for n in range(2)]
    figure = json.loads(shown(sweep, facts)["sweeper-hypervolume"] or "")
    _, dots, means = figure["data"]
    good, none = dots["x"]  # the third repeat has no trial yet
    assert good > none == 0
    assert means["x"] == pytest.approx([good / 2], abs=1e-4)


def test_of_many_arms_the_hypervolume_of_the_best_is_drawn() -> None:
    sweep = make_sweep(arms={f"arm-{n}": {"penalty": "l1", "strength": 1} for n in range(30)})
    facts = [
        make_fact(sweep=sweep, arm=arm, nonzero=1000 + 100 * n) for n, arm in enumerate(sweep.arms)
    ]
    figure = json.loads(shown(sweep, facts)["sweeper-hypervolume"] or "")
    assert figure["data"][2]["y"] == [f"arm-{n}" for n in range(16)]
    assert "the best 16 of 30 arms" in figure["layout"]["title"]["subtitle"]["text"]


def test_the_note_says_which_fronts_end_on_the_edge_of_a_range() -> None:
    sweep = make_sweep(arms={"l1": {"penalty": "l1", "strength": "auto"}})
    facts = [make_fact(sweep=sweep, params={"strength": strength}) for strength in (0.099, 0.01)]
    for some, said in ((facts, True), (facts[1:], False)):
        text = note(sweep, some, ranges=[make_bracket()])
        line = "\nThe front of l1 ends on the edge of a searched strength: better networks may "
        assert (line in text) == said


def test_the_note_names_what_keeps_arms_from_being_ranked_above_its_headline() -> None:
    sweep, facts = small_study()
    above, rest, _ = note(sweep, facts[:3]).partition("**The arms are not ranked")
    assert rest
    assert "\n- The arms have unequal numbers of finished trials: none 2, l1 1.\n" in above
    assert "not ranked" not in note(sweep, facts)


def test_the_note_links_to_the_live_fronts_and_to_the_studies_that_are_there() -> None:
    sweep = make_sweep(search={"trials": 4, "repeats": 3})
    text = note(sweep, [], studies={"toy/l1/0": 7, "toy/l1/2": 9})
    assert "[Live fronts](/sweeps/toy/)" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| l1 ")]
    assert row.endswith("[0](/dashboard/studies/7) [2](/dashboard/studies/9) |")
    (other,) = [line for line in text.splitlines() if line.startswith("| none ")]
    assert other.endswith("– |")


def test_the_answer_of_a_confirmation_stands_in_both_notes(
    large: tuple[Sweep, list[TrialRecord]],
) -> None:
    sweep, facts = large
    studies = {"toy": 1, "toy/confirmed": 77, "toy/arm-0/confirmed": 78}
    for undone, said in ((1, "no answer before all are"), (0, "No ratio is quoted: ")):
        known = again(sweep, facts, undone=undone)
        for text in (
            note(sweep, facts, again=known, studies=studies),
            optuna_note.confirmed_note(known, studies=studies),
        ):
            assert said in text
            assert "[Live fronts](/sweeps/toy/)" in text
    assert "[toy/confirmed](/dashboard/studies/77)" in note(
        sweep, facts, again=known, studies=studies
    )
    own = optuna_note.confirmed_note(known, studies=studies)
    assert "search: [toy](/dashboard/studies/1)" in own
    assert "[arm-0](/dashboard/studies/78)" in own
