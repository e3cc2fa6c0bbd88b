"""Intervals of confirmed networks: bars over seeds, bands over repeats, or words for none."""

from dataclasses import replace

import pytest
from scipy.stats import ttest_1samp

from support.factories import make_fact, make_facts, make_record, make_sweep
from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.analysis.confirmation import confirmation_sweep
from sweeper.plots import View, confirmed_view, draw_view, standalone_svg

TARGETS = {"nonzero": [2_000, 60_000, 266_610]}


def confirmed(seeds: int, repeats: int) -> ConfirmationResult:
    """Return a confirmed sweep whose seeds differ."""
    sweep = make_sweep(search={"trials": 6, "repeats": repeats}, targets=TARGETS)
    facts = make_facts(sweep)
    record = make_record(sweep, facts)
    again = confirmation_sweep(sweep, record.status, facts, seeds=seeds)
    plan = again.confirms
    assert plan is not None
    trained = [
        make_fact(
            sweep=again,
            arm=arm,
            repeat=repeat,
            slot=number,
            nonzero=800 * (1 + config.slot),
            test=0.95 + 0.002 * seed + 0.001 * repeat,
        )
        for arm in again.arms
        for repeat, number in again.slots(arm)
        for config, seed in [plan.at(arm, repeat, number)]
    ]
    result = record.with_confirmation(again, trained).confirmation
    assert result is not None
    return result


def key(view: View) -> dict[str, str]:
    return {entry.shape: entry.text for entry in view.key}


def test_a_marker_has_the_t_interval_of_its_seeds_and_a_line_that_of_its_repeats() -> None:
    result = confirmed(seeds=3, repeats=5)
    view = confirmed_view(result)
    dots = {(s.name, dot.repeat, dot.nonzero): dot for s in view.series for dot in s.dots}
    assert len(dots) == len(result.configs)
    for config in result.configs:
        dot = dots[config.arm, config.repeat, round(config.nonzero or 0)]
        accuracies = [100 * value for value in config.accuracies("test_accuracy")]
        # Oracle: SciPy's own confidence interval of a one-sample t-test.
        wanted = ttest_1samp(accuracies, 0).confidence_interval(0.95)
        assert dot.interval == pytest.approx((wanted.low, wanted.high), abs=2e-3)
    assert all(series.band for series in view.coloured)
    for series in view.coloured:
        for (_, low, high), (_, center) in zip(series.band, series.corners or (), strict=True):
            assert low < center < high
    assert set(key(view)) == {"marker", "bar", "line", "band"}
    assert "bars and bands: 95 % t-intervals over seeds and over repeats" in view.subtitle
    bars = [
        trace["error_y"] for trace in draw_view(view).to_plotly_json()["data"] if "error_y" in trace
    ]
    assert [len(bar["array"]) for bar in bars] == [len(s.dots) for s in view.coloured]
    assert standalone_svg(view).count('stroke-opacity="0.7"') == len(dots) + 1  # and the key


@pytest.mark.parametrize("seeds", [1, 2])
def test_of_too_few_seeds_and_repeats_the_legend_says_that_there_is_no_interval(seeds: int) -> None:
    view = confirmed_view(confirmed(seeds=seeds, repeats=2))
    assert not any(dot.interval for series in view.series for dot in series.dots)
    assert not any(series.band for series in view.series)
    assert set(key(view)) <= {"marker", "line"}
    assert all(text.endswith(", no interval") for text in key(view).values())
    assert "under 3 seeds no bars · under 5 repeats no bands" in view.subtitle


def test_an_arm_looks_as_in_the_search_if_an_earlier_one_chose_nothing() -> None:
    result = confirmed(seeds=3, repeats=2)
    whole = confirmed_view(result)
    only = result.sweep.model_copy(update={"arms": {"l1": result.sweep.arms["l1"]}})
    configs = tuple(config for config in result.configs if config.arm == "l1")
    part = confirmed_view(replace(result, sweep=only, configs=configs))
    [alone] = part.series
    [before] = [series for series in whole.series if series.name == "l1"]
    assert (alone.color, alone.symbol) == (before.color, before.symbol)
