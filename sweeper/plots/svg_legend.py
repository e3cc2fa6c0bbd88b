"""Legend of an SVG picture: its entries, the room they need, and how each is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Literal

from sweeper.plots.palette import BAND_OPACITY, BLACK
from sweeper.plots.published_points import by_count
from sweeper.plots.svg_shapes import dashes, draw_marker, draw_published, ink
from sweeper.plots.text_width import shortened, text_width
from sweeper.plots.views import Series, View

_INK = "currentColor"


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A line of the legend: a sample, and what it stands for."""

    shape: Literal["arm", "others", "cut", "published", "name", "line", "marker", "band", "bar"]
    text: str
    series: Series | None = None
    biases: str = ""
    """Of published networks."""


@dataclass(frozen=True, slots=True)
class LegendPlace:
    """The place of an entry: its left end and middle, and the width of its text, in pixels."""

    x: float
    y: float
    room: float


@dataclass(frozen=True, slots=True)
class LegendSize:
    """Sizes that all entries share, in pixels."""

    font: float
    sample: float
    """Width of the sample in front of the text."""
    scale: float
    """Of markers and lines, against those of a picture on a page."""

    @property
    def indent(self) -> float:
        """Place of the text, from the left end of the entry."""
        return self.sample + 0.6 * self.font

    def indent_of(self, entry: LegendEntry) -> float:
        """Return the place of its text, from the left end of the entry: a name has no sample."""
        return 0.0 if entry.shape == "name" else self.indent

    def width(self, entry: LegendEntry) -> float:
        """Return the width of an entry that is not shortened."""
        return self.indent_of(entry) + text_width(entry.text, self.font)


def legend_entries(
    view: View, numbers: Mapping[str, int] | None = None, *, brief: bool = False
) -> tuple[LegendEntry, ...]:
    """Return arms, then what lines and markers show, then published networks.

    Last the names of these with their `numbers`, where those stand at their markers. Of several
    sweeps a `brief` legend has the arms and the sweeps, not each arm of each.
    """
    entries = [LegendEntry("arm", series.name, series) for series in view.coloured]
    if brief and len(apart := _arms_and_sweeps(view)) <= len(entries):
        entries = apart
    if view.grey:
        entries.append(LegendEntry("others", view.others, view.grey[0]))
    if view.cut is not None:
        entries.append(LegendEntry("cut", view.cut_name))
    entries += [LegendEntry(entry.shape, entry.text) for entry in view.key]
    entries += [
        LegendEntry("published", text, biases=points[0].biases)
        for text, points in by_count(view.published).items()
    ]
    entries += [LegendEntry("name", f"{n} {name}") for name, n in (numbers or {}).items()]
    return tuple(entries)


def _arms_and_sweeps(view: View) -> list[LegendEntry]:
    """Return an entry for each arm, by colour and marker, and each sweep, by dashes and filling."""
    arms: dict[str, Series] = {}
    sweeps: dict[str, Series] = {}
    for series in view.coloured:
        sweep, _, arm = series.name.partition("/")
        arms.setdefault(arm, replace(series, dash="solid", filling="filled"))
        sweeps.setdefault(sweep, replace(series, color=BLACK, symbol="circle"))
    return [LegendEntry("arm", name, look) for name, look in (arms | sweeps).items()]


def draw_legend(
    entries: Sequence[LegendEntry], places: Sequence[LegendPlace], size: LegendSize
) -> str:
    """Return all entries at their places; a name too long for its room loses its middle."""
    return "".join(
        _sample(entry, place, size)
        + f'<text x="{place.x + size.indent_of(entry):g}" y="{place.y + 0.35 * size.font:.4g}" '
        f'font-size="{size.font:g}">'
        f"{escape(shortened(entry.text, size.font, place.room))}</text>"
        for entry, place in zip(entries, places, strict=True)
    )


def _sample(entry: LegendEntry, place: LegendPlace, size: LegendSize) -> str:
    x, y, scale = place.x, place.y, size.scale
    middle, end = x + size.sample / 2, x + size.sample
    series = entry.series
    if series is not None:
        width = 1 if series.grey else 2
        line = _line(x, end, y, ink(series), width * scale, dashes(series, scale))
        return line if series.grey else line + draw_marker(series, middle, y, scale)
    half = 0.42 * size.font
    match entry.shape:
        case "name":
            return ""
        case "published":
            return draw_published(entry.biases, middle, y, scale)
        case "cut":
            return upright(middle, y - half, y + half, scale)
        case "marker":
            circle = Series("", BLACK, "circle", "solid")
            return draw_marker(circle, middle, y, scale)
        case "bar":
            return error_bar(middle, y - half, y + half, _INK, scale)
        case "band":
            return (
                f'<rect x="{x:g}" y="{y - half:.4g}" width="{size.sample:g}" '
                f'height="{2 * half:.4g}" fill="{_INK}" fill-opacity="{BAND_OPACITY}"/>'
            )
    return _line(x, end, y, _INK, 2 * scale, "")


def _line(x: float, end: float, y: float, paint: str, width: float, dashed: str) -> str:
    return f'<path d="M{x:g} {y:g}H{end:g}" stroke="{paint}" stroke-width="{width:.3g}"{dashed}/>'


def upright(x: float, top: float, bottom: float, scale: float) -> str:
    """Return the dotted line between two phases of a training."""
    return (
        f'<path d="M{x:g} {top:g}V{bottom:g}" stroke="var(--faint)" '
        f'stroke-width="{scale:.3g}" stroke-dasharray="2 4"/>'
    )


def error_bar(x: float, top: float, bottom: float, paint: str, scale: float) -> str:
    """Return the bar of an interval, thin, since there are many."""
    return (
        f'<path d="M{x:g} {top:.4g}V{bottom:.4g}" stroke="{paint}" stroke-opacity="0.7" '
        f'stroke-width="{1.2 * scale:.3g}"/>'
    )
