"""The configurations that a search has chosen, trained again: which they are, what they reached.

For each repeat of each arm and each size, the network that is best on validation within that size
is trained again with fresh seeds. A configuration that is best within several sizes is trained once
and stands for all of them. Nothing is selected among what comes out.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from sweeper.analysis import (
    ONE_SIDED,
    Curve,
    CurveValue,
    Estimate,
    Front,
    mean,
    paired_ratio,
    selection_metrics,
    strength_range,
)
from sweeper.config import ConfirmationPlan, SelectedConfig, Sweep
from sweeper.errors import InputError
from sweeper.types import Accuracy, Evaluation, RecordedRange, Scalar, SweepStatus, TrialRecord

SEEDS = 5


@dataclass(frozen=True, slots=True)
class ConfirmedConfig:
    """One configuration of a search with what its fresh seeds reached, in their order."""

    arm: str
    repeat: int
    slot: int
    """Of the search."""
    params: Mapping[str, Scalar]
    sizes: tuple[int, ...]
    """The sizes within which the search found it best."""
    facts: tuple[TrialRecord, ...]
    searched: TrialRecord
    """What the search itself saw: too good, for it was chosen by it."""

    @property
    def nonzero(self) -> float | None:
        """Geometric mean over the seeds, of networks with a parameter left; None without any."""
        sizes = [network.nonzero for fact in self.facts if (network := _judged(fact))]
        return math.exp(float(np.mean(np.log(np.maximum(sizes, 1))))) if sizes else None

    def accuracy(self, name: Accuracy) -> float:
        """Mean over the seeds. A diverged one has no network, and counts as never right."""
        return float(np.mean(self.accuracies(name)))

    def accuracies(self, name: Accuracy) -> tuple[float, ...]:
        """Return those of all seeds, in [0, 1]."""
        judged = [_judged(fact) for fact in self.facts]
        return tuple(0.0 if network is None else getattr(network, name) for network in judged)

    @property
    def failed(self) -> int:
        """Seeds that diverged or collapsed."""
        return sum(fact.result.state != "complete" for fact in self.facts)

    def shrinkage(self, name: Accuracy) -> float:
        """How much better the search saw it than its fresh seeds are: the winner's curse."""
        network = _judged(self.searched)
        return (getattr(network, name) if network else 0.0) - self.accuracy(name)


def confirmation_sweep(
    sweep: Sweep,
    status: SweepStatus,
    facts: Iterable[TrialRecord],
    found: Iterable[RecordedRange] = (),
    *,
    seeds: int = SEEDS,
) -> Sweep:
    """Return what is to be trained again, as a sweep of its own. Raises InputError.

    `found` are the ranges of the strengths, which the sweep need not know.
    """
    facts = tuple(facts)
    if sweep.confirms:
        raise InputError(f"{sweep.name}: is a confirmation itself: sweeper confirm {_of(sweep)}")
    if seeds < 1:
        raise InputError(f"seeds: must be >= 1, got {seeds}")
    if not status.finished:
        raise InputError(
            f"{sweep.name}: {status.done} of {status.budget} trials are done; the choice is made "
            "when all are: sweeper run FILE goes on"
        )
    chosen = {arm: tuple(_chosen(sweep, facts, arm)) for arm in sweep.arms}
    arms = {name: arm for name, arm in sweep.arms.items() if chosen[name]}
    sizes = sweep.targets.nonzero
    if not arms:
        raise InputError(
            f"{sweep.name}: no arm has a network within {max(sizes):,} nonzero parameters, the "
            "largest of targets.nonzero: there is nothing to confirm"
        )
    known = sweep.with_ranges(strength_range.ranges(tuple(found)))
    confirms = ConfirmationPlan(
        of=sweep.name,
        digest=sweep.digest,
        seeds=seeds,
        sizes=tuple(sorted(set(sizes))),
        chosen={name: chosen[name] for name in arms},
    )
    values = known.model_dump() | {"name": confirms.name, "confirms": confirms.model_dump()}
    values["arms"] = {name: known.arms[name].model_dump() for name in arms}
    return Sweep.model_validate(values)


def continued_confirmation(known: Sweep, wanted: Sweep) -> Sweep:
    """Return what is wanted, with no fewer seeds than are registered.

    Raises InputError if the search chooses others now; further arms and repeats are no others.
    """
    before, now = known.confirms, wanted.confirms
    if before is None or now is None:
        raise AssertionError("no study file can have the name of a confirmation")
    others = [
        arm for arm, old in before.chosen.items() if now.chosen.get(arm, ())[: len(old)] != old
    ]
    if others or before.sizes != now.sizes:
        raise InputError(
            f"{now.of}: the search went on or got other targets since it was confirmed, "
            "and chooses others now"
            + (f" of {', '.join(others)}" if others else "")
            + f": sweeper delete {now.name}, then confirm it again"
        )
    more = now.model_copy(update={"seeds": max(before.seeds, now.seeds)})
    return Sweep.model_validate(wanted.model_dump() | {"confirms": more.model_dump()})


