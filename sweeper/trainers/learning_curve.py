"""Learning curve of a script: points as they are reported, kept in the trial's folder."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sweeper.types import LearningPoint
from sweeper.types.trial_result import MOST_NUMBERS, MOST_POINTS

LONGEST_NAME = 64
"""Characters of the name of a number."""


class LearningCurve:
    """Points in the order of their epochs. With a file, the next attempt goes on with them."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._points: list[LearningPoint] = []
        if file is not None:
            with suppress(OSError):
                self._read(file.read_text(encoding="utf-8"))

    @classmethod
    def of_text(cls, text: str) -> "LearningCurve":
        """Return the curve that the text of such a file holds."""
        curve = cls()
        curve._read(text)
        return curve

    @property
    def points(self) -> tuple[LearningPoint, ...]:
        """All points; of more than can be kept every second one, but always the last."""
        points = self._points
        while len(points) > MOST_POINTS:
            points = points[-1::-2][::-1]
        return tuple(points)

    def add(self, epoch: float, values: Mapping[str, float]) -> None:
        """Add a point; those from this epoch on go, for the training went back behind them."""
        point = _point(epoch, values)
        self._put(point)
        if self._file is not None:
            with suppress(OSError), self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([point.epoch, dict(point.values)]) + "\n")

    def _read(self, text: str) -> None:
        for line in text.splitlines():
            # The last one may be half a line, and the script itself may have written there.
            with suppress(ValueError, TypeError, AttributeError, OverflowError):
                epoch, values = json.loads(line)
                self._put(_point(float(epoch), values))

    def _put(self, point: LearningPoint) -> None:
        while self._points and self._points[-1].epoch >= point.epoch:
            self._points.pop()
        self._points.append(point)


def _point(epoch: float, values: Mapping[str, float]) -> LearningPoint:
    """Return a point of the numbers that can be kept. Raises TypeError for what is no number."""
    usable = {
        name[:LONGEST_NAME]: float(value) for name, value in values.items() if math.isfinite(value)
    }
    if not math.isfinite(epoch):
        raise ValueError(f"epoch: must be a finite number, got {epoch}")
    return LearningPoint(epoch, tuple(sorted(usable.items())[:MOST_NUMBERS]))
