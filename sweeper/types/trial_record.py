"""Trial record: a result in the database, with its slot and its provenance. Never updated."""

from collections.abc import Mapping
from dataclasses import dataclass

from sweeper.types.trial_config import Scalar, TrialConfig, TrialState
from sweeper.types.trial_result import TrialResult


@dataclass(frozen=True, slots=True)
class Slot:
    """The right to one trial of an (arm, repeat), as claimed by one worker."""

    sweep: str
    arm: str
    repeat: int
    number: int
    """0 ... budget - 1 within the (arm, repeat)."""
    study: str
    """Name of the Optuna study, `<sweep>/<arm>/<repeat>`."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a result comes from. Equal provenance on one kind of CPU means equal bits."""

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


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One trial on record. Facts are never updated."""

    sweep: str
    arm: str
    repeat: int
    slot: int
    study: str
    """Name of the Optuna study, `<sweep>/<arm>/<repeat>`."""
    trial: int
    """Number of the trial in that study."""
    params: Mapping[str, Scalar]
    """The searched parameters only."""
    config: TrialConfig
    result: TrialResult
    provenance: Provenance
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


@dataclass(frozen=True, slots=True)
class ReproducibilityCheck:
    """Trials of other machines, trained again on one."""

    provenance: Provenance
    """Of the machine that trained them again."""
    redone: tuple[RetrainedTrial, ...]
