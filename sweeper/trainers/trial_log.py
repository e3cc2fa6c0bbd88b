"""Trial log: the end of what a script has printed, and its learning curve so far, if here."""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sweeper.settings import trials_folder
from sweeper.trainers.attempt_mark import AttemptMark
from sweeper.trainers.learning_curve import LearningCurve
from sweeper.trainers.trial_folder import CURVE, LOG, MARK, OURS, trial_folder_path
from sweeper.types import LearningPoint, Slot

TAIL = 16_000
"""Bytes of the end that are shown."""
_LONGEST_CURVE = 1_000_000
"""Bytes of what it has reported that are read."""


@dataclass(frozen=True, slots=True)
class TrialLog:
    """The end of the output of the last attempt that had the folder."""

    path: Path
    attempt: int
    text: str
    is_whole: bool
    """Whether nothing stands before it."""
    learning: tuple[LearningPoint, ...] = ()
    """What it has reported so far."""


def read_trial_log(slot: Slot, identity: str | None) -> TrialLog | None:
    """Return the log of a trial; None where its folder is not here, or is another sweep's.

    `identity` is the registered sweep's: one of the same name in another database has another.
    """
    try:
        folder = trial_folder_path(trials_folder(slot.sweep), (*slot.place, 0))
        mark = AttemptMark.read(folder / OURS / MARK)
        trial = f"{identity or ''}/{slot.study}/{slot.repeat}/{slot.number}/"
        if mark is None or not mark.trial.startswith(trial):
            return None
        content, is_whole = _tail(folder / LOG, TAIL)
    except OSError:  # not there, or not ours to read
        return None
    learning = LearningCurve()
    with suppress(OSError):
        curve, _ = _tail(folder / OURS / CURVE, _LONGEST_CURVE)
        learning = LearningCurve.of_text(curve.decode(errors="replace"))
    text = content.decode(errors="replace")
    return TrialLog(folder / LOG, mark.attempt, text, is_whole, learning.points)


def _tail(path: Path, most: int) -> tuple[bytes, bool]:
    """Return the end of a file, and whether that is all of it. Raises OSError.

    Not of a link, or of anything else that a script may have put in its place.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise FileNotFoundError(path)
        start = max(0, facts.st_size - most)
        file.seek(start)
        return file.read(most), start == 0
