"""What the pages draw, as plain values that JSON can hold. Accuracies are in %."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

from sweeper import plots
from sweeper.analysis import (
    Estimate,
    Front,
    confirmation,
    describe_point,
    fronts,
    fronts_by_repeat,
    reference_corner,
    selection_metrics,
    strength_range,
)
from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.analysis.confirmation import ConfirmedConfig
from sweeper.analysis.sweep_record import SweepRecord
from sweeper.config import Sweep
from sweeper.config.registry import FAMILIES
from sweeper.plots import Dot, Series, View
from sweeper.plots.views import percent
from sweeper.types import Evaluation, Track, TrialRecord

Size = Literal["nonzero", "effective"]
"""What is counted: all parameters that are not 0, or those of them that reach the output."""
Trials = Mapping[str, int]
"""Ids of Optuna's studies by their names; those that were deleted are missing."""

_SIZES: Mapping[Size, str] = {"nonzero": "nonzero parameters", "effective": "effective parameters"}


def fronts_payload(
    record: SweepRecord, track: Track, size: Size, studies: Trials
) -> dict[str, Any]:
    """Return the fronts of all arms as they are drawn, and their networks with configurations."""
    sweep, facts = record.ranged_sweep, record.records
    counted = facts if size == "nonzero" else [_by_effective(fact) for fact in facts]
    found = fronts(counted, sweep, track)
    view = plots.front_view(found, sweep, fronts_by_repeat(counted, sweep, track))
    by, show = selection_metrics(sweep)
    corner = reference_corner(sweep, facts)
    places = {fact.slot.place: fact for fact in facts}
    looks = {series.name: series for series in view.series}
    arms = []
    for name, front in found.items():
        points = [
            _point(places[point.arm, point.repeat, point.slot], track, dot, studies)
            for point, dot in zip(front.points, looks[name].dots, strict=True)
        ]
        arms.append(
            {
                **_look(view, looks[name]),
                "points": points,
                "trials": front.candidates,
                "hypervolume": round(front.hypervolume(corner), 6),
                "at_accuracy": [
                    _smallest(front, points, target) for target in sweep.targets.accuracy
                ],
            }
        )
    return {
        "name": sweep.name,
        "track": track,
        "size": size,
        "chosen_on": by,
        "shown": show,
        "total": sweep.parameters,
        "accuracies": [percent(target) for target in sweep.targets.accuracy],
        "trials": len(facts),
        **_frame(replace(view, x_name=_SIZES[size])),
        "arms": arms,
        "edges": _edges(sweep, found) if size == "nonzero" else "",
    }


def confirmed_payload(again: ConfirmationResult, studies: Trials) -> dict[str, Any]:
    """Return confirmed networks as they are drawn, sizes at accuracies, and what they answer."""
    sweep, found = again.sweep, again.configs
    view = plots.confirmed_view(found, sweep)
    looks = {series.name: series for series in view.series}
    of = confirmation.confirmed_curves(sweep, found, "test_accuracy")
    arms = []
    for name in sweep.arms:
        mine = sorted(
            (one for one in found if one.arm == name and one.nonzero is not None),
            key=lambda one: round(one.nonzero or 0),  # as the picture rounds it: in its order
        )
        arms.append(
            {
                **_look(view, looks[name]),
                "family": FAMILIES[sweep.arms[name].family],
                "points": [
                    _again(one, dot, studies)
                    for one, dot in zip(mine, looks[name].dots, strict=True)
                ],
                "levels": [
                    _level(confirmation.size_at_accuracy(of[name], target)) if name in of else None
                    for target in sweep.targets.accuracy
                ],
            }
        )
    return {
        "name": sweep.name,
        "done": again.done,
        "budget": again.budget,
        "seeds": again.seeds,
        "accuracies": [percent(target) for target in sweep.targets.accuracy],
        "answer": again.answer,
        **_frame(view),
        "arms": arms,
    }


