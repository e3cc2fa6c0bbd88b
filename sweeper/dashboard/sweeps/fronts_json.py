"""Fronts as JSON: figures as Plotly draws them, and the networks on them. Accuracies are in %."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sweeper import plots
from sweeper.analysis import (
    Estimate,
    Front,
    FrontPoint,
    confirmation,
    describe_point,
    fronts,
    fronts_by_repeat,
    selection_metrics,
)
from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.analysis.confirmation import ConfirmedConfig
from sweeper.analysis.strength_range import edge_warnings, summarize_edges
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.config import Sweep
from sweeper.config.registry import family_title
from sweeper.dashboard.sweeps.trial_links import trial_page
from sweeper.operations.sweep_fronts import SweepFronts
from sweeper.plots import Dot, Series, View
from sweeper.plots.confirmation_view import by_size
from sweeper.plots.labels import percent
from sweeper.plots.svg import draw_svg
from sweeper.plots.svg_shapes import SHAPES
from sweeper.types import SizeMeasure, Track


def fronts_payload(record: SweepRecord, track: Track, size: SizeMeasure) -> dict[str, Any]:
    """Return the figure of all arms' fronts, and their networks with configurations."""
    sweep, records = record.ranged_sweep, record.records
    of_arms = fronts(records, sweep, track, size=size)
    by_repeat = fronts_by_repeat(records, sweep, track, size)
    view = plots.front_view(of_arms, sweep, by_repeat, link=trial_page)
    selected, other = selection_metrics(sweep)
    series = {arm.name: arm for arm in view.series}
    return {
        "name": sweep.name,
        "track": track,
        "size": size,
        "chosen_on": selected,
        "shown": other,
        "total": sweep.total_parameters,
        "script": sweep.script is not None,
        "measure": sweep.measure_label,
        "accuracies": [percent(target) for target in sweep.targets.accuracy],
        "trials": len(records),
        "ranked": not record.problems,
        **figure_frame(view),
        "sketch": draw_svg(view, "fronts-sketch"),
        "arms": [
            {
                **_look(view, series[arm]),
                "points": [
                    _point(sweep, point, dot, view)
                    for point, dot in zip(front.points, series[arm].dots, strict=True)
                ],
                "trials": front.candidates,
                "hypervolume": round(front.hypervolume(record.reference_corner), 6),
                "at_accuracy": [_smallest(front, target) for target in sweep.targets.accuracy],
            }
            for arm, front in of_arms.items()
        ],
        "edges": (
            summarize_edges(edge_warnings(sweep, of_arms))
            if size == "nonzero"
            else _uncounted(of_arms, fronts(records, sweep, track))
        ),
    }


def learning_payload(record: SweepRecord) -> dict[str, Any]:
    """Return the learning curves of the networks on the fronts; `figure` is None without any."""
    view = plots.front_curves(record.records, record.fronts(), record.sweep, link=trial_page)
    return {"figure": None} if view is None else figure_frame(view)


def comparison_payload(fronts_of_sweeps: SweepFronts, size: SizeMeasure) -> dict[str, Any]:
    """Return the figure of several sweeps' fronts, their networks, and what is unequal."""
    first = next(iter(fronts_of_sweeps.values()))
    sweeps = fronts_of_sweeps.sweeps
    view = fronts_of_sweeps.view(link=trial_page)
    series = {arm.name: arm for arm in view.series}
    return {
        "sweeps": [sweep.name for sweep in sweeps],
        "all_arms": [*dict.fromkeys(arm for sweep in sweeps for arm in sweep.arms)],
        "track": first.track,
        "size": size,
        "measure": first.measure_label,
        "accuracies": [percent(target) for target in fronts_of_sweeps.targets],
        "script": sweeps[0].script is not None,
        "notes": fronts_of_sweeps.notes,
        **figure_frame(view),
        "sketch": draw_svg(view, "fronts-sketch"),
        "arms": [
            {
                **_look(view, series[name]),
                "points": [
                    _point(front.sweep, point, dot, view)
                    for point, dot in zip(front, series[name].dots, strict=True)
                ],
                "trials": front.candidates,
                "at_accuracy": [_smallest(front, target) for target in fronts_of_sweeps.targets],
            }
            for name, front in fronts_of_sweeps.items()
        ],
    }


def _uncounted(effective: Mapping[str, Front], nonzero: Mapping[str, Front]) -> str:
    """Return how many networks are left out since their effective parameters are not counted."""
    missing = sum(nonzero[arm].candidates - effective[arm].candidates for arm in effective)
    text = "are left out: their effective parameters are not counted, see sweeper check"
    return f"{missing:,} networks {text}" if missing else ""


