"""Enqueued configuration: parameters that a slot is given before anybody claims it."""

from collections.abc import Mapping
from dataclasses import dataclass

from sweeper.types.trial_config import Scalar
from sweeper.types.trial_record import Place


@dataclass(frozen=True, slots=True)
class EnqueuedConfig:
    """Parameters of a slot; those that are not given, the sampler proposes."""

    arm: str
    repeat: int
    slot: int
    params: Mapping[str, Scalar]
    source: str
    """Who gave them: `enqueued by hand`, or the sweep that they are the best of."""

    @property
    def place(self) -> Place:
        """Place of its slot within the sweep."""
        return self.arm, self.repeat, self.slot
