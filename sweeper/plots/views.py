"""What a picture shows, as plain values: whoever draws decides nothing more."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sweeper.analysis import (
    LEVELS,
    Front,
    FrontPoint,
    Surface,
    attainment,
    describe_point,
    fronts,
    selection_metrics,
)
from sweeper.config import Sweep
from sweeper.plots.published_points import Published, published_points
from sweeper.types import Accuracy, CurvePoint, TrialRecord

# Okabe and Ito (2008), told apart with any colour vision; their yellow is left out, since a thin
# line of it cannot be seen on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x", "star")
DASHES = ("solid", "dash", "dot", "dashdot")
GREY = "#A3A8AE"
MOST = 8
"""With more arms than this, most are grey: nobody tells thirty lines apart by their look."""
SHORT: Mapping[Accuracy, str] = {"val_accuracy": "validation", "test_accuracy": "test"}
TRACKS = {"pruned": "pruned track", "as_trained": "as-trained track"}


@dataclass(frozen=True, slots=True)
class Dot:
    """One network: its size and its two accuracies in %."""

    nonzero: int
    line: float
    """The accuracy that it was chosen on: a corner of the line."""
    mark: float
    """The other accuracy: where its marker stands."""
    repeat: int
    trial: int
    label: str
    """Its configuration."""


@dataclass(frozen=True, slots=True)
class Series:
    """One arm. Colour, marker and dashes together are its own; none of them needs to be."""

    name: str
    color: str
    symbol: str
    dash: str
    dots: tuple[Dot, ...]
    grey: bool = False
    """One of many: a thin line without markers, and no entry of its own in the legend."""
    corners: tuple[tuple[float, float], ...] | None = None
    """Where the line runs, (nonzero, accuracy in %), if not through the dots."""
    band: tuple[tuple[float, float, float], ...] = ()
    """A staircase with two borders: (nonzero, lower, upper accuracy in %)."""


@dataclass(frozen=True, slots=True)
class View:
    """Everything that a picture says: of accuracy against size, unless its axes say otherwise."""

    title: str
    subtitle: str
    series: tuple[Series, ...]
    line_name: str
    mark_name: str
    stairs: bool
    """Whether lines are staircases (a front) or straight from point to point (a curve)."""
    x_range: tuple[float, float]
    """Nonzero parameters; the axis is logarithmic."""
    y_range: tuple[float, float]
    """Accuracy in %."""
    hidden: int
    """Markers that lie outside `y_range`."""
    published: tuple[Published, ...] = ()
    """Drawn beside, within the picture."""
    x_name: str = "nonzero parameters"
    y_name: str = "accuracy (%)"
    logarithmic: bool = True
    """The axis of `x_range`."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to see yet."""
        return not any(series.dots or series.corners for series in self.series)

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
        """What the legend says of the grey arms."""
        return f"{len(self.grey)} other arms"

    def ticks(self, most: int = 10) -> tuple[tuple[int, str], ...]:
        """Return at most `most` round sizes within the picture, with readable labels."""
        if not self.logarithmic:
            return _whole_ticks(*self.x_range, most)
        low, high = (math.log10(end) for end in self.x_range)
        decades = range(math.floor(low), math.ceil(high) + 1)
        for steps in ((1, 2, 5), (1, 3), (1,)):
            values = [step * 10**decade for decade in decades if decade >= 0 for step in steps]
            inside = [value for value in values if low <= math.log10(value) <= high]
            if len(inside) <= most:
                break
        return tuple((value, short_count(value)) for value in inside)

    def stairs_of(self, series: Series) -> tuple[tuple[float, float], ...]:
        """Return the corners of a line; a staircase goes on to the right edge of the picture.

        What a network of some size reaches, a larger one may too: the last step has no end.
        """
        corners = tuple((float(dot.nonzero), dot.line) for dot in series.dots)
        if series.corners is not None:
            corners = series.corners
        if not (self.stairs and corners):
            return corners
        return (*corners, (self.x_range[1], corners[-1][1]))