def _by_effective(fact: TrialRecord) -> TrialRecord:
    """Return a fact whose networks are as large as their effective parameters."""
    result = fact.result
    return replace(
        fact,
        result=replace(
            result, pruned=_effective(result.pruned), as_trained=_effective(result.as_trained)
        ),
    )


def _effective(network: Evaluation | None) -> Evaluation | None:
    return None if network is None else replace(network, nonzero=network.effective)


def _frame(view: View) -> dict[str, Any]:
    """Return all of a picture but its arms."""
    return {
        "title": view.title,
        "subtitle": view.subtitle,
        "x_name": view.x_name,
        "y_name": view.y_name,
        "x_range": view.x_range,
        "y_range": view.y_range,
        "ticks": view.ticks(),
        "stairs": view.stairs,
        "line_name": view.line_name,
        "mark_name": view.mark_name,
        "published": [
            {**asdict(one), "label": one.label}
            for one in view.published
            if view.x_name == "nonzero parameters"  # papers count those
        ],
    }


def _look(view: View, series: Series) -> dict[str, Any]:
    return {
        "name": series.name,
        "color": series.color,
        "symbol": series.symbol,
        "dash": series.dash,
        "grey": series.grey,
        "line": [(round(x, 1), y) for x, y in view.stairs_of(series)],
        "band": series.band,
    }


def _point(fact: TrialRecord, track: Track, dot: Dot, studies: Trials) -> dict[str, Any]:
    network = fact.result.judged(track)
    if network is None:
        raise AssertionError("a network on a front was judged")
    return {
        "x": dot.nonzero,
        "y": dot.mark,
        "line": dot.line,
        **_sizes(network),
        "repeat": fact.slot.repeat,
        "slot": fact.slot.number,
        "study": fact.slot.study,
        "trial": fact.trial,
        "link": _link(fact, studies),
        "configuration": describe_point(fact.params),
        "params": dict(fact.params),
    }


def _sizes(network: Evaluation) -> dict[str, Any]:
    return {
        "nonzero": network.nonzero,
        "effective": network.effective,
        "val_accuracy": percent(network.val_accuracy),
        "test_accuracy": percent(network.test_accuracy),
    }


def _again(one: ConfirmedConfig, dot: Dot, studies: Trials) -> dict[str, Any]:
    return {
        "x": dot.nonzero,
        "y": dot.mark,
        "line": dot.line,
        "repeat": one.repeat,
        "within": one.sizes,
        "seeds": len(one.records),
        "failed": one.failed,
        "test_accuracies": [percent(value) for value in one.accuracies("test_accuracy")],
        "configuration": describe_point(one.params),
        "links": [link for fact in one.records if (link := _link(fact, studies))],
        "link": _link(one.records[0], studies),
    }


def _link(fact: TrialRecord, studies: Trials) -> str | None:
    """Return where the Optuna dashboard shows a trial."""
    study = studies.get(fact.slot.study)
    return None if study is None else f"/dashboard/studies/{study}/trials?numbers={fact.trial}"


def _smallest(front: Front, points: Sequence[dict[str, Any]], target: float) -> int | None:
    """Return which of the points is the smallest network of at least that accuracy."""
    found = front.at(accuracy=target)
    return None if found is None else front.points.index(found)


def _level(at: confirmation.SizeAtAccuracy) -> dict[str, Any]:
    return {
        **_estimate(at.estimate),
        "at_most": _at_most(at.most),
        "reached": at.reached,
        "repeats": at.repeats,
    }


def _at_most(most: Estimate | None) -> float | None:
    """Return the one-sided limit, or the mean where there are too few repeats for one."""
    if most is None:
        return None
    return most.center if most.high is None else most.high


def _estimate(found: Estimate | None) -> dict[str, Any]:
    if found is None:
        return {"center": None, "low": None, "high": None}
    return {"center": found.center, "low": found.low, "high": found.high}


def _edges(sweep: Sweep, found: Mapping[str, Front]) -> str:
    return strength_range.summarize_edges(strength_range.edge_warnings(sweep, found))
