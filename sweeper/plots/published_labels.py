"""Labels of published networks: whose each is, written beside its marker where there is room."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sweeper.plots.text_width import text_width

Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]

_DIRECTIONS: tuple[tuple[int, int], ...] = (
    (1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1)
)  # fmt: skip
"""Right, left, above, below, and the corners: the better, the earlier."""
_REACHES = (0.0, 0.9, 1.8, 2.8, 4.0, 5.5, 7.0)
"""Distances of a label from its marker, in lines of text; from the second on a line leads there."""
_PER_REACH, _PER_DIRECTION = 3.0, 0.15
"""Prices of a further distance and direction, in markers of arms that a label lies on."""


class Box(NamedTuple):
    """A rectangle, in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        """Tell if two rectangles have a part in common."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def contains(self, other: "Box") -> bool:
        """Tell if another rectangle lies wholly within this one."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.right <= self.right
            and other.bottom <= self.bottom
        )

    def has(self, point: Point) -> bool:
        """Tell if a point lies within."""
        return self.left <= point[0] <= self.right and self.top <= point[1] <= self.bottom


@dataclass(frozen=True, slots=True)
class Label:
    """The name of a published network at its place."""

    marker: Point
    text: str
    x: float
    y: float
    """The base line of the text."""
    anchor: Anchor
    direction: tuple[int, int]
    """Of the text from the marker: right and down are positive."""
    leader: tuple[Point, Point] | None
    """The line from the marker to a text that is not beside it."""


def place_labels(
    markers: Sequence[Point],
    texts: Sequence[str],
    obstacles: Iterable[Point],
    frame: Box,
    size: float,
) -> list[Label]:
    """Return the labels of markers within a frame, no two of which meet, nor any a marker.

    `obstacles`, such as markers of arms, are avoided where that is possible. A label without any
    place is left out.
    """
    radius = 0.55 * size
    crowd = list(obstacles)
    taken = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in markers]
    labels = []
    for place in sorted(range(len(markers)), key=lambda place: markers[place]):
        width = text_width(texts[place], size)
        best: tuple[float, Label, Box] | None = None
        for reach in _REACHES:
            for turn, direction in enumerate(_DIRECTIONS):
                label, box = _candidate(markers[place], texts[place], direction, reach, size, width)
                if not frame.contains(box) or any(box.meets(other) for other in taken):
                    continue
                price = float(sum(box.has(point) for point in crowd))
                price += _PER_REACH * reach + _PER_DIRECTION * turn
                if best is None or price < best[0]:
                    best = price, label, box
        if best is not None:
            labels.append(best[1])
            taken.append(best[2])
    return labels


def _candidate(
    marker: Point, text: str, direction: tuple[int, int], reach: float, size: float, width: float
) -> tuple[Label, Box]:
    across, down = direction
    gap = (0.65 + reach) * size
    diagonal = 0.75 if across and down else 1.0
    x, y = marker[0] + across * gap * diagonal, marker[1] + down * gap * diagonal
    left = x if across > 0 else x - width if across < 0 else x - width / 2
    top = y if down > 0 else y - size if down < 0 else y - size / 2
    box = Box(left, top, left + width, top + size)
    anchor: Anchor = "start" if across > 0 else "end" if across < 0 else "middle"
    baseline = round(top + 0.82 * size, 1)
    leader = (marker, (round(x, 1), round(y, 1))) if reach else None
    return Label(marker, text, round(x, 1), baseline, anchor, direction, leader), box
