"""SVG of a view: seen without scripts, before they have run, and on paper."""

import math
import re
from html import escape

from sweeper.plots.palette import BAND_OPACITY, BLACK, FONT, GRID, INK, LIGHT, PAPER
from sweeper.plots.published_points import LEGEND
from sweeper.plots.views import Series, View

WIDTH, HEIGHT = 960, 480
LEFT, RIGHT, TOP, BOTTOM = 62, 760, 12, 424
LETTERS, MOST_LETTERS = 20, 28
"""Letters of a name that fit beside the picture at full size, and squeezed."""
LONGEST, LETTER = 60, 7.2
"""Letters of a name that make the picture wider, and the pixels of each."""
_DASHES = {"solid": "", "dash": "8 5", "dot": "2 4", "dashdot": "8 4 2 4"}
_SHAPES = {
    "square": "M-4-4H4V4H-4Z",
    "diamond": "M0-5.4L5.4 0L0 5.4L-5.4 0Z",
    "triangle-up": "M0-5L5 4H-5Z",
    "triangle-down": "M0 5L5-4H-5Z",
    "cross": "M-1.7-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z",
    "x": "M-4.6-2.6L-2.6-4.6L0-2L2.6-4.6L4.6-2.6L2 0L4.6 2.6L2.6 4.6L0 2L-2.6 4.6L-4.6 2.6L-2 0Z",
    "star": "M0-5.5L1.5-1.8L5.5-1.6L2.4 .9L3.4 4.7L0 2.5L-3.4 4.7L-2.4 .9L-5.5-1.6L-1.5-1.8Z",
}


def draw_svg(view: View, name: str) -> str:
    """Return an SVG element; `name` makes its ids unique within a page."""
    parts = [_axes(view), f'<clipPath id="{name}-clip">', _box(), "</clipPath>"]
    parts.append(f'<g clip-path="url(#{name}-clip)">')
    parts += [_band(view, series) for series in view.coloured if series.band]
    parts += [
        _open(_across(view, point.nonzero), _down(view, point.accuracy)) for point in view.published
    ]
    if view.cut is not None:
        parts.append(_upright(_across(view, view.cut), TOP, BOTTOM))
    parts += [_strokes(view, series) or _line(view, series) for series in view.series]
    parts += [_marks(view, series) for series in view.coloured]
    parts.append("</g>")
    parts.append(_legend(view))
    if view.empty:
        parts.append(_text((LEFT + RIGHT) / 2, 220, "no complete trial yet", "middle"))
    title = escape(f"{view.title}. {view.subtitle}")
    return (
        f'<svg viewBox="0 0 {_width(view)} {HEIGHT}" role="img" aria-label="{title}" '
        f'font-size="13" fill="currentColor">{"".join(parts)}</svg>'
    )


def standalone_svg(view: View) -> str:
    """Return a picture as an SVG file, with its title and its words below, on white."""
    words = [view.title, *view.subtitle.split(" · ")]
    weights = ["bold", *("normal" for _ in words[1:])]
    lines = "".join(
        f'<text x="{LEFT}" y="{HEIGHT + 26 + 18 * number}" font-weight="{weight}">{escape(line)}'
        "</text>"
        for number, (line, weight) in enumerate(zip(words, weights, strict=True))
    )
    width, height = _width(view), HEIGHT + 26 + 18 * len(words)
    inner = draw_svg(view, "figure").partition(">")[2].removesuffix("</svg>")
    inner = re.sub(r"var\((--[a-z-]+)\)", lambda name: LIGHT[name[1]], inner)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-size="13" fill="{INK}" color="{INK}" '
        f'font-family="{FONT}">'
        f"<style>.grid{{stroke:{GRID};fill:none}}.mark{{stroke:{PAPER};stroke-width:1}}</style>"
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>{inner}{lines}</svg>\n'
    )


def _across(view: View, size: float) -> float:
    (low, high), at = view.x_range, size
    if view.logarithmic:
        low, high, at = math.log(low), math.log(high), math.log(max(size, 1))
    return round(LEFT + (at - low) / (high - low) * (RIGHT - LEFT), 1)


def _down(view: View, accuracy: float) -> float:
    low, high = view.y_range
    return round(BOTTOM - (accuracy - low) / (high - low) * (BOTTOM - TOP), 1)


def _axes(view: View) -> str:
    parts = []
    for value, label in view.ticks():
        x = _across(view, value)
        parts.append(f'<path class="grid" d="M{x} {TOP}V{BOTTOM}"/>')
        parts.append(_text(x, BOTTOM + 20, label, "middle"))
    for height, label in _heights(view):
        y = _down(view, height)
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{RIGHT}"/>')
        parts.append(_text(LEFT - 8, y + 4, label, "end"))
    middle = (TOP + BOTTOM) / 2
    parts.append(_text((LEFT + RIGHT) / 2, BOTTOM + 46, view.x_name, "middle"))
    parts.append(f'<g transform="rotate(-90 14 {middle})">')
    parts.append(_text(14, middle, view.y_name, "middle") + "</g>")
    parts.append(f'<g fill="none" stroke="currentColor">{_box()}</g>')
    return "".join(parts)


def _heights(view: View) -> list[tuple[float, str]]:
    low, high = view.y_range
    raw = (high - low) / 7
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    ticks = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [(tick * step, f"{tick * step:.6g}") for tick in ticks]


