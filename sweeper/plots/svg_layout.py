"""Layout of an SVG picture: where its frame, ticks and legend stand at a size."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sweeper.errors import InputError
from sweeper.plots.labels import Tick, height_ticks
from sweeper.plots.published_points import published_numbers
from sweeper.plots.svg_legend import LegendEntry, LegendPlace, LegendSize, legend_entries
from sweeper.plots.text_width import shortened, text_width
from sweeper.plots.views import View

WIDTH, HEIGHT, FONT = 960.0, 480.0, 13.0
"""Of a picture on a page, in pixels."""
POINT = 96 / 72
"""Pixels of a point."""
SMALLEST_FONT, LABEL_FONT = 7 * POINT, 6.2 * POINT
"""Of words and of numbers in a picture of one column: none is under six points."""
SMALLEST_FRAME = (96.0, 64.0)
"""Width and height of the frame within axes and legend, in pixels."""
_BESIDE = 0.34
"""Share of the width that a legend beside the frame may take, in a picture of a given size."""
_WIDE = 480.0
"""Pixels from which on there is room beside the frame at all."""
_LONGEST = 46
"""Letters of a name that make a picture on a page wider."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Every length in a picture, in pixels."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    font: float
    label_font: float
    """Of ticks."""
    name_font: float
    """Of names at published networks."""
    scale: float
    """Of markers and lines, against those of a picture on a page."""
    ticks: tuple[Tick, ...]
    minor: tuple[float, ...]
    heights: tuple[Tick, ...]
    x_name: str
    y_name: str
    y_middle: float
    """Of the name of the vertical axis; beside its frame, unless that is too low."""
    entries: tuple[LegendEntry, ...] = ()
    places: tuple[LegendPlace, ...] = ()
    numbers: Mapping[str, int] = field(default_factory=dict)
    """What stands at published networks by their names, where there is no room for those."""

    @property
    def legend_size(self) -> LegendSize:
        """Sizes within the legend."""
        return LegendSize(self.label_font, 30 * max(self.scale, 0.6), self.scale)


def page_layout(view: View) -> Layout:
    """Return the layout of a picture on a page, its legend beside; long names make it wider."""
    entries = legend_entries(view)
    size = LegendSize(FONT, 30, 1.0)
    longest = size.indent + text_width("x" * _LONGEST, FONT)
    needed = min(max((size.width(entry) for entry in entries), default=0), longest)
    right = min(760.0, max(620.0, WIDTH - needed - 20))
    width = max(WIDTH, math.ceil(right + needed + 20))
    room = width - right - 16 - size.indent
    places = tuple(
        LegendPlace(right + 16, 24 + 22 * number, room) for number in range(len(entries))
    )
    return Layout(
        width=width,
        height=HEIGHT,
        left=62,
        right=right,
        top=12,
        bottom=424,
        font=FONT,
        label_font=FONT,
        name_font=11,
        scale=1.0,
        ticks=_fitting_ticks(view, right - 62, FONT),
        minor=view.minor_ticks(),
        heights=height_ticks(*view.y_range, 10),
        x_name=view.x_name,
        y_name=_fitting(view.y_name, view.y_short, FONT, 412),
        y_middle=218,
        entries=entries,
        places=places,
    )


def sized_layout(view: View, width: float, height: float) -> Layout:
    """Return the layout of a picture of so many pixels, its legend beside or below.

    Raises InputError where the frame would be too small to see anything in it.
    """
    font, label_font, scale = lengths(width, height)
    size = LegendSize(label_font, 30 * max(scale, 0.6), scale)
    numbers = published_numbers(view.published) if width < _WIDE else {}
    entries = legend_entries(view, numbers, brief=bool(view.sweeps))
    margin, top = 1.4 * label_font, 0.7 * label_font  # half a label stands out on the right
    axis = 1.35 * label_font + 1.9 * font
    needed = max((size.width(entry) for entry in entries), default=0)
    line = 1.35 * label_font
    beside = (
        width >= _WIDE and needed <= _BESIDE * width and len(entries) * line <= height - top - axis
    )
    right, bottom = width - margin, height - axis
    places: list[LegendPlace] = []
    if beside:
        right = width - needed - 1.2 * font
        places = [
            LegendPlace(right + 0.8 * font, top + line * (number + 0.5), needed)
            for number in range(len(entries))
        ]
    elif entries:
        rows, places = _below(entries, size, width - 4)
        bottom -= 1.3 * size.font * rows + 0.3 * font
        down = height - 1.3 * size.font * rows
        places = [LegendPlace(place.x, round(down + place.y, 1), place.room) for place in places]
    heights = height_ticks(*view.y_range, max(3, int((bottom - top) / (2.2 * label_font))))
    left = 1.5 * font + max(text_width(label, label_font) for _, label in heights) + 5
    fits = text_width(view.y_short, font) <= bottom - top
    room = bottom - top if fits else bottom + axis - 4
    _refuse_narrow(view, (right - left, bottom - top), (width, height))
    return Layout(
        width=width,
        height=height,
        left=round(left, 1),
        right=round(right, 1),
        top=round(top, 1),
        bottom=round(bottom, 1),
        font=round(font, 2),
        label_font=round(label_font, 2),
        name_font=round(LABEL_FONT, 2),
        scale=round(scale, 3),
        ticks=_fitting_ticks(view, right - left, label_font),
        minor=view.minor_ticks(),
        heights=heights,
        x_name=shortened(view.x_name, font, right - left),
        y_name=_fitting(view.y_name, view.y_short, font, room),
        y_middle=round((top + bottom) / 2 if fits else (bottom + axis) / 2, 1),
        entries=entries,
        places=tuple(places),
        numbers=numbers,
    )


