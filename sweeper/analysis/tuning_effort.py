"""Effort of tuning an arm: its front after so many trials, and how exact a strength must be.

An arm may look better because it is easier to tune, or look worse because its budget was too small
for its ranges. The front of the first k slots of a search says how much of it came early.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sweeper.analysis import Front, reference_corner, selection_metrics
from sweeper.config import Domain, Sweep
from sweeper.types import Accuracy, Place, Track, TrialRecord

TOLERANCE = 0.005
"""How much accuracy a configuration may lose to what its arm reaches at its size."""


@dataclass(frozen=True, slots=True)
class AnytimeFront:
    """The fronts of the first trials of one arm; a place for each number of trials from 1 on."""

    arm: str
    seconds: tuple[float, ...]
    """Spent until then in one search, mean over repeats; packed time, see `TrialResult.seconds`."""
    hypervolume: tuple[tuple[float, ...], ...]
    """By number of trials, then by repeat."""
    nonzero: Mapping[float, tuple[tuple[int | None, ...], ...]]
    """By accuracy, number of trials and repeat: the smallest network; None if not reached."""

    def mean(self) -> tuple[float, ...]:
        """Return the mean hypervolume over repeats, by number of trials."""
        return tuple(float(np.mean(of)) for of in self.hypervolume)

    def share(self, trials: int, of: int) -> float:
        """Return the part that the first trials reach of the mean hypervolume after `of` trials."""
        means = self.mean()
        return means[trials - 1] / means[of - 1] if means[of - 1] > 0 else math.nan


@dataclass(frozen=True, slots=True)
class StrengthSensitivity:
    """How wide a strength may vary without losing more than `TOLERANCE` of accuracy."""

    arm: str
    parameter: str
    low: float
    high: float
    """The strengths between which such trials lie."""
    within: int
    """How many they are."""
    trials: int
    """Complete trials of the arm."""
    searched: tuple[float, float]
    """The range that was searched."""

    @property
    def decades(self) -> float:
        """Their width, log10."""
        return math.log10(self.high / self.low)

    @property
    def share(self) -> float:
        """Their width as a share of the searched one, on the logarithm."""
        return self.decades / math.log10(self.searched[1] / self.searched[0])


def anytime_fronts(records: Iterable[TrialRecord], sweep: Sweep) -> tuple[AnytimeFront, ...]:
    """Return the effort of each arm, in file order, up to the trials that all repeats have."""
    records = tuple(records)
    corner = reference_corner(sweep, records)
    by_repeat: dict[str, dict[int, dict[int, list[TrialRecord]]]] = {}
    for record in sorted(records, key=lambda record: record.slot.number):
        arm, repeat, slot = record.slot.place
        slots = by_repeat.setdefault(arm, {}).setdefault(repeat, {})
        slots.setdefault(slot, []).append(record)
    return tuple(
        _effort(arm, by_repeat[arm], sweep, corner) for arm in sweep.arms if arm in by_repeat
    )


def trials_reaching_target(
    records: Iterable[TrialRecord], sweep: Sweep
) -> dict[str, tuple[int, int]]:
    """Return the trials of each arm that reach the lowest target accuracy, and all its trials.

    Arms of which few do so had fewer trials than others where it counts, whatever their budget. One
    with several networks reaches it with the best of them.
    """
    by, _ = selection_metrics(sweep)
    track, least = sweep.sparsification.track, min(sweep.targets.accuracy)
    reaches: dict[Place, bool] = {}
    for record in records:
        network = record.result.judged(track)
        good = network is not None and getattr(network, by) >= least
        reaches[record.slot.place] = reaches.get(record.slot.place, False) or good
    counts = dict.fromkeys(sweep.arms, (0, 0))
    for (arm, _, _), good in reaches.items():
        reached, trials = counts[arm]
        counts[arm] = (reached + good, trials + 1)
    return counts


def strength_sensitivities(
    records: Iterable[TrialRecord], sweep: Sweep
) -> tuple[StrengthSensitivity, ...]:
    """Return the sensitivity of every searched strength; `sweep` has its ranges filled in.

    A trial is compared with the best that any trial of its arm reaches at its size or below, over
    all repeats: what else is searched, density above all, does not count against a strength.
    """
    by, show = selection_metrics(sweep)
    track = sweep.sparsification.track
    records = tuple(records)
    sensitivities = []
    for arm in sweep.arms:
        front = Front.of(records, track, by, show, arm)
        near: list[TrialRecord] = []
        complete = 0
        for record in records:
            network = record.result.judged(track)
            if record.slot.arm != arm or record.result.state != "complete" or network is None:
                continue
            complete += 1
            best = front.at(nonzero=network.nonzero)
            if best and best.accuracy(by) - getattr(network, by) <= TOLERANCE:
                near.append(record)
        for parameter, domain in sweep.domains(arm).items():
            if parameter.endswith("strength") and near and (ends := _ends(domain)):
                values = [float(record.params[parameter]) for record in near]
                low, high = min(values), max(values)
                sensitivities.append(
                    StrengthSensitivity(arm, parameter, low, high, len(near), complete, ends)
                )
    return tuple(sensitivities)


def _effort(
    arm: str,
    repeats: Mapping[int, Mapping[int, Sequence[TrialRecord]]],
    sweep: Sweep,
    corner: tuple[int, float],
) -> AnytimeFront:
    by, show = selection_metrics(sweep)
    track, targets = sweep.sparsification.track, sweep.targets.accuracy
    trials = min(len(of) for of in repeats.values())
    slots = [list(of.values())[:trials] for of in repeats.values()]
    stages = [_stages(of, track, by, show, arm, corner) for of in slots]
    sizes: dict[float, list[tuple[int | None, ...]]] = {target: [] for target in targets}
    seconds = []
    for count in range(1, trials + 1):
        for target in targets:
            points = [stage[count - 1][0].at(accuracy=target) for stage in stages]
            sizes[target].append(tuple(point.nonzero if point else None for point in points))
        spent = [sum(r.result.seconds for slot in of[:count] for r in slot) for of in slots]
        seconds.append(float(np.mean(spent)))
    volumes = tuple(tuple(volume for _, volume in stage) for stage in zip(*stages, strict=True))
    return AnytimeFront(
        arm,
        tuple(seconds),
        volumes,
        {target: tuple(some) for target, some in sizes.items()},
    )


def _stages(
    slots: Sequence[Sequence[TrialRecord]],
    track: Track,
    by: Accuracy,
    show: Accuracy,
    arm: str,
    corner: tuple[int, float],
) -> list[tuple[Front, float]]:
    """Return the front of the first trials with its hypervolume, for each number of them.

    Most trials are dominated by earlier ones and change neither: workers draw this every few
    seconds, and making every front anew took twice as long.
    """
    front, volume = Front.of((), track, by, show, arm), 0.0
    stages = []
    for count, slot in enumerate(slots, 1):
        if any(_is_better(record, front, track, by) for record in slot):
            records = [record for earlier in slots[:count] for record in earlier]
            front = Front.of(records, track, by, show, arm)
            volume = front.hypervolume(corner)
        stages.append((front, volume))
    return stages


def _is_better(record: TrialRecord, front: Front, track: Track, by: Accuracy) -> bool:
    """Tell whether a network is one that no network of a front dominates."""
    network = record.result.judged(track)
    if record.result.state != "complete" or network is None:
        return False
    best = front.at(nonzero=network.nonzero)
    return best is None or best.accuracy(by) < getattr(network, by)


def _ends(domain: Domain) -> tuple[float, float] | None:
    """Return the ends of a range; None for choices, and for one that touches zero."""
    bounds: tuple[float, float] | None = getattr(domain, "bounds", None)
    return bounds if bounds and bounds[0] > 0 else None