def confirmed_configs(
    sweep: Sweep, facts: Iterable[TrialRecord], searched: Iterable[TrialRecord]
) -> list[ConfirmedConfig]:
    """Return each configuration with what is on record of it; those without any are left out.

    `sweep` and `facts` are the confirmation's, `searched` the facts of the search.
    """
    confirms = sweep.confirms
    if confirms is None:
        raise TypeError(f"{sweep.name} is no confirmation")
    before = {fact.slot.place: fact for fact in searched}
    trained: dict[tuple[str, int, int], list[TrialRecord]] = {}
    for fact in facts:
        one, _ = confirms.at(*fact.slot.place)
        trained.setdefault((fact.slot.arm, fact.slot.repeat, one.slot), []).append(fact)
    return [
        ConfirmedConfig(
            arm=arm,
            repeat=one.repeat,
            slot=one.slot,
            params=one.params,
            sizes=one.sizes,
            facts=tuple(sorted(trained[place], key=lambda fact: fact.slot.number)),
            searched=before[place],
        )
        for arm, several in confirms.chosen.items()
        for one in several
        if (place := (arm, one.repeat, one.slot)) in trained
    ]


def confirmed_curves(
    sweep: Sweep, found: Iterable[ConfirmedConfig], by: Accuracy
) -> dict[str, dict[int, Curve]]:
    """Return arm -> repeat -> the curve through the means of its configurations.

    `sweep` is the confirmation. Every repeat has a curve: one in which the search found no network
    within the sizes reaches nothing, and to leave it out would be to average the lucky ones.
    """
    points: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for one in found:
        size = one.nonzero
        if size is not None:
            points.setdefault((one.arm, one.repeat), []).append((size, one.accuracy(by)))
    repeats = range(sweep.search.repeats)
    return {
        arm: {repeat: Curve.of(points.get((arm, repeat), ())) for repeat in repeats}
        for arm in sweep.arms
        if any((arm, repeat) in points for repeat in repeats)
    }


@dataclass(frozen=True, slots=True)
class SizeAtAccuracy:
    """Nonzeros of one arm at an accuracy, over its repeats."""

    readings: Mapping[int, CurveValue]
    """By repeat."""
    estimate: Estimate | None
    """Geometric mean with its interval; None unless every repeat reaches it between two sizes."""
    most: Estimate | None
    """Geometric mean of sizes that are exact or too large; None unless every repeat reaches it.

    Its ends are one-sided 95 % limits: `high` is what the arm needs at most.
    """

    @property
    def repeats(self) -> int:
        return len(self.readings)

    @property
    def reached(self) -> int:
        """Repeats that reach the accuracy, those below their smallest network included."""
        return sum(one.state != "not reached" for one in self.readings.values())


def size_at_accuracy(repeats: Mapping[int, Curve], accuracy: float) -> SizeAtAccuracy:
    """Return the nonzeros at an accuracy, from the curves of the repeats."""
    readings = {repeat: curve.nonzero_at(accuracy) for repeat, curve in repeats.items()}
    sizes = [one.value for one in readings.values() if one.value is not None]
    if len(sizes) < len(readings):
        return SizeAtAccuracy(readings, None, None)
    ones = [1.0] * len(sizes)
    exact = all(one.exact is not None for one in readings.values())
    return SizeAtAccuracy(
        readings,
        paired_ratio(sizes, ones) if exact else None,
        paired_ratio(sizes, ones, confidence=ONE_SIDED),
    )


@dataclass(frozen=True, slots=True)
class AccuracyAtSize:
    """Accuracies of one arm within a size, over its repeats."""

    mean: Estimate | None
    """With its interval; None unless every repeat has a network within the size."""
    found: int
    """Repeats that have one."""
    repeats: int


def accuracy_at_size(
    sweep: Sweep, found: Iterable[ConfirmedConfig], arm: str, size: int, by: Accuracy
) -> AccuracyAtSize:
    """Return what an arm's confirmed networks within a size reach; `sweep` is the confirmation."""
    values = [one.accuracy(by) for one in found if one.arm == arm and size in one.sizes]
    repeats = sweep.search.repeats
    return AccuracyAtSize(mean(values) if len(values) == repeats else None, len(values), repeats)


def _chosen(sweep: Sweep, facts: Iterable[TrialRecord], arm: str) -> Iterable[SelectedConfig]:
    by, show = selection_metrics(sweep)
    track = sweep.sparsification.track
    mine = [fact for fact in facts if fact.slot.arm == arm]
    for repeat in range(sweep.search.repeats):
        front = Front.of((f for f in mine if f.slot.repeat == repeat), track, by, show, arm)
        sizes: dict[int, list[int]] = {}
        params: dict[int, dict[str, Scalar]] = {}
        for size in sorted(set(sweep.targets.nonzero)):
            point = front.at(nonzero=size)
            if point is not None:
                sizes.setdefault(point.slot, []).append(size)
                params[point.slot] = dict(point.params)
        for slot, accuracy_at_size in sizes.items():
            yield SelectedConfig(
                repeat=repeat, slot=slot, params=params[slot], sizes=tuple(accuracy_at_size)
            )


def _judged(fact: TrialRecord) -> Evaluation | None:
    return fact.result.judged(fact.config.track)


def _of(sweep: Sweep) -> str:
    return sweep.confirms.of if sweep.confirms else sweep.name
