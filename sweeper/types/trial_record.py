"""Trial record: one value that grows from its slot to a row of the database.

`Slot` is claimed, `TrialTask` asked for it, `TrialOutcome` trained, `TrialRecord` on record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sweeper.types.normalisation import Normalisation
from sweeper.types.trial_config import Scalar, TrialConfig, TrialState
from sweeper.types.trial_result import TrialResult

Place = tuple[str, int, int]
"""Arm, repeat and number of a slot: what tells it from the other slots of its sweep."""
NetworkPlace = tuple[str, int, int, int]
"""Place of a slot, and the number of a network within it: what tells a record from the others."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The right to one configuration of an (arm, repeat), as claimed by one worker.

    It brings one network, or one for each seed and rung.
    """

    sweep: str
    arm: str
    repeat: int
    number: int
    """0 ... budget - 1 within the (arm, repeat)."""
    study: str
    """Name of the Optuna study, `<sweep>/<arm>/<repeat>`."""

    @property
    def place(self) -> Place:
        """Its place within its sweep."""
        return self.arm, self.repeat, self.number


@dataclass(frozen=True, slots=True)
class Provenance:
    """Origin of a result. Equal provenance on one kind of CPU means equal bits."""

    sweeper: str
    python: str
    torch: str
    optuna: str
    git_commit: str
    """Commit of the checkout that sweeper runs from, `-dirty` if changed; empty if none."""
    device: str
    """`cpu` or `cuda`."""
    processor: str
    """Name of the GPU, or of the CPU with the vector instructions that PyTorch takes on it."""
    threads: int
    data_hash: str
    """sha256 over the tensors and the split, in the order train, validation, test."""
    host: str
    normalisation: Normalisation | None = None
    """Of the examples; None where they are as they were read, or from before it was kept."""


@dataclass(frozen=True, slots=True)
class TrialTask:
    """A network of a slot, with the trial that was asked for it: what a worker trains."""

    slot: Slot
    trial: int
    """Number of the trial in the slot's study."""
    params: Mapping[str, Scalar]
    """The searched parameters only."""
    config: TrialConfig
    network: int = field(default=0, kw_only=True)
    """Its number within the slot: seed by seed, and of each seed rung by rung."""
    attempt: int = field(default=1, kw_only=True, compare=False)
    """How often the slot was claimed, from 1 on: of a script, which may go on where it was."""

    @property
    def place(self) -> NetworkPlace:
        """Its place within its sweep."""
        return *self.slot.place, self.network


@dataclass(frozen=True, slots=True)
class TrialOutcome(TrialTask):
    """A trained trial: what a worker submits for one slot."""

    result: TrialResult
    provenance: Provenance

    @classmethod
    def of(cls, task: TrialTask, result: TrialResult, provenance: Provenance) -> "TrialOutcome":
        """Return a task with its result."""
        return cls(
            task.slot,
            task.trial,
            task.params,
            task.config,
            result,
            provenance,
            network=task.network,
        )


@dataclass(frozen=True, slots=True)
class TrialRecord(TrialOutcome):
    """A trial on record. Records are never updated."""

    recorded_at: float
    """Seconds since 1970 by the database's clock."""


@dataclass(frozen=True, slots=True)
class RetrainedTrial:
    """A trial on record that was trained again elsewhere, and what it came to there."""

    arm: str
    repeat: int
    slot: int
    state: TrialState
    nonzero: int
    """On the objective's track, as is the accuracy; 0 for a diverged one."""
    val_accuracy: float
    network: int = 0
    """Its number within the slot."""

    @property
    def place(self) -> NetworkPlace:
        """Its place within the sweep."""
        return self.arm, self.repeat, self.slot, self.network


@dataclass(frozen=True, slots=True)
class ReproducibilityCheck:
    """Trials of other machines, trained again on one."""

    provenance: Provenance
    """Of the machine that trained them again."""
    redone: tuple[RetrainedTrial, ...]
