"""Command output: the result of a command and its learning curve, out of what it prints."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sweeper.trainers.learning_curve import LearningCurve
from sweeper.trainers.script_result import ResultError

RESULT = "result.json"
"""File of a command's result in the trial's folder."""
LARGEST_RESULT = 1_000_000


class CommandOutput:
    """JSON lines of standard output; all else that is printed there is no matter."""

    def __init__(self, curve: LearningCurve, keep: Callable[[], None]) -> None:
        """`keep` is called for a line that asks for a checkpoint; it must not take long."""
        self._curve = curve
        self._last: dict[str, Any] | None = None
        self._keep = keep

    def take(self, line: bytes) -> None:
        """Take a line: a point with `epoch`, `{"checkpoint": true}`, or a result.

        A result has `validation` or `diverged`.
        """
        line = line.strip()
        if not (line.startswith(b"{") and line.endswith(b"}")):
            return
        with suppress(ValueError, RecursionError, OverflowError):
            raw = json.loads(line)
            if "epoch" in raw:
                numbers = {
                    str(name): float(value)
                    for name, value in raw.items()
                    if isinstance(value, int | float) and not isinstance(value, bool)
                }
                with suppress(KeyError):  # an epoch that is no number is a line as any other
                    self._curve.add(numbers.pop("epoch"), numbers)
            elif raw.get("checkpoint") is True:
                self._keep()
            elif "validation" in raw or "diverged" in raw:
                self._last = raw

    def result(self, folder: Path) -> dict[str, Any]:
        """Return the result: the last one printed, else that of the file. Raises ResultError."""
        if self._last is not None:
            return self._last
        file = folder / RESULT
        try:
            with file.open("rb") as stream:
                raw = json.loads(stream.read(LARGEST_RESULT))
        except FileNotFoundError:
            text = "no line of its output is a JSON object with validation"
            raise ResultError(f"no result: {text}, and it wrote no {RESULT}") from None
        except (OSError, ValueError, RecursionError) as error:
            raise ResultError(f"no result: {RESULT} cannot be read as JSON: {error}") from None
        if not isinstance(raw, dict):
            raise ResultError(f"no result: {RESULT}: must be a JSON object")
        return raw