def _line(view: View, series: Series) -> str:
    corners = [(_across(view, x), _down(view, y)) for x, y in view.line_of(series)]
    if not corners:
        return ""
    (x, y), *rest = corners
    path = f"M{x} {y}" + "".join(f"H{x}V{y}" if view.stairs else f"L{x} {y}" for x, y in rest)
    dash = _DASHES[series.dash]
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    width = 1 if series.grey else 2
    return f'<path d="{path}" fill="none" stroke="{_ink(series)}" stroke-width="{width}"{dashes}/>'


def _strokes(view: View, series: Series) -> str:
    """Return all lines of an arm as one path; empty where it has but one."""
    path = ""
    for stroke in series.strokes:
        corners = (f"{_across(view, x)} {_down(view, y)}" for x, y in stroke.points)
        path += f"M{'L'.join(corners)}"
    return (
        f'<path d="{path}" fill="none" stroke="{_ink(series)}" stroke-width="1.5"/>' if path else ""
    )


def _upright(x: float, top: float, bottom: float) -> str:
    return f'<path d="M{x} {top}V{bottom}" stroke="var(--faint)" stroke-dasharray="2 4"/>'


def _band(view: View, series: Series) -> str:
    """Return the area between two staircases, to the right edge of the picture."""
    right = _across(view, view.x_range[1])
    places = [
        (_across(view, x), _down(view, low), _down(view, high)) for x, low, high in series.band
    ]
    ends = [x for x, _, _ in places[1:]] + [right]
    (left, bottom, _), *_ = places
    up = "".join(f"V{high}H{end}" for (_, _, high), end in zip(places, ends, strict=True))
    starts = [x for x, _, _ in places]
    down = "".join(
        f"V{low}H{start}" for (_, low, _), start in zip(places[::-1], starts[::-1], strict=True)
    )
    paint = f'fill="{_ink(series)}" fill-opacity="{BAND_OPACITY}"'
    return f'<path d="M{left} {bottom}{up}{down}Z" {paint}/>'


def _open(x: float, y: float) -> str:
    return (
        f'<circle cx="{x}" cy="{y}" r="4.6" fill="none" stroke="var(--faint)" stroke-width="1.5"/>'
    )


def _marks(view: View, series: Series) -> str:
    return "".join(
        _mark(series, _across(view, view.x_of(dot)), _down(view, dot.other_accuracy))
        for dot in series.dots
    )


def _mark(series: Series, x: float, y: float) -> str:
    if series.symbol == "circle":
        return f'<circle class="mark" cx="{x}" cy="{y}" r="4.4" fill="{_ink(series)}"/>'
    shape = _SHAPES[series.symbol]
    move = f"translate({x} {y})"
    return f'<path class="mark" d="{shape}" transform="{move}" fill="{_ink(series)}"/>'


def _width(view: View) -> int:
    """Return the width of a picture: more than usual where a name would be squeezed too hard."""
    longest = max((len(series.name) for series in view.coloured), default=0)
    if longest <= MOST_LETTERS:
        return WIDTH
    return max(WIDTH, math.ceil(RIGHT + 54 + LETTER * min(longest, LONGEST)))


def _legend(view: View) -> str:
    parts = []
    for index, series in enumerate(view.coloured):
        y = TOP + 12 + 22 * index
        dash = f' stroke-dasharray="{_DASHES[series.dash]}"' if _DASHES[series.dash] else ""
        ink = _ink(series)
        parts.append(f'<path d="M{RIGHT + 16} {y}h30" stroke="{ink}" stroke-width="2"{dash}/>')
        if not series.strokes:
            parts.append(_mark(series, RIGHT + 31, y))
        parts.append(_name(RIGHT + 54, y + 4, series.name, _width(view) - RIGHT - 54))
    if view.grey:
        y = TOP + 12 + 22 * len(view.coloured)
        parts.append(f'<path d="M{RIGHT + 16} {y}h30" stroke="{_ink(view.grey[0])}"/>')
        parts.append(_text(RIGHT + 54, y + 4, view.others, "start"))
    if view.cut is not None:
        y = TOP + 12 + 22 * len(view.coloured)
        parts.append(_upright(RIGHT + 31, y - 8, y + 8))
        parts.append(_name(RIGHT + 54, y + 4, view.cut_name, _width(view) - RIGHT - 54))
    if view.published:
        y = TOP + 12 + 22 * (len(view.coloured) + bool(view.grey))
        parts.append(_open(RIGHT + 31, y))
        parts += [
            _text(RIGHT + 54, y + 4 + 16 * n, line, "start")
            for n, line in enumerate(LEGEND.split(": "))
        ]
    return "".join(parts)


def _name(x: float, y: float, name: str, room: int) -> str:
    """Return an entry of the legend; a long one is squeezed into the room that is left."""
    shown = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    if len(shown) <= LETTERS or len(shown) * LETTER <= room:
        return _text(x, y, shown, "start")
    squeezed = f'textLength="{room}" lengthAdjust="spacingAndGlyphs"'
    return f'<text x="{x}" y="{y}" {squeezed}>{escape(shown)}</text>'


def _ink(series: Series) -> str:
    """Black is the paper's ink: white on a dark page. Grey is darker there."""
    if series.grey:
        return "var(--faint)"
    return "currentColor" if series.color == BLACK else series.color


def _box() -> str:
    return f'<rect x="{LEFT}" y="{TOP}" width="{RIGHT - LEFT}" height="{BOTTOM - TOP}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
