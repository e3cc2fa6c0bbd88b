"""Shapes of SVG pictures: markers of arms and of published networks, and swatches for tables."""

from collections.abc import Mapping

from sweeper.plots.palette import BLACK
from sweeper.plots.published_points import MARKERS
from sweeper.plots.views import Series

SHAPES: Mapping[str, str] = {
    "circle": "M-4.4 0A4.4 4.4 0 1 1 4.4 0A4.4 4.4 0 1 1-4.4 0Z",
    "square": "M-4-4H4V4H-4Z",
    "diamond": "M0-5.4L5.4 0L0 5.4L-5.4 0Z",
    "triangle-up": "M0-5L5 4H-5Z",
    "triangle-down": "M0 5L5-4H-5Z",
    "cross": "M-1.7-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z",
    "x": "M-4.6-2.6L-2.6-4.6L0-2L2.6-4.6L4.6-2.6L2 0L4.6 2.6L2.6 4.6L0 2L-2.6 4.6L-4.6 2.6L-2 0Z",
    "star": "M0-5.5L1.5-1.8L5.5-1.6L2.4 .9L3.4 4.7L0 2.5L-3.4 4.7L-2.4 .9L-5.5-1.6L-1.5-1.8Z",
}
"""Outlines of markers around their middle, some ten pixels wide, by plotly's names."""
DASHES = {"solid": "", "dash": "8 5", "dot": "2 4", "dashdot": "8 4 2 4"}
_INSIDE = {"ringed": 1.6, "pierced": 1.7}
"""Radius of the dot or hole within a marker."""


def ink(series: Series) -> str:
    """Return the paint of an arm: black is the page's ink, white on a dark one; grey is its own."""
    if series.grey:
        return "var(--faint)"
    return "currentColor" if series.color == BLACK else series.color


def draw_marker(series: Series, x: float, y: float, scale: float = 1.0) -> str:
    """Return the marker of an arm at a place."""
    shape, paint = SHAPES[series.symbol], ink(series)
    place = _place(x, y, scale)
    if series.filling in {"filled", "pierced"}:
        drawn = f'<path class="mark" d="{shape}" {place} fill="{paint}"/>'
    else:
        drawn = f'<path class="open" d="{shape}" {place} stroke="{paint}"/>'
    if series.filling not in _INSIDE:
        return drawn
    dot = "var(--paper)" if series.filling == "pierced" else paint
    return f'{drawn}<circle r="{_INSIDE[series.filling]}" {place} fill="{dot}"/>'


def draw_published(biases: str, x: float, y: float, scale: float = 1.0) -> str:
    """Return the open marker of a published network."""
    shape = SHAPES[MARKERS[biases]]
    return (
        f'<path d="{shape}" {_place(x, y, scale)} fill="none" stroke="var(--soft)" '
        'stroke-width="1.5"/>'
    )


def swatch(series: Series) -> str:
    """Return the marker of an arm as a picture of its own, to stand before its name."""
    drawn = draw_marker(series, 0, 0)
    return f'<svg class="chip" viewBox="-7 -7 14 14" aria-hidden="true">{drawn}</svg>'


def dashes(series: Series, scale: float = 1.0) -> str:
    """Return the attribute that dashes a line; empty for a solid one."""
    pattern = " ".join(f"{float(part) * scale:.3g}" for part in DASHES[series.dash].split())
    return f' stroke-dasharray="{pattern}"' if pattern else ""


def _place(x: float, y: float, scale: float) -> str:
    size = "" if scale == 1 else f" scale({scale:.3g})"
    return f'transform="translate({x:g} {y:g}){size}"'
