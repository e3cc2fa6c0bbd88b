"""Trial folder: files of a trial, which outlive its attempts.

l1/0-3/                    of repeat 0, slot 3 of the arm l1; what a script writes lies here
l1/0-3/output.log          what the present attempt has printed; output-1.log of an earlier one
l1/0-3/.sweeper/           the attempt that has the folder, and the learning curve so far
l1/0-3.old-1/              of another sweep that had this name before
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from sweeper.errors import InputError
from sweeper.trainers.attempt_mark import AttemptMark
from sweeper.types import NetworkPlace

OURS = ".sweeper"
LOG = "output.log"
CURVE = "learning.jsonl"
MARK = "attempt.json"


def trial_folder_path(trials: Path, place: NetworkPlace) -> Path:
    """Return the folder of a trial below that of the trials of its sweep."""
    arm, repeat, slot, seed = place
    return trials / arm / (f"{repeat}-{slot}-{seed}" if seed else f"{repeat}-{slot}")


@dataclass(frozen=True, slots=True)
class TrialFolder:
    """A trial's folder, for one attempt."""

    path: Path
    mark: AttemptMark

    @property
    def mark_file(self) -> Path:
        """File that says whose the folder is."""
        return self.path / OURS / MARK

    @property
    def curve_file(self) -> Path:
        """File of the learning curve so far."""
        return self.path / OURS / CURVE

    @property
    def log(self) -> Path:
        """File of what the present attempt has printed."""
        return self.path / LOG

    @property
    def is_superseded(self) -> bool:
        """Whether a later attempt has the folder now."""
        return self.mark.is_superseded(self.mark_file)

    def latest_attempt(self) -> int:
        """Return the last attempt of this trial that had the folder; 0 if none had it."""
        present = AttemptMark.read(self.mark_file)
        return present.attempt if present and present.trial == self.mark.trial else 0

    def begin(self, restored: Path | None = None) -> None:
        """Take the folder for this attempt; `restored` is a folder to take its place.

        Files of another trial, of a sweep that had this name before, are put aside. Raises
        InputError where it cannot be written.
        """
        try:
            present = AttemptMark.read(self.mark_file)
            if present and present.trial != self.mark.trial:
                self.path.rename(self._aside())
            elif restored and self.path.exists():
                stale = self.path.with_name(f".{self.path.name}.{uuid4().hex}")
                self.path.rename(stale)
                shutil.rmtree(stale, ignore_errors=True)
            if restored:
                restored.rename(self.path)
            (self.path / OURS).mkdir(parents=True, exist_ok=True)
            if self.log.exists():
                earlier = present.attempt if present else 0
                self.log.rename(self.log.with_stem(f"{self.log.stem}-{earlier}"))
            self.mark.write(self.mark_file)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {error.strerror}") from error

    def _aside(self) -> Path:
        number = 1
        while (path := self.path.with_name(f"{self.path.name}.old-{number}")).exists():
            number += 1
        return path
