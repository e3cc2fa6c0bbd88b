"""Answers that quote nothing: the reason, and commands that bring what is missing."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.factories import make_record, make_status
from support.family_cases import ARMS, SIZES, again, confirmed, search, sizes
from sweeper.analysis import FEWEST, WIDEST, Curve, paired_ratio
from sweeper.analysis.family_comparison import compare_families
from sweeper.analysis.missing_evidence import missing_confirmation
from sweeper.reports.summary import headline

END = "sweeper run FILE --extend and sweeper confirm toy."
ANEW = "sweeper run FILE --extend and sweeper delete toy/confirmed and sweeper confirm toy."


def answer(repeats: int, middle: Any = sizes, **changes: Any) -> str:
    sweep, facts = search(repeats, **changes)
    confirms, _, trained = again(repeats, middle, **changes)
    return confirmed(sweep, facts, confirms, trained).answer


def test_under_five_repeats_no_ratio_is_quoted_and_the_commands_stand_there() -> None:
    for repeats, there in ((1, "there is 1"), (2, "there are 2"), (4, "there are 4")):
        said = answer(repeats)
        assert said.startswith(f"No ratio is quoted: an interval needs 5 repeats, and {there}. ")
        assert f"For one: search.repeats: 5 in the study file, then {END}" in said
    assert answer(5).startswith("At 97 % test accuracy, ")


def test_a_bound_without_a_limit_is_in_no_answer() -> None:
    def small(arm: str, repeat: int) -> tuple[float, float]:
        val, test = sizes(arm, repeat)
        return val, 1800 if arm == "l1" else test

    sweep, found, _ = again(4, small)
    rows = [row for row in compare_families(sweep, found) if row.bound]
    assert rows
    assert not any(row.quotable for row in rows)
    assert "at least" not in answer(4, small)
    assert "at least" in answer(5, small)


def test_sizes_too_far_apart_are_named_with_the_targets_that_bring_more() -> None:
    def nothing_but_ends(repeats: int, **changes: Any) -> str:
        sweep, facts = search(repeats, **changes)
        confirms, _, trained = again(repeats, sizes, **changes)
        wide = [
            replace(
                record,
                result=replace(
                    record.result,
                    pruned=replace(network, nonzero=9 * network.nonzero),
                ),
            )
            if (network := record.result.pruned) and network.nonzero == SIZES[1]
            else record
            for record in trained
        ]
        return confirmed(sweep, facts, confirms, wide).answer

    said = nothing_but_ends(5)
    assert said.startswith("No ratio is quoted: entropy has no confirmed network between 1,900 ")
    assert "times apart, to read a size at 97 %" in said
    # The search has networks there.
    assert "in targets.nonzero" in said
    assert said.endswith(ANEW)


def test_where_no_difference_is_shown_the_limits_are_quoted_and_no_mean() -> None:
    def alike(arm: str, repeat: int) -> tuple[float, float]:
        val, test = sizes(arm, repeat)
        return val, test * (1.2 if arm == "control" and repeat % 2 else 1.0)

    sweep, found, _ = again(5, alike)
    (row,) = [
        row
        for row in compare_families(sweep, found)
        if (row.family, row.against, row.accuracy) == ("shuffled", "lp", 0.97)
    ]
    # Oracle: the interval of the five ratios that were put in.
    pairs = [(alike("control", repeat)[1], alike("l1", repeat)[1]) for repeat in range(5)]
    ratio = paired_ratio([ours for ours, _ in pairs], [theirs for _, theirs in pairs])
    assert ratio is not None
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low < 1 < ratio.high
    ends = f"(control) between {ratio.low:.2f} and {ratio.high:.2f} times"
    said = answer(5, alike)
    assert f"{ends} (95 % interval: no difference is shown, n = 5 repeats)" in said
    assert f"{ratio.center:.2f} times" not in said
    assert row.quotable


def test_an_arm_that_seldom_reaches_the_target_is_named() -> None:
    def seldom(arm: str, repeat: int) -> tuple[float, float]:
        val, test = sizes(arm, repeat)
        return val, test if repeat < 3 else 20_000

    said = answer(5, seldom, targets={"nonzero": list(SIZES), "accuracy": [0.97]})
    assert "reaches 97 % in 3 of 5 repeats" in said
    assert "a lower accuracy or larger sizes in targets" in said
    assert said.endswith(ANEW)


def test_arms_that_are_better_already_ask_for_smaller_sizes() -> None:
    said = answer(5, targets={"nonzero": list(SIZES), "accuracy": [0.9]})
    assert "are better than 90 % already in 5 of 5 repeats" in said
    assert "a higher accuracy or smaller sizes in targets" in said


def test_a_single_size_lies_on_one_side_of_every_accuracy() -> None:
    sweep, facts = search(5, targets={"nonzero": [SIZES[1]], "accuracy": [0.97]})
    confirms, _, trained = again(5, sizes, targets={"nonzero": [SIZES[1]], "accuracy": [0.97]})
    said = confirmed(sweep, facts, confirms, trained).answer
    assert "with one size in targets.nonzero no accuracy lies between two" in said


@pytest.mark.parametrize(
    ("names", "reason", "change"),
    [
        (("l1",), "l1 is the only arm", "an arm to compare it with"),
        (("l1", "l2"), "no two sides", "compare: {families: [l2], against: [l1]}"),
    ],
)
def test_arms_without_two_sides_are_told_what_to_compare(
    names: tuple[str, ...], reason: str, change: str
) -> None:
    said = answer(5, arms={name: ARMS[name] for name in names})
    assert reason in said
    assert change in said


def test_before_a_confirmation_nothing_is_claimed_but_its_commands() -> None:
    for repeats in (1, 4, 5):
        sweep, facts = search(repeats)
        said = headline(make_record(sweep, facts))
        assert said == missing_confirmation(sweep, make_status(sweep, facts)).sentence
        assert said.startswith("No answer yet: ")
        assert said.endswith("sweeper confirm toy.")
        assert ("search.repeats: 5" in said) == (repeats < FEWEST)
    sweep, facts = search(2)
    said = headline(make_record(sweep, facts[::4]))
    assert said == "No answer yet: 6 of 24 trials done. For one: sweeper run FILE."


@given(
    points=st.lists(
        st.tuples(st.integers(1, 10**6), st.floats(0.5, 1.0)),
        min_size=1,
        max_size=8,
        unique_by=lambda point: point[0],
    ),
    accuracy=st.floats(0.5, 1.0),
)
def test_a_bracket_is_the_nearest_sizes_on_both_sides(
    points: list[tuple[int, float]], accuracy: float
) -> None:
    curve = Curve.of(points)
    value = curve.nonzero_at(accuracy)
    # Oracle: the largest size under the accuracy and the smallest one at it, by looking at all.
    pairs = list(zip(curve.sizes, curve.accuracies, strict=True))
    under = [size for size, reached in pairs if reached < accuracy]
    over = [size for size, reached in pairs if reached >= accuracy]
    exact = [size for size, reached in pairs if reached == accuracy]
    if value.bracket is None:
        assert not over or (not under and not exact)
        return
    ends = (exact[0], exact[0]) if exact else (under[-1], over[0])
    assert (value.bracket.low, value.bracket.high) == ends
    assert value.bracket.close == (ends[1] <= WIDEST * ends[0] * (1 + 1e-9))
    assert value.exact is not None
    assert ends[0] * (1 - 1e-9) <= value.exact <= ends[1] * (1 + 1e-9)
