"""Sweep status: progress of arms and workers as of one moment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FailureKind = Literal["killed", "lease over", "given back", "memory", "error"]
"""Classes of attempts that came to nothing, see `store.failures`."""


SweepState = Literal["open", "stopped", "failed"]
"""Slots are given out only while it is open. `failed`: the same error came again and again."""


@dataclass(frozen=True, slots=True)
class LastError:
    """Last error of training, and its time (seconds since 1970, the database's clock)."""

    text: str
    at: float
    repeat: int | None = None
    slot: int | None = None
    """Where it was; None for a probe, and where no slot was lost."""


@dataclass(frozen=True, slots=True)
class ArmProgress:
    """Progress of one arm, as `run` and `status` show it."""

    arm: str
    budget: int
    done: int
    claimed: int
    networks: int
    """On record: as many as trials are done, or more for each of several rungs or seeds."""
    diverged: int
    collapsed: int
    """Of the networks, as are those that diverged."""
    failures: Mapping[FailureKind, int]
    """Attempts that came to nothing, by class; classes that never came up are left out."""
    last_error: LastError | None
    """Error of training when it failed last."""
    best_accuracy: float | None
    """Best validation accuracy on the objective's track."""
    smallest_nonzero: int | None
    """Smallest network of the objective's track over the floor."""
    seconds: float
    """Sum of the seconds of its trials."""
    pace: float | None
    """Mean over the trials of workers that are alive: it may have begun on another machine."""
    paused: bool = False
    """Whether it is to wait: no more of it is claimed until somebody resumes it."""
    dropped: int = 0
    """Trials on record of which somebody left out networks; the best and smallest are others'."""

    @property
    def lost(self) -> dict[FailureKind, int]:
        """Attempts that were lost: not those that a worker gave back, for it was asked to stop."""
        return {kind: number for kind, number in self.failures.items() if kind != "given back"}

    @property
    def failed_text(self) -> str:
        """Networks that diverged or collapsed, of how many where a trial has several."""
        failed = self.diverged + self.collapsed
        return f"{failed}/{self.networks}" if self.networks > self.done else str(failed)


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker that holds or held a lease."""

    id: str
    host: str
    pid: int
    device: str
    alive: bool
    slots: int
    done: int
    started_at: float
    progress: float = 0.0
    """Share of its present pack that it has trained, in [0, 1]; seconds old."""


@dataclass(frozen=True, slots=True)
class SweepStatus:
    """Progress of a sweep: the one value behind `run`, `status`, `list` and the dashboard."""

    name: str
    digest: str
    state: SweepState
    created_at: float
    now: float
    """The database's clock when this was read."""
    arms: tuple[ArmProgress, ...]
    workers: tuple[WorkerStatus, ...] = field(default=())
    probes: int = 0
    """Ranges of strengths that this sweep needs, and those on record."""
    probed: int = 0
    error: str = ""
    """Why a failed sweep was given up."""

    @property
    def failures(self) -> dict[FailureKind, int]:
        """Attempts that came to nothing, of all arms."""
        failures: dict[FailureKind, int] = {}
        for arm in self.arms:
            for kind, number in arm.failures.items():
                failures[kind] = failures.get(kind, 0) + number
        return failures

    @property
    def lost(self) -> dict[FailureKind, int]:
        """Attempts of all arms that were lost: not those that a worker gave back."""
        return {kind: number for kind, number in self.failures.items() if kind != "given back"}

    @property
    def budget(self) -> int:
        return sum(arm.budget for arm in self.arms)

    @property
    def done(self) -> int:
        return sum(arm.done for arm in self.arms)

    @property
    def finished(self) -> bool:
        return self.done == self.budget

    @property
    def paused(self) -> tuple[str, ...]:
        """Arms that are paused and not finished."""
        return tuple(arm.arm for arm in self.arms if arm.paused and arm.done < arm.budget)

    @property
    def waits(self) -> bool:
        """Whether all that is left is paused: it goes on when somebody resumes it."""
        return bool(self.paused) and all(arm.paused or arm.done == arm.budget for arm in self.arms)
