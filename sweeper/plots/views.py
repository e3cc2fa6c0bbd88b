"""Views: everything that a figure says, as plain values; who draws one decides nothing more."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sweeper.plots.labels import MOST_LINEAR, Tick, linear_ticks, logarithmic_ticks, minor_ticks
from sweeper.plots.published_points import Published
from sweeper.types import Place, SizeMeasure

Filling = Literal["filled", "open", "ringed", "pierced"]
"""The inside of a marker: full, empty, empty with a dot in it, full with a hole in it."""

KNOTS = 7
"""Markers on a line that no network gives any."""
TrialLink = Callable[[str, Place], str | None]
"""The page of a trial, by its sweep and its place in it; None where it has none."""


def no_link(sweep: str, place: Place) -> None:
    """Return no page, for any trial."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """One of several lines of an arm."""

    points: tuple[tuple[float, float], ...]
    label: str
    link: str | None = None
    """The page of its trial, for figures that can be clicked on."""


@dataclass(frozen=True, slots=True)
class Dot:
    """One network: its sizes and its two accuracies in %."""

    nonzero: int
    selected_accuracy: float
    """The accuracy that it was selected on: a corner of the line."""
    other_accuracy: float
    """The accuracy that nothing was selected on: its marker stands there."""
    repeat: int
    trial: int
    label: str
    """Its configuration."""
    effective: int | None = None
    """Parameters that reach the output; None where they were not counted."""
    link: str | None = None
    """The page of its trial, for figures that can be clicked on."""
    interval: tuple[float, float] | None = None
    """The ends of the bar at its marker, in %."""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """An entry of the legend, in ink, about all arms: what one of the shapes shows."""

    shape: Literal["line", "marker", "band", "bar"]
    text: str


@dataclass(frozen=True, slots=True)
class Series:
    """One arm. The place of an arm in its file gives it colour and marker, see `arm_styles`."""

    name: str
    color: str
    symbol: str
    dash: str
    filling: Filling = "filled"
    dots: tuple[Dot, ...] = ()
    grey: bool = False
    """One of many: a thin line without markers, and no entry of its own in the legend."""
    corners: tuple[tuple[float, float], ...] | None = None
    """Course of the line, (size, accuracy in %), if not through the dots."""
    band: tuple[tuple[float, float, float], ...] = ()
    """Two borders: (size, lower, upper accuracy in %), staircases where the line is one."""
    strokes: tuple[Stroke, ...] = ()
    """Lines without markers, in place of the one."""

    @property
    def knots(self) -> tuple[tuple[float, float], ...]:
        """Places of markers that stand for no network, so that lines of one colour differ.

        At the end of each stroke, and at up to `KNOTS` corners of a line without dots.
        """
        if self.strokes:
            return tuple(stroke.points[-1] for stroke in self.strokes if stroke.points)
        corners = self.corners or ()
        if self.dots or self.grey or not corners:
            return ()
        step = max(1, math.ceil((len(corners) - 1) / (KNOTS - 1)))
        return tuple(dict.fromkeys([*corners[::step], corners[-1]]))


@dataclass(frozen=True, slots=True)
class View:
    """Everything that a figure says: accuracy against size, unless its axes say otherwise."""

    title: str
    subtitle: str
    series: tuple[Series, ...]
    selected_name: str
    """Name of the accuracy that lines show."""
    other_name: str
    """Name of the accuracy that markers show."""
    stairs: bool
    """Lines are staircases (a front), not straight from point to point (a curve)."""
    x_range: tuple[float, float]
    """Sizes in parameters."""
    y_range: tuple[float, float]
    """Accuracies in %."""
    hidden: int
    """Markers that lie outside `y_range`."""
    size: SizeMeasure = "nonzero"
    """The count of parameters on the horizontal axis."""
    published: tuple[Published, ...] = ()
    """Drawn beside, within the figure."""
    x_name: str = "nonzero parameters"
    unit: str = "nonzero"
    """Size behind a number."""
    y_name: str = "accuracy (%)"
    y_short: str = "accuracy (%)"
    """The same where there is little room."""
    key: tuple[KeyEntry, ...] = ()
    """What lines, markers, bands and bars show."""
    logarithmic: bool = True
    """The axis of `x_range`."""
    sweeps: tuple[str, ...] = ()
    """Names of the sweeps, if there are several: its series are `sweep/arm` then."""
    cut: float | None = None
    """Where a dotted line stands upright."""
    cut_name: str = ""

    @property
    def empty(self) -> bool:
        """There is nothing to see yet."""
        return not any(look.dots or look.corners or look.strokes for look in self.series)

    @property
    def coloured(self) -> tuple[Series, ...]:
        """The arms with a look of their own."""
        return tuple(series for series in self.series if not series.grey)

    @property
    def grey(self) -> tuple[Series, ...]:
        """The other arms, which share one entry of the legend."""
        return tuple(series for series in self.series if series.grey)

    @property
    def others(self) -> str:
        """The entry of the grey arms in the legend."""
        return f"{len(self.grey)} other arms"

    def ticks(self, most: int = 14) -> tuple[Tick, ...]:
        """Return at most `most` round sizes within the figure, with readable labels."""
        if self.logarithmic:
            return logarithmic_ticks(*self.x_range, most)
        return linear_ticks(*self.x_range, min(most, MOST_LINEAR))

    def minor_ticks(self) -> tuple[float, ...]:
        """Return the sizes in between that have a small tick and no label."""
        return minor_ticks(*self.x_range) if self.logarithmic else ()

    def share(self, size: float) -> float:
        """Return the place of a size on the horizontal axis: 0 at its left end, 1 at its right."""
        (low, high), at = self.x_range, size
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(max(size, 1))
        return (at - low) / (high - low)

    def x_of(self, dot: Dot) -> int:
        """Return the size of a network that the horizontal axis shows."""
        if self.size == "nonzero":
            return dot.nonzero
        if dot.effective is None:
            raise ValueError("effective parameters were not counted")
        return dot.effective

    def line_of(self, series: Series) -> tuple[tuple[float, float], ...]:
        """Return the corners of a line; a staircase goes on to the right edge of the figure.

        The accuracy that a network of some size reaches, a larger one may too: the last step has
        no end.
        """
        corners = series.corners
        if corners is None:
            corners = tuple((float(self.x_of(dot)), dot.selected_accuracy) for dot in series.dots)
        if not (self.stairs and corners):
            return corners
        return (*corners, (self.x_range[1], corners[-1][1]))
