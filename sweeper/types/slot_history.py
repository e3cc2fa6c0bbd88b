"""Slot history: what became of a slot, and of the attempts that were lost before its record."""

from dataclasses import dataclass
from typing import Literal

from sweeper.types.status import FailureKind

SlotState = Literal["open", "claimed", "recorded", "told"]
"""`told`: on record, and Optuna knows."""


@dataclass(frozen=True, slots=True)
class LostAttempt:
    """An attempt that came to nothing."""

    kind: FailureKind
    error: str
    """Empty where the worker could not say any more what it was."""
    at: float
    """Seconds since 1970 by the database's clock."""
    host: str
    """Machine of its worker."""


@dataclass(frozen=True, slots=True)
class SlotHistory:
    """State of a slot, and its lost attempts."""

    state: SlotState
    trial: int | None
    """Number of its trial in Optuna's study; None before it was asked for."""
    host: str
    """Machine of the worker that holds it; empty if none does."""
    lost: tuple[LostAttempt, ...]
    """Oldest first."""
