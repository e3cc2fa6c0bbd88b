"""Attempt mark: a file in a trial's folder that says which attempt has the folder now.

Attempts of a slot are numbered by the database, ever upwards. Who finds a later one there, or
another trial, has been given up, be it a worker that was frozen: it must touch nothing any more.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self
from uuid import uuid4


@dataclass(frozen=True, slots=True)
class AttemptMark:
    """The attempt that has a folder."""

    trial: str
    """Identity of the trial: of the registered sweep, the slot and its configuration."""
    attempt: int

    @classmethod
    def read(cls, file: Path) -> Self | None:
        """Return what a file says; None if there is none, or it cannot be read."""
        try:
            raw = json.loads(file.read_text(encoding="utf-8"))
            return cls(str(raw["trial"]), int(raw["attempt"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, file: Path) -> None:
        """Write it, seen whole or not at all. Raises OSError.

        It need not outlive a machine that loses its power, where no attempt is left to be fenced.
        """
        beside = file.with_name(f".{file.name}.{uuid4().hex}")
        beside.write_text(json.dumps(asdict(self)), encoding="utf-8")
        beside.replace(file)

    def is_superseded(self, file: Path) -> bool:
        """Tell whether the file belongs to a later attempt than this, or to another trial."""
        present = self.read(file)
        if present is None:  # the folder was deleted, or cannot be reached in this moment
            return False
        return present.trial != self.trial or present.attempt > self.attempt
