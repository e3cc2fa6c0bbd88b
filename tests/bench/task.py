"""Tasks and reports of the processes of a contestant: light to import."""

import json
import pickle
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sweeper.types import TrialConfig


@dataclass(frozen=True)
class Accuracy:
    """One network of a trial."""

    validation: float
    test: float
    nonzero: int


@dataclass(frozen=True)
class Trial:
    """One trial of a contestant; times in seconds since 1970."""

    slot: int
    began: float
    ended: float
    pruned: Accuracy
    as_trained: Accuracy

    def report(self) -> None:
        """Write this trial to standard output at once, as one line."""
        print(json.dumps(asdict(self)), flush=True)

    @classmethod
    def read(cls, line: str) -> "Trial":
        """Read what `report` wrote."""
        known = json.loads(line)
        pruned, as_trained = Accuracy(**known.pop("pruned")), Accuracy(**known.pop("as_trained"))
        return cls(**known, pruned=pruned, as_trained=as_trained)


@dataclass(frozen=True)
class Task:
    """What a contestant does in `folder`, where it may write."""

    folder: Path
    configs: Sequence[TrialConfig]
    processes: int
    device: str

    def write(self) -> Path:
        """Write it to a file of its folder."""
        file = self.folder / "task.pickle"
        file.write_bytes(pickle.dumps(self))
        return file

    @classmethod
    def read(cls, file: Path) -> "Task":
        """Read what `write` wrote."""
        found = pickle.loads(file.read_bytes())
        assert isinstance(found, cls)
        return found

    def share(self, process: int) -> dict[int, TrialConfig]:
        """Return the trials of one process by their slots."""
        return dict(list(enumerate(self.configs))[process :: self.processes])

    @property
    def storage(self) -> str:
        """URL of the SQLite file of this contestant."""
        return f"sqlite:///{self.folder / 'contestant.db'}"