def lengths(width: float, height: float) -> tuple[float, float, float]:
    """Return the size of words, that of ticks and names, and the scale of markers and lines."""
    font = min(FONT, max(SMALLEST_FONT, width * FONT / WIDTH))
    scale = min(1.0, max(0.55, math.sqrt(width * height / (WIDTH * HEIGHT))))
    return font, max(LABEL_FONT, 0.9 * font), scale


def _below(
    entries: Sequence[LegendEntry], size: LegendSize, width: float
) -> tuple[int, list[LegendPlace]]:
    """Return the rows of a legend and the places in it, from 0 on: columns, or closer without."""
    most, gap = (width - size.font) / 2, size.font
    widths = [min(size.width(entry), most if entry.shape == "arm" else width) for entry in entries]
    rows = _flowing(widths, gap, width)
    for count in range(min(len(entries), 8), 0, -1):
        columns = [max(widths[column::count]) for column in range(count)]
        is_short = math.ceil(len(widths) / count) <= len(rows)
        if is_short and sum(columns) + gap * (count - 1) <= width:
            rows = [columns[: len(entries) - first] for first in range(0, len(entries), count)]
            break
    line, firsts = 1.3 * size.font, [sum(map(len, rows[:number])) for number in range(len(rows))]
    return len(rows), [
        LegendPlace(
            round(2 + sum(row[:column]) + gap * column, 1),
            round(line * (number + 0.45), 1),
            row[column] - size.indent_of(entries[first + column]) + 0.1,
        )
        for number, (first, row) in enumerate(zip(firsts, rows, strict=True))
        for column in range(len(row))
    ]


def _flowing(widths: Sequence[float], gap: float, room: float) -> list[list[float]]:
    """Return widths in rows, each as full as it goes."""
    rows: list[list[float]] = []
    for width in widths:
        if rows and sum(rows[-1]) + gap * len(rows[-1]) + width <= room:
            rows[-1].append(width)
        else:
            rows.append([width])
    return rows


def _fitting_ticks(view: View, width: float, font: float) -> tuple[Tick, ...]:
    """Return as many ticks as have room for their labels."""
    ticks: tuple[Tick, ...] = ()
    for most in (14, 12, 10, 8, 7, 6, 5, 4, 3):
        ticks = view.ticks(most)
        places = [view.share(value) * width for value, _ in ticks]
        halves = [text_width(label, font) / 2 + 0.25 * font for _, label in ticks]
        if all(
            right - left >= half + other
            for left, right, half, other in zip(
                places, places[1:], halves, halves[1:], strict=False
            )
        ):
            break
    return ticks


def _fitting(name: str, short: str, font: float, room: float) -> str:
    """Return the name of an axis, a shorter one where it does not fit."""
    return name if text_width(name, font) <= room else shortened(short, font, room)


def _refuse_narrow(view: View, frame: tuple[float, float], size: tuple[float, float]) -> None:
    short = [max(0.0, least - there) for least, there in zip(SMALLEST_FRAME, frame, strict=True)]
    if any(short):
        least = [
            math.ceil((side + more) / 9.6) / 10 for side, more in zip(size, short, strict=True)
        ]
        raise InputError(
            f"--size: axes and legend of {len(view.series)} arms leave no room for the picture: "
            f"at least {least[0]:g}x{least[1]:g}in, or fewer --arms"
        )