def confirmed_payload(result: ConfirmationResult) -> dict[str, Any]:
    """Return the figure of confirmed networks, sizes at accuracies, and the answer."""
    sweep, configs = result.sweep, result.configs
    view = plots.confirmed_view(result, link=trial_page)
    series = {arm.name: arm for arm in view.series}
    curves = confirmation.confirmed_curves(sweep, configs, "test_accuracy")
    return {
        "name": sweep.name,
        "done": result.done,
        "budget": result.budget,
        "seeds": result.seeds,
        "measure": sweep.measure_label,
        "accuracies": [percent(target) for target in sweep.targets.accuracy],
        "answer": result.answer,
        **figure_frame(view),
        "arms": [
            {
                **_look(view, series[arm]),
                "family": family_title(sweep.arms[arm].family_name),
                "points": [
                    _confirmed_point(config, dot, view)
                    for config, dot in zip(
                        by_size([config for config in configs if config.arm == arm]),
                        series[arm].dots,
                        strict=True,
                    )
                ],
                "levels": [
                    _level(confirmation.size_at_accuracy(curves[arm], target))
                    if arm in curves
                    else None
                    for target in sweep.targets.accuracy
                ],
            }
            for arm in sweep.arms
        ],
    }


def figure_frame(view: View) -> dict[str, Any]:
    """Return a view without its arms, and its figure."""
    return {
        "title": view.title,
        "subtitle": view.subtitle,
        "x_name": view.x_name,
        "y_name": view.y_name,
        "unit": view.unit,
        "cut": view.cut,
        "cut_name": view.cut_name,
        "x_range": view.x_range,
        "y_range": view.y_range,
        "ticks": view.ticks(),
        "stairs": view.stairs,
        "key": [asdict(entry) for entry in view.key],
        "line_name": view.selected_name,
        "mark_name": view.other_name,
        "published": [
            {**asdict(point), "label": point.label, "short_name": point.short_name}
            for point in view.published
        ],
        "figure": plots.draw_view(view).to_plotly_json(),
    }


def _look(view: View, series: Series) -> dict[str, Any]:
    return {
        "name": series.name,
        "color": series.color,
        "symbol": series.symbol,
        "outline": SHAPES[series.symbol],
        "filling": series.filling,
        "dash": series.dash,
        "grey": series.grey,
        "line": [(round(x, 1), y) for x, y in view.line_of(series)],
        "band": series.band,
    }


def _place(dot: Dot, view: View) -> dict[str, Any]:
    return {
        "x": view.x_of(dot),
        "y": dot.other_accuracy,
        "line": dot.selected_accuracy,
        "repeat": dot.repeat,
        "link": dot.link,
    }


def _point(sweep: Sweep, point: FrontPoint, dot: Dot, view: View) -> dict[str, Any]:
    return {
        **_place(dot, view),
        **_measured(sweep, point),
        "slot": point.slot,
        "study": point.study,
        "trial": point.trial,
        "configuration": dot.label,
        "params": dict(point.params),
    }


def _measured(sweep: Sweep, point: FrontPoint) -> dict[str, Any]:
    """Return the sizes of a network and its qualities in %; a script's by their own names."""
    qualities = [percent(point.val_accuracy), percent(point.test_accuracy)]
    if sweep.script is None:
        val, test = qualities
        counts = {"nonzero": point.nonzero, "effective": point.effective}
        return {**counts, "val_accuracy": val, "test_accuracy": test}
    names = [f"{part}_{sweep.measure_key}" for part in ("val", "test")]
    return {sweep.size_key: point.nonzero, **dict(zip(names, qualities, strict=True))}


def _confirmed_point(config: ConfirmedConfig, dot: Dot, view: View) -> dict[str, Any]:
    return {
        **_place(dot, view),
        "within": config.sizes,
        "seeds": len(config.records),
        "failed": config.failed,
        "interval": dot.interval,
        "test_accuracies": [percent(value) for value in config.accuracies("test_accuracy")],
        "configuration": describe_point(config.params),
        "links": [trial_page(record.slot.sweep, record.slot.place) for record in config.records],
    }


def _smallest(front: Front, target: float) -> int | None:
    """Return the index of the smallest network of at least that accuracy."""
    point = front.at(accuracy=target)
    return None if point is None else front.points.index(point)


def _level(level: confirmation.SizeAtAccuracy) -> dict[str, Any]:
    return {
        **_estimate(level.estimate),
        "at_most": _at_most(level.most),
        "limited": level.most is not None and level.most.high is not None,
        "reached": level.reached,
        "repeats": level.repeats,
    }


def _at_most(most: Estimate | None) -> float | None:
    """Return the one-sided limit, or the mean where there are too few repeats for one."""
    if most is None:
        return None
    return most.center if most.high is None else most.high


def _estimate(estimate: Estimate | None) -> dict[str, Any]:
    if estimate is None:
        return {"center": None, "low": None, "high": None}
    return {"center": estimate.center, "low": estimate.low, "high": estimate.high}
