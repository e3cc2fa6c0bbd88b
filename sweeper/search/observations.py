"""Observations: what a sampler is told of a finished slot, which may have brought several networks.

Seeds of one configuration are told as their mean. The networks of a ladder are told one by one, as
if each had been a trial of the same parameters. The hypervolume of a training as its only value
was less good for TPE and GP, see `tests/bench/sampler_observations.py`: of three arms and five
repeats on digits the mean hypervolume after 24 trainings was 0.6469 against 0.6379 by TPE and
0.6548 against 0.6370 by GP, with 0.6057 at random.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from optuna.study import StudyDirection

from sweeper.analysis.front import hypervolume
from sweeper.config import Sweep
from sweeper.search.objectives import DIRECTIONS
from sweeper.types import Scalar

Values = tuple[float, float]
"""Size and quality of a network."""


@dataclass(frozen=True, slots=True)
class FinishedSlot:
    """A slot whose networks are all told."""

    slot: int
    params: Mapping[str, Scalar]
    values: tuple[Values | None, ...]
    """Of each network, in their order; None of those that are no result."""


class ToldTrial(NamedTuple):
    """A trial as a sampler sees it; without values it was PRUNED."""

    slot: int
    params: Mapping[str, Scalar]
    values: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class ObservationRule:
    """How slots of a sweep are told."""

    rungs: int
    native: bool
    """Whether the sampler learns from PRUNED trials; others are told the worst values."""
    reference: tuple[int, float] | None = None
    """Corner of the hypervolume that is told in place of sizes and qualities."""

    @property
    def directions(self) -> Sequence[StudyDirection]:
        """Directions of what is told."""
        return DIRECTIONS if self.reference is None else (StudyDirection.MAXIMIZE,)

    def of(self, slots: Iterable[FinishedSlot]) -> list[ToldTrial]:
        """Return what is told of slots, in their order."""
        ordered = sorted(slots, key=lambda slot: slot.slot)
        means = {slot.slot: self._means(slot) for slot in ordered}
        if self.reference is not None:
            volume = self.reference
            return [
                ToldTrial(slot.slot, slot.params, (_volume(means[slot.slot], volume),))
                for slot in ordered
            ]
        worst = None if self.native else _worst([v for rungs in means.values() for v in rungs])
        return [
            ToldTrial(slot.slot, slot.params, values or worst)
            for slot in ordered
            for values in means[slot.slot]
        ]

    def _means(self, slot: FinishedSlot) -> list[Values | None]:
        """Return the mean over the seeds of each rung."""
        return [_mean(slot.values[rung :: self.rungs]) for rung in range(self.rungs)]


def observation_rule(sweep: Sweep) -> ObservationRule:
    """Return how slots of a sweep are told."""
    return ObservationRule(rungs=sweep.rungs, native=sweep.search.sampler == "tpe")


def _volume(values: Iterable[Values | None], reference: tuple[int, float]) -> float:
    points = [(int(size), quality) for size, quality in filter(None, values)]
    return hypervolume(points, reference)


def _mean(values: Sequence[Values | None]) -> Values | None:
    """Return the mean of seeds: no result is a quality of 0, of the size that the others have."""
    there = [value for value in values if value is not None]
    if not there:
        return None
    return (
        sum(size for size, _ in there) / len(there),
        sum(quality for _, quality in there) / len(values),
    )


def _worst(values: Sequence[Values | None]) -> Values:
    """GP and NSGA-II do not see PRUNED trials; at the worst values they learn to move away."""
    there = [value for value in values if value is not None]
    return (
        max((size for size, _ in there), default=1.0),
        min((quality for _, quality in there), default=0.0),
    )
