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
                for line in file.read_text(encoding="utf-8").splitlines():
                    with suppress(ValueError, TypeError):  # the last one may be half a line
                        epoch, values = json.loads(line)
                        self._put(LearningPoint(float(epoch), tuple(sorted(values.items()))))

    @property
    def points(self) -> tuple[LearningPoint, ...]:
        """All points; of more than can be kept every second one, but always the last."""
        points = self._points
        while len(points) > MOST_POINTS:
            points = points[-1::-2][::-1]
        return tuple(points)

    def add(self, epoch: float, values: Mapping[str, float]) -> None:
        """Add a point; those from this epoch on go, for the training went back behind them."""
        usable = {
            name[:LONGEST_NAME]: value for name, value in values.items() if math.isfinite(value)
        }
        point = LearningPoint(epoch, tuple(sorted(usable.items())[:MOST_NUMBERS]))
        self._put(point)
        if self._file is not None:
            with suppress(OSError), self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([point.epoch, dict(point.values)]) + "\n")

    def _put(self, point: LearningPoint) -> None:
        while self._points and self._points[-1].epoch >= point.epoch:
            self._points.pop()
        self._points.append(point)
