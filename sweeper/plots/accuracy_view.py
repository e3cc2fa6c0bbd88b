"""View of accuracy against size: the frame that fronts, curves and confirmed networks share."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from sweeper.analysis import selection_metrics
from sweeper.config import Sweep
from sweeper.plots.arm_styles import Looks, is_plain, series_of
from sweeper.plots.labels import ACCURACY_NAMES, SIZE_NAMES
from sweeper.plots.published_points import Published, published_points
from sweeper.plots.views import Dot, KeyEntry, View
from sweeper.types import SizeMeasure

Line = tuple[tuple[float, float], ...]
"""Corners (size, accuracy in %)."""
Band = tuple[tuple[float, float, float], ...]
"""Corners (size, lower, upper accuracy in %)."""


def accuracy_view(
    dots: Mapping[str, Sequence[Dot]],
    sweep: Sweep,
    highlighted: Sequence[str],
    *,
    title: str,
    subtitle: str,
    stairs: bool,
    size: SizeMeasure = "nonzero",
    lines: Mapping[str, Line] | None = None,
    bands: Mapping[str, Band] | None = None,
    reason: str = "of largest hypervolume",
    key: tuple[KeyEntry, ...] = (),
    looks: Looks | None = None,
) -> View:
    """Return the view of the dots of each arm, the `highlighted` arms in colour for a `reason`.

    `lines` and `bands` are those of arms whose line does not go through their dots. `looks` are
    those of the arms of the sweep's file, unless others are given.
    """
    selected, other = selection_metrics(sweep)
    looks = looks or partial(series_of, file=list(sweep.arms))
    beside = f"{ACCURACY_NAMES[selected]} (line) and {ACCURACY_NAMES[other]} (markers)"
    series = tuple(
        replace(
            look,
            dots=tuple(dots[name]),
            corners=(lines or {}).get(name),
            band=() if look.grey else (bands or {}).get(name, ()),
        )
        for name, look in looks(list(dots), list(highlighted)).items()
    )
    all_dots = [dot for of_arm in dots.values() for dot in of_arm]
    heights = [y for dot in all_dots for y in (dot.selected_accuracy, dot.other_accuracy)]
    heights += [end for dot in all_dots if dot.interval for end in dot.interval]
    low, high = _zoom(heights, sweep)
    markers = [dot.other_accuracy for name in highlighted for dot in dots[name]]
    hidden = sum(not low <= height <= high for height in markers)
    if hidden:
        subtitle += f" · {hidden} of {len(markers)} lie below the picture"
    if len(highlighted) < len(dots):
        plain = [name for name in highlighted if is_plain(sweep, name)][:1]
        and_plain = f" and {plain[0]}" if plain else ""
        count = len(highlighted) - len(plain)
        subtitle += f" · of {len(dots)} arms the {count} {reason}{and_plain} in colour"
    view = View(
        title=title,
        subtitle=subtitle,
        series=series,
        selected_name=ACCURACY_NAMES[selected],
        other_name=ACCURACY_NAMES[other],
        y_name=f"{beside} {sweep.measure_label}, %",
        y_short=f"{sweep.measure_label} (%)",
        key=key,
        stairs=stairs,
        x_range=(100.0, 1_000_000.0),
        y_range=(low, high),
        hidden=hidden,
        size=size,
        x_name=sweep.size_label if size == "nonzero" else SIZE_NAMES[size],
        unit=sweep.size_unit if size == "nonzero" else size,
    )
    view = replace(view, x_range=_span([view.x_of(dot) for dot in all_dots]))
    return replace(view, published=_published_within(view, sweep))


def _published_within(view: View, sweep: Sweep) -> tuple[Published, ...]:
    """Return the published networks within a view; papers count nonzero parameters."""
    if view.size != "nonzero":
        return ()
    (left, right), (low, high) = view.x_range, view.y_range
    return tuple(
        point
        for point in published_points(sweep)
        if left <= point.nonzero <= right and low <= point.accuracy <= high
    )


def _zoom(heights: Sequence[float], sweep: Sweep) -> tuple[float, float]:
    """Return the accuracies worth showing: around the targets of the file.

    Two thirds of the height may lie below the lowest target, but nothing below the reference
    corner: one collapsed network would squash all others into a line. Where a quarter or more of
    the accuracies lie lower, they are what there is to see, and the picture reaches down.
    """
    if not heights:
        return 0.0, 100.0
    top, target = max(heights), 100 * min(sweep.targets.accuracy, default=0.0)
    floor = 100 * (1 - sweep.reference.error)
    if top > target:
        floor = max(floor, target - 2 * (top - target))
    bottom = max(min(heights), min(floor, float(np.quantile(heights, 0.25))))
    margin = max(0.06 * (top - bottom), 0.1)
    return round(bottom - margin, 3), round(min(top + margin, 100.2), 3)


def _span(sizes: Sequence[int]) -> tuple[float, float]:
    if not sizes:
        return 100.0, 1_000_000.0
    low, high = max(min(sizes), 1), max(*sizes, 1)
    margin = max((high / low) ** 0.05, 1.15)
    return low / margin, high * margin
