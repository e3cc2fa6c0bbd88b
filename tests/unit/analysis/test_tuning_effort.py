"""The effort of tuning, from records made by hand."""

import math
from typing import Any

import numpy as np
import pytest

from support.factories import (
    make_bracket,
    make_fact,
    make_facts,
    make_record,
    make_sweep,
)
from support.html_text import readable
from sweeper.analysis import Front, mean, reference_corner, strength_range
from sweeper.analysis.tuning_effort import (
    TOLERANCE,
    AnytimeFront,
    anytime_fronts,
    strength_sensitivities,
    trials_reaching_target,
)
from sweeper.config import Sweep
from sweeper.plots import draw_view, effort_view
from sweeper.reports.html_page import page
from sweeper.types import TrialRecord


def test_the_front_of_the_first_trials_is_that_of_a_shorter_search() -> None:
    sweep = make_sweep(search={"trials": 12, "repeats": 3})
    facts = make_facts(sweep)
    corner = reference_corner(sweep, facts)
    for effort in anytime_fronts(facts, sweep):
        # Oracle: the front of the facts whose slot is smaller.
        for count in range(1, 13):
            for repeat in range(3):
                some = [
                    fact
                    for fact in facts
                    if fact.slot.arm == effort.arm
                    and fact.slot.repeat == repeat
                    and fact.slot.number < count
                ]
                front = Front.of(some)
                assert effort.hypervolume[count - 1][repeat] == front.hypervolume(corner)
                for target in sweep.targets.accuracy:
                    point = front.at(accuracy=target)
                    size = point.nonzero if point else None
                    assert effort.nonzero[target][count - 1][repeat] == size
        assert effort.seconds == pytest.approx([10.0 * count for count in range(1, 13)])
        means = effort.mean()
        assert list(means) == sorted(means)
        assert effort.share(12, 12) == 1
        assert effort.share(1, 12) == pytest.approx(np.mean(effort.hypervolume[0]) / means[-1])


def test_a_search_that_is_ahead_counts_as_far_as_all_have_come() -> None:
    sweep = make_sweep(search={"trials": 4, "repeats": 2})
    facts = [fact for fact in make_facts(sweep) if fact.slot.repeat == 0 or fact.slot.number < 3]
    assert {len(effort.seconds) for effort in anytime_fronts(facts, sweep)} == {3}
    assert anytime_fronts([], sweep) == ()
    assert math.isnan(anytime_fronts([make_fact(sweep=sweep, val=0.1)], sweep)[0].share(1, 1))


def test_one_repeat_has_no_mean_and_no_band() -> None:
    one = AnytimeFront("l1", (10.0, 20.0), ((0.2,), (0.4,)), {})
    two = AnytimeFront("none", (10.0, 20.0), ((0.2, 0.3), (0.4, 0.5)), {})
    sweep = make_sweep()
    alone, beside = (effort_view(some, ["l1"], sweep).subtitle for some in ([one], [one, two]))
    assert alone.endswith("first trials, of 1 repeat")
    assert beside.endswith("mean over repeats · bands: worst to best repeat")


def trials(*some: tuple[float, int, float], sweep: Sweep, **changes: Any) -> list[TrialRecord]:
    return [
        make_fact(
            sweep=sweep, slot=slot, nonzero=size, val=val, params={"strength": strength}, **changes
        )
        for slot, (strength, size, val) in enumerate(some)
    ]


def test_a_strength_is_tolerant_where_its_trials_lose_little_at_their_size() -> None:
    sweep = make_sweep(search={"trials": 6})
    facts = trials(
        (1e-4, 4000, 0.970 - 1.1 * TOLERANCE),
        (1e-3, 4000, 0.970 - 0.9 * TOLERANCE),
        (2e-3, 4000, 0.970),
        (1e-2, 900, 0.90),  # the best at its size, however small
        (5e-2, 5000, 0.968),
        (9e-2, 5000, 0.90),
        sweep=sweep,
    )
    facts += trials((1e-1, 4000, 0.97), sweep=sweep, state="collapsed")
    (found,) = strength_sensitivities(facts, sweep)
    assert (found.arm, found.parameter) == ("l1", "strength")
    assert (found.low, found.high, found.within, found.trials) == (1e-3, 5e-2, 4, 6)
    assert found.decades == pytest.approx(math.log10(50))
    assert found.searched == (1e-4, 1e-1)
    assert found.share == pytest.approx(math.log10(50) / 3)


def test_trials_count_where_they_reach_the_lowest_target() -> None:
    sweep = make_sweep(search={"trials": 6}, targets={"accuracy": [0.98, 0.97]})
    facts = trials((1e-3, 4000, 0.97), (1e-2, 900, 0.981), (5e-2, 5000, 0.9699), sweep=sweep)
    facts += [make_fact(sweep=sweep, slot=3, val=0.99, state="diverged")]
    assert trials_reaching_target(facts, sweep) == {"none": (0, 0), "l1": (2, 4)}


