"""Views: everything that a figure says, as plain values; who draws one decides nothing more."""

from collections.abc import Callable
from dataclasses import dataclass

from sweeper.plots.labels import Tick, linear_ticks, logarithmic_ticks
from sweeper.plots.published_points import Published
from sweeper.types import Place, SizeMeasure

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


@dataclass(frozen=True, slots=True)
class Series:
    """One arm. Colour, marker and dashes together are unique; none of them needs to be."""

    name: str
    color: str
    symbol: str
    dash: str
    dots: tuple[Dot, ...] = ()
    grey: bool = False
    """One of many: a thin line without markers, and no entry of its own in the legend."""
    corners: tuple[tuple[float, float], ...] | None = None
    """Course of the line, (size, accuracy in %), if not through the dots."""
    band: tuple[tuple[float, float, float], ...] = ()
    """A staircase with two borders: (size, lower, upper accuracy in %)."""
    strokes: tuple[Stroke, ...] = ()
    """Lines without markers, in place of the one."""


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
    logarithmic: bool = True
    """The axis of `x_range`."""
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

    def ticks(self, most: int = 10) -> tuple[Tick, ...]:
        """Return at most `most` round sizes within the figure, with readable labels."""
        ticks = logarithmic_ticks if self.logarithmic else linear_ticks
        return ticks(*self.x_range, most)

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
