"""SVG of hypervolumes: a row for each arm, its repeats as markers, their mean as a tick."""

from dataclasses import dataclass

from sweeper.errors import InputError
from sweeper.plots.hypervolume_view import HypervolumeRow, HypervolumeView
from sweeper.plots.labels import Tick, height_ticks
from sweeper.plots.picture_size import PictureSize
from sweeper.plots.svg_document import svg_document, svg_text
from sweeper.plots.svg_layout import lengths
from sweeper.plots.svg_shapes import draw_marker, ink
from sweeper.plots.text_width import shortened, text_width

_NAMES = 0.4
"""Share of the width that names of arms may take."""
_MOST_TICKS = 7
_ROW = 1.15
"""Height of a row at least, in the size of names."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """The frame, in pixels: hypervolumes across, rows down."""

    left: float
    right: float
    top: float
    bottom: float
    low: float
    high: float
    font: float
    """Of names and ticks."""
    scale: float

    def across(self, hypervolume: float) -> float:
        share = (hypervolume - self.low) / (self.high - self.low)
        return round(self.left + share * (self.right - self.left), 1)


def hypervolume_svg(view: HypervolumeView, size: PictureSize) -> str:
    """Return a picture of a given size as an SVG file. Raises InputError where it is too small."""
    width, height = size.pixels
    font, label_font, scale = lengths(width, height)
    values = [value for row in view.rows for value in row.values]
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.05 * high or 1.0
    longest = max(text_width(row.name, label_font) for row in view.rows)
    several = any(len(row.values) > 1 for row in view.rows)
    frame = _Rows(
        left=round(min(longest, _NAMES * width) + label_font, 1),
        right=round(width - 1.4 * label_font, 1),
        top=round(0.7 * label_font, 1),
        bottom=round(height - 1.35 * label_font - 1.9 * font, 1),
        low=low - margin,
        high=high + margin,
        font=label_font,
        scale=scale,
    )
    step = (frame.bottom - frame.top) / len(view.rows)
    if step < _ROW * label_font:
        needed = height + (_ROW * label_font - step) * len(view.rows)
        raise InputError(
            f"--size: {len(view.rows)} rows do not fit: at least {needed / 96:.1f}in high, or "
            "fewer --arms"
        )
    name = "hypervolume, dots: repeats, bar: mean" if several else "hypervolume"
    most = max(3, int((frame.right - frame.left) / text_width("0.0000", label_font)))
    parts = [_axis(frame, height_ticks(frame.low, frame.high, min(most, _MOST_TICKS)))]
    middle = (frame.left + frame.right) / 2
    if text_width(name, font) > 2 * (frame.right - middle):
        middle = width / 2
    parts.append(svg_text(middle, frame.bottom + 1.35 * label_font + 1.55 * font, name, "middle"))
    parts += [
        _row(frame, row, frame.top + step * (number + 0.5), several=several)
        for number, row in enumerate(view.rows)
    ]
    return svg_document("".join(parts), f"{view.title}. {view.subtitle}", size, round(font, 2))


def _axis(frame: _Rows, ticks: tuple[Tick, ...]) -> str:
    grid = "".join(f"M{frame.across(x):g} {frame.top:g}V{frame.bottom:g}" for x, _ in ticks)
    below = frame.bottom + 1.35 * frame.font + 2
    box = f"M{frame.left:g} {frame.top:g}H{frame.right:g}V{frame.bottom:g}H{frame.left:g}Z"
    return (
        f'<path class="grid" d="{grid}" stroke-width="{frame.scale:.3g}"/>'
        f'<path d="{box}" fill="none" stroke="currentColor" stroke-width="{frame.scale:.3g}"/>'
        + "".join(
            svg_text(frame.across(x), below, label, "middle", frame.font) for x, label in ticks
        )
    )


def _row(frame: _Rows, row: HypervolumeRow, y: float, *, several: bool) -> str:
    ends = frame.across(min(row.values)), frame.across(max(row.values))
    name = shortened(row.name, frame.font, frame.left - frame.font)
    half, paint = 0.5 * frame.font, ink(row.look)
    line = f'<path d="M{ends[0]:g} {y:.5g}H{ends[1]:g}" stroke="var(--faint)"/>'
    marks = "".join(draw_marker(row.look, frame.across(x), y, frame.scale) for x in row.values)
    mean = (
        f'<path d="M{frame.across(row.mean):g} {y - half:.5g}v{2 * half:.4g}" stroke="{paint}" '
        f'stroke-width="{2.5 * frame.scale:.3g}"/>'
    )
    label = svg_text(frame.left - 0.5 * frame.font, y + 0.35 * frame.font, name, "end", frame.font)
    return label + line + marks + (mean if several else "")