def test_ranges_that_a_probe_found_are_those_searched() -> None:
    arms = {"l1": {"penalty": "l1", "strength": "auto"}}
    sweep = make_sweep(arms=arms, search={"trials": 1})
    facts = trials((0.005, 4000, 0.97), sweep=sweep)
    assert strength_sensitivities(facts, sweep) == ()  # not known yet
    (found,) = strength_sensitivities(
        facts, sweep.with_ranges(strength_range.ranges([make_bracket()]))
    )
    assert found.searched == (1e-3, 1e-1)
    assert found.share == 0


def test_the_picture_has_trials_across_and_a_band_over_repeats() -> None:
    sweep = make_sweep(search={"trials": 12, "repeats": 3})
    facts = make_facts(sweep)
    found = anytime_fronts(facts, sweep)
    view = effort_view(found, ["l1"], sweep)
    assert (view.x_name, view.y_name, view.logarithmic) == (
        "trials of one search",
        "hypervolume",
        False,
    )
    assert [series.name for series in view.coloured] == ["l1"]
    assert [series.name for series in view.grey] == ["none"]
    (series,) = view.coloured
    effort = next(one for one in found if one.arm == "l1")
    # Oracle: the height of a staircase is that of its last corner; it needs no others.
    assert series.corners
    for corners, heights in (
        (series.corners, [(height,) for height in effort.mean()]),
        (series.band, [(min(of), max(of)) for of in effort.hypervolume]),
    ):
        assert len({corner[1:] for corner in corners}) == len(corners)
        for trials, wanted in enumerate(heights, start=1):
            at = [corner[1:] for corner in corners if corner[0] <= trials]
            assert at[-1] == pytest.approx(wanted, abs=1e-4)
    axis = draw_view(view).to_plotly_json()["layout"]["xaxis"]
    assert axis["type"] == "linear"
    assert axis["range"] == [0.5, 12.5]
    assert list(axis["tickvals"]) == [2, 4, 6, 8, 10, 12]
    assert not effort_view(found, ["l1"], sweep).empty
    assert effort_view((), (), sweep).empty


def test_the_report_shows_shares_the_last_hypervolume_with_its_interval_and_tolerance() -> None:
    sweep = make_sweep(search={"trials": 12, "repeats": 5})
    facts = make_facts(sweep)
    text = readable(page(make_record(sweep, facts)))
    assert (
        "arm after 3 after 6 after 9 after 12 trials training trials at 97 % strength may vary"
        in text
    )
    effort = next(one for one in anytime_fronts(facts, sweep) if one.arm == "l1")
    last = mean(effort.hypervolume[-1])
    assert last is not None
    shares = " ".join(f"{100 * effort.share(count, 12):.1f} %" for count in (3, 6, 9))
    said = f"l1 {shares} {last.center:.4f} {last.low:.4f} to {last.high:.4f} 120 s "
    said += "{} of {} ".format(*trials_reaching_target(facts, sweep)["l1"])
    assert said in text
    (found,) = [one for one in strength_sensitivities(facts, sweep) if one.arm == "l1"]
    assert f"{said}{found.decades:.1f} decades {found.low:.2g} to {found.high:.2g} " in text


def test_while_a_sweep_runs_arms_are_shown_after_as_many_trials() -> None:
    sweep = make_sweep(search={"trials": 12, "repeats": 2})
    facts = [fact for fact in make_facts(sweep) if fact.slot.arm == "l1" or fact.slot.number < 8]
    text = readable(page(make_record(sweep, facts)))
    effort = next(one for one in anytime_fronts(facts, sweep) if one.arm == "l1")
    assert len(effort.seconds) == 12
    assert effort.mean()[7] < effort.mean()[11]
    assert "arm after 2 after 4 after 6 after 8 trials" in text
    shares = " ".join(f"{100 * effort.share(count, 8):.1f} %" for count in (2, 4, 6))
    assert f"l1 {shares} {effort.mean()[7]:.4f} n = 2 {effort.seconds[7]:,.0f} s" in text


def test_effort_counts_trainings_however_many_networks_they_bring() -> None:
    ladder = {"densities": [0.1, 0.05, 0.02]}
    sweep = make_sweep(search={"trials": 2}, sparsification=ladder, targets={"accuracy": [0.95]})
    vals = [(0.9, 0.8, 0.7), (0.97, 0.96, 0.5)]
    facts = [
        make_fact(sweep=sweep, slot=slot, network=n, nonzero=20_000 // (n + 1), val=val)
        for slot, networks in enumerate(vals)
        for n, val in enumerate(networks)
    ]
    (effort,) = anytime_fronts(facts, sweep)
    assert effort.seconds == (30.0, 60.0)
    assert effort.nonzero[0.95] == ((None,), (10_000,))
    assert trials_reaching_target(facts, sweep)["l1"] == (1, 2)
    (width,) = strength_sensitivities(facts, sweep)
    assert (width.within, width.trials) == (3, 6)