def front_view(
    found: Mapping[str, Front],
    sweep: Sweep,
    repeats: Mapping[str, Sequence[Front]] | None = None,
) -> View:
    """Return the fronts of the arms in one picture, in the order given.

    With the fronts of an arm's `repeats`, two or more, its line is what half of them attain, amid
    a band from a quarter to three quarters.
    """
    by, show = selection_metrics(sweep)
    track = next((front.track for front in found.values()), sweep.sparsification.track)
    dots = {
        name: [_dot(point, by, show) for point in front.points] for name, front in found.items()
    }
    chosen = f"chosen on {SHORT[by]}, {SHORT[show]} beside"
    if by == "test_accuracy":
        chosen = "chosen on TEST accuracy (select_on: test)"
    several = {name: of for name, of in (repeats or {}).items() if len(of) > 1}
    surfaces = {name: [attainment(of, q) for q in LEVELS] for name, of in several.items()}
    lines = f"lines: fronts on {SHORT[by]} accuracy · markers: {SHORT[show]} accuracy of the same"
    if several:
        most = max(len(of) for of in several.values())
        lines = (
            f"lines: {SHORT[by]} accuracy that half of {most} repeats attain, bands 25 to 75 % · "
            f"markers: {SHORT[show]} accuracy of the pooled front's"
        )
    return make_view(
        dots,
        sweep,
        highlighted_arms(found, sweep),
        title=f"{sweep.name}: {TRACKS[track]}, {chosen}",
        subtitle=f"{lines} networks",
        stairs=True,
        corners={name: _corners(of[1]) for name, of in surfaces.items()},
        bands={name: _band(of[-1], of[0]) for name, of in surfaces.items()},
    )


def _corners(surface: Surface) -> tuple[tuple[float, float], ...]:
    return tuple((float(size), percent(height)) for size, height in surface.corners)


def _band(low: Surface, high: Surface) -> tuple[tuple[float, float, float], ...]:
    """Return the borders at each size where one of them rises, from where both begin."""
    sizes = sorted({size for surface in (low, high) for size, _ in surface.corners})
    heights = ((size, low.at(size), high.at(size)) for size in sizes)
    return tuple(
        (float(size), percent(below), percent(above))
        for size, below, above in heights
        if below is not None and above is not None
    )


def curve_view(facts: Iterable[TrialRecord], sweep: Sweep, *, finetuned: bool = False) -> View:
    """Return the density curves: at each density the trial that is best on validation.

    Pruned without fine-tuning, or at the densities at which all were fine-tuned.
    """
    by, show = selection_metrics(sweep)
    facts = [fact for fact in facts if fact.result.state == "complete"]
    dots: dict[str, list[Dot]] = {}
    for arm in sweep.arms:
        best: dict[float, tuple[CurvePoint, TrialRecord]] = {}
        for fact in (fact for fact in facts if fact.slot.arm == arm):
            for point in fact.result.finetuned if finetuned else fact.result.curve:
                known = best.get(point.density)
                if known is None or getattr(point, by) > getattr(known[0], by):
                    best[point.density] = (point, fact)
        chosen = sorted(best.values(), key=lambda pair: pair[0].nonzero)
        dots[arm] = [
            Dot(
                nonzero=point.nonzero,
                line=percent(getattr(point, by)),
                mark=percent(getattr(point, show)),
                repeat=fact.slot.repeat,
                trial=fact.trial,
                label=f"pruned to density {point.density:.3g}; {describe_point(fact.params)}",
            )
            for point, fact in chosen
        ]
    view = make_view(
        dots,
        sweep,
        highlighted_arms(fronts(facts, sweep), sweep),
        title=f"{sweep.name}: density curves, pruned {'and' if finetuned else 'without'} "
        f"fine-tun{'ed' if finetuned else 'ing'}",
        subtitle=f"at each density the trial that is best on {SHORT[by]} accuracy (line) · "
        f"markers: its {SHORT[show]} accuracy",
        stairs=False,
    )
    # Published networks are finished ones, fine-tuned by means of their own.
    return replace(view, published=())


def highlighted_arms(found: Mapping[str, Front], sweep: Sweep) -> tuple[str, ...]:
    """Return the arms that are drawn in colour, in the order given.

    All of them if they are few. Else as many as there are colours: the first arm that neither has
    a penalty nor a method, to compare with, and those of the largest hypervolume.
    """
    if len(found) <= MOST:
        return tuple(found)
    sizes = [point.total for front in found.values() for point in front.points]
    size = sweep.reference.nonzero or sweep.parameters or max(sizes, default=1)
    corner = (size, sweep.reference.error)
    worth = {name: front.hypervolume(corner) for name, front in found.items()}
    plain = [name for name in found if _is_plain(sweep, name)][:1]
    ranked = sorted((name for name in found if name not in plain), key=lambda name: -worth[name])
    chosen = {*plain, *ranked[: len(COLORS) - len(plain)]}
    return tuple(name for name in found if name in chosen)


