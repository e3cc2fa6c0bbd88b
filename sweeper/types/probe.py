"""Strength probe: its task, its networks, and the range that it measured."""

from dataclasses import dataclass

from sweeper.types.trial_config import TrialState
from sweeper.types.trial_record import Provenance


@dataclass(frozen=True, slots=True)
class ProbePoint:
    """One network of a probe, judged as trained."""

    strength: float
    """0 for the first point: training without the penalty."""
    state: TrialState
    val_accuracy: float
    nonzero: int
    moved: float
    """Distance of its weights from those of the first point, relative to how far training moved
    these; 0 for the first, infinite for a diverged one."""


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """A range to be probed before slots of an arm can be claimed."""

    sweep: str
    arm: str
    parameter: str
    """The searched parameter that is `auto`: `strength`, or `l1.strength` in a sum."""
    key: str
    """Equal for probes that would give the same: sha256 of the probe's configuration."""


@dataclass(frozen=True, slots=True)
class StrengthRange:
    """The range of a strength, from where it does nothing to where networks collapse."""

    low: float
    high: float
    points: tuple[ProbePoint, ...]
    """Ascending in strength."""
    open_below: bool
    """No strength of the probe did nothing: the range may go on below."""
    open_above: bool
    """No strength of the probe collapsed: the range may go on above."""
    seconds: float
    """Wall time of the probe."""


@dataclass(frozen=True, slots=True)
class RecordedRange:
    """A strength range on record. Like trial records it is never updated."""

    arm: str
    parameter: str
    range: StrengthRange
    provenance: Provenance
    reused: bool
    """Whether it comes from another sweep, whose probe was the same."""
