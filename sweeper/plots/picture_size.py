"""Size of a picture: two lengths in a unit, as people write them, such as 3.3x2.4in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sweeper.errors import InputError

UNITS: Mapping[str, float] = {"in": 96, "cm": 96 / 2.54, "mm": 96 / 25.4, "px": 1}
"""Pixels of SVG and CSS in each unit."""
PRESETS: Mapping[str, str] = {"column": "3.3x2.4in", "page": "6.9x3.6in"}
"""Sizes by name: a column and the width of a page of most two-column papers."""
_PATTERN = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*[xX×]\s*(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*)")
_MOST = 20_000
"""Pixels of a side."""
_DOTS = 300
"""Dots per inch of a bitmap whose size is a length on paper."""


@dataclass(frozen=True, slots=True)
class PictureSize:
    """Width and height in a unit."""

    width: float
    height: float
    unit: str

    @property
    def pixels(self) -> tuple[float, float]:
        """Width and height in pixels of SVG and CSS, 96 an inch."""
        return self.width * UNITS[self.unit], self.height * UNITS[self.unit]

    @property
    def dots(self) -> float:
        """Dots of a bitmap for each pixel: one if it was asked for in pixels."""
        return 1.0 if self.unit == "px" else _DOTS / UNITS["in"]


def parse_size(text: str) -> PictureSize:
    """Return the size that a text means. Raises InputError.

    >>> parse_size("84 x 60 mm").unit, parse_size("column")
    ('mm', PictureSize(width=3.3, height=2.4, unit='in'))
    """
    match = _PATTERN.fullmatch(PRESETS.get(text.strip(), text.strip()))
    if match is None or match[3] not in UNITS:
        raise InputError(
            f"--size: must be as 3.3x2.4in, in {', '.join(UNITS)}, or {' or '.join(PRESETS)}; "
            f"got {text!r}"
        )
    size = PictureSize(float(match[1]), float(match[2]), match[3])
    if not all(0 < side <= _MOST for side in size.pixels):
        raise InputError(f"--size: no side may be 0 or more than {_MOST:,} pixels, got {text!r}")
    return size