def _is_plain(sweep: Sweep, name: str) -> bool:
    arm = sweep.arms.get(name)
    return arm is not None and not arm.terms and arm.method is None


def short_count(value: int) -> str:
    """Return 1000 as 1k and 2000000 as 2M.

    >>> [short_count(value) for value in (500, 1000, 20_000, 3_000_000)]
    ['500', '1k', '20k', '3M']
    """
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return str(value)


def _whole_ticks(low: float, high: float, most: int) -> tuple[tuple[int, str], ...]:
    steps = (factor * 10**power for power in range(9) for factor in (1, 2, 5))
    step = next(step for step in steps if (high - low) / step <= most - 1)
    first = math.ceil(low / step)
    return tuple((n * step, str(n * step)) for n in range(first, math.floor(high / step) + 1))


def series_of(names: Sequence[str], chosen: Sequence[str]) -> dict[str, Series]:
    """Return the look of each arm without any dots: those in `chosen` have a colour."""
    grey = {name: _grey(name, (), None) for name in names if name not in chosen}
    return grey | {name: _series(index, name, (), None, ()) for index, name in enumerate(chosen)}


def _dot(point: FrontPoint, by: Accuracy, show: Accuracy) -> Dot:
    return Dot(
        nonzero=point.nonzero,
        line=percent(point.accuracy(by)),
        mark=percent(point.accuracy(show)),
        repeat=point.repeat,
        trial=point.trial,
        label=describe_point(point.params),
    )


def percent(accuracy: float) -> float:
    """Return an accuracy in %, with three digits."""
    return round(100 * accuracy, 3)


def make_view(
    dots: Mapping[str, Sequence[Dot]],
    sweep: Sweep,
    chosen: Sequence[str],
    *,
    title: str,
    subtitle: str,
    stairs: bool,
    corners: Mapping[str, tuple[tuple[float, float], ...]] | None = None,
    bands: Mapping[str, tuple[tuple[float, float, float], ...]] | None = None,
    why: str = "of largest hypervolume",
) -> View:
    """Return the picture of the dots of each arm, those in `chosen` in colour; `why` says which."""
    by, show = selection_metrics(sweep)
    lines, around = corners or {}, bands or {}
    beside = published_points(sweep)
    everything = [dot for arm in dots.values() for dot in arm]
    marked = [dot for name in chosen for dot in dots[name]]
    heights = [height for dot in everything for height in (dot.line, dot.mark)]
    low, high = _zoom(heights, sweep)
    hidden = sum(not low <= dot.mark <= high for dot in marked)
    if hidden:
        subtitle += f" · {hidden} of {len(marked)} lie below the picture"
    if len(chosen) < len(dots):
        plain = [name for name in chosen if _is_plain(sweep, name)][:1]
        and_plain = f" and {plain[0]}" if plain else ""
        subtitle += (
            f" · of {len(dots)} arms the {len(chosen) - len(plain)} {why}{and_plain} in colour"
        )
    return View(
        title=title,
        subtitle=subtitle,
        series=(
            *(_grey(name, dots[name], lines.get(name)) for name in dots if name not in chosen),
            *(
                _series(index, name, dots[name], lines.get(name), around.get(name, ()))
                for index, name in enumerate(chosen)
            ),
        ),
        line_name=SHORT[by],
        mark_name=SHORT[show],
        stairs=stairs,
        x_range=(span := _span([dot.nonzero for dot in everything])),
        y_range=(low, high),
        hidden=hidden,
        published=tuple(
            one
            for one in beside
            if span[0] <= one.nonzero <= span[1] and low <= one.accuracy <= high
        ),
    )


def _series(
    index: int,
    name: str,
    dots: Sequence[Dot],
    corners: tuple[tuple[float, float], ...] | None,
    band: tuple[tuple[float, float, float], ...],
) -> Series:
    return Series(
        name=name,
        color=COLORS[index % len(COLORS)],
        symbol=SYMBOLS[index % len(SYMBOLS)],
        dash=DASHES[index // len(COLORS) % len(DASHES)],
        dots=tuple(dots),
        corners=corners,
        band=band,
    )


def _grey(
    name: str, dots: Sequence[Dot], corners: tuple[tuple[float, float], ...] | None
) -> Series:
    return Series(name, GREY, SYMBOLS[0], DASHES[0], tuple(dots), grey=True, corners=corners)


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
