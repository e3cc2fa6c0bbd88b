"""Confirmation of a search: its best configurations, trained again with fresh seeds.

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
    Bracket,
    Curve,
    CurveValue,
    Estimate,
    mean,
    network_params,
    paired_ratio,
    selection_metrics,
    strength_range,
)
from sweeper.config import ConfirmationPlan, SelectedConfig, Sweep
from sweeper.errors import InputError, pluralize
from sweeper.types import Accuracy, Evaluation, RecordedRange, Scalar, SweepStatus, TrialRecord

SEEDS = 5


@dataclass(frozen=True, slots=True)
class ConfirmedConfig:
    """One configuration of a search with what its fresh seeds reached, in their order."""

    arm: str
    repeat: int
    slot: int
    """Of the search."""
    rung: int
    """Of the ladder, 0 without."""
    params: Mapping[str, Scalar]
    """Searched, with the density of its rung."""
    sizes: tuple[int, ...]
    """The sizes within which the search found it best."""
    records: tuple[TrialRecord, ...]
    searched: tuple[TrialRecord, ...]
    """What the search itself saw, of each of its seeds: too good, for it was chosen by it."""

    @property
    def nonzero(self) -> float | None:
        """Geometric mean over the seeds, of networks with a parameter left; None without any."""
        sizes = [network.nonzero for record in self.records if (network := _network(record))]
        return math.exp(float(np.mean(np.log(np.maximum(sizes, 1))))) if sizes else None

    def accuracy(self, name: Accuracy) -> float:
        """Mean over the seeds. A diverged one has no network, and counts as never right."""
        return float(np.mean(self.accuracies(name)))

    def accuracies(self, name: Accuracy) -> tuple[float, ...]:
        """Return those of all seeds, in [0, 1]."""
        return _accuracies(self.records, name)

    @property
    def failed(self) -> int:
        """Seeds that diverged or collapsed."""
        return sum(record.result.state != "complete" for record in self.records)

    def shrinkage(self, name: Accuracy) -> float:
        """How much better the search saw it than its fresh seeds are: the winner's curse."""
        return float(np.mean(_accuracies(self.searched, name))) - self.accuracy(name)


def confirmation_sweep(
    sweep: Sweep,
    status: SweepStatus,
    records: Iterable[TrialRecord],
    ranges: Iterable[RecordedRange] = (),
    *,
    seeds: int = SEEDS,
) -> Sweep:
    """Return the sweep that trains the best configurations of a search again.

    `ranges` are those of the strengths, which the sweep need not have. Raises InputError where
    there is nothing to confirm, or not yet.
    """
    records = tuple(records)
    if sweep.confirms:
        raise InputError(
            f"{sweep.name}: is a confirmation itself: sweeper confirm {sweep.confirms.of}"
        )
    if seeds < 1:
        raise InputError(f"seeds: must be >= 1, got {seeds}")
    if not status.finished:
        raise InputError(
            f"{sweep.name}: {status.done:,} of {pluralize(status.budget, 'trial')} done; the "
            "choice is made when all are: sweeper run FILE goes on"
        )
    selected = {arm: tuple(_selected_configs(sweep, records, arm)) for arm in sweep.arms}
    arms = {name: arm for name, arm in sweep.arms.items() if selected[name]}
    sizes = sweep.targets.nonzero
    if not arms:
        raise InputError(
            f"{sweep.name}: no arm has a network within {max(sizes):,} {sweep.size_label}, the "
            f"largest of targets.{sweep.size_key}: there is nothing to confirm"
        )
    ranged = sweep.with_ranges(strength_range.ranges(tuple(ranges)))
    plan = ConfirmationPlan(
        of=sweep.name,
        digest=sweep.digest,
        seeds=seeds,
        sizes=tuple(sorted(set(sizes))),
        chosen={name: selected[name] for name in arms},
    )
    values = ranged.model_dump() | {"name": plan.name, "confirms": plan.model_dump()}
    values.pop("warm_start", None)
    values["arms"] = {name: ranged.arms[name].model_dump() for name in arms}
    return Sweep.model_validate(values)


def continued_confirmation(registered: Sweep, wanted: Sweep) -> Sweep:
    """Return the wanted confirmation, with no fewer seeds than the registered one has.

    Raises InputError if the search chooses others now; further arms and repeats are no others.
    """
    before, now = registered.confirms, wanted.confirms
    if before is None or now is None:
        raise AssertionError("no study file can have the name of a confirmation")
    others = [
        arm for arm, old in before.chosen.items() if now.chosen.get(arm, ())[: len(old)] != old
    ]
    if others or before.sizes != now.sizes:
        raise InputError(
            f"{now.of}: the search went on, got other targets or had trials dropped since it was "
            "confirmed, and chooses others now"
            + (f" of {', '.join(others)}" if others else "")
            + f": sweeper delete {now.name}, then confirm it again"
        )
    plan = now.model_copy(update={"seeds": max(before.seeds, now.seeds)})
    return Sweep.model_validate(wanted.model_dump() | {"confirms": plan.model_dump()})


def confirmed_configs(
    sweep: Sweep, records: Iterable[TrialRecord], searched: Iterable[TrialRecord]
) -> list[ConfirmedConfig]:
    """Return each configuration with its records; configurations without any are left out.

    `sweep` and `records` are the confirmation's, `searched` the records of the search.
    """
    plan = sweep.confirms
    if plan is None:
        raise TypeError(f"{sweep.name} is no confirmation")
    seen: dict[tuple[str, int, int, int], list[TrialRecord]] = {}
    for record in searched:
        key = (*record.slot.place, record.network % sweep.rungs)
        seen.setdefault(key, []).append(record)
    trained: dict[tuple[str, int, int, int], list[TrialRecord]] = {}
    for record in records:
        config, _ = plan.at(*record.slot.place)
        key = (record.slot.arm, record.slot.repeat, config.slot, record.network)
        trained.setdefault(key, []).append(record)
    return [
        ConfirmedConfig(
            arm=arm,
            repeat=config.repeat,
            slot=config.slot,
            rung=config.rung,
            params=network_params(trained[place][0]),
            sizes=config.sizes,
            records=tuple(sorted(trained[place], key=lambda record: record.slot.number)),
            searched=tuple(sorted(seen[place], key=lambda record: record.network)),
        )
        for arm, configs in plan.chosen.items()
        for config in configs
        if (place := (arm, config.repeat, config.slot, config.rung)) in trained
    ]


def confirmed_curves(
    sweep: Sweep, configs: Iterable[ConfirmedConfig], by: Accuracy
) -> dict[str, dict[int, Curve]]:
    """Return arm -> repeat -> the curve through the means of its configurations.

    `sweep` is the confirmation. Every repeat has a curve: one in which the search found no network
    within the sizes reaches nothing, and to leave it out would be to average the lucky ones.
    """
    points: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for config in configs:
        size = config.nonzero
        if size is not None:
            points.setdefault((config.arm, config.repeat), []).append((size, config.accuracy(by)))
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
    def widest(self) -> Bracket | None:
        """The widest bracket of a repeat; None where no repeat reaches it between two sizes."""
        brackets = [reading.bracket for reading in self.readings.values() if reading.bracket]
        return max(brackets, key=lambda bracket: bracket.factor, default=None)

    @property
    def reached(self) -> int:
        """Repeats that reach the accuracy, those below their smallest network included."""
        return sum(reading.state != "not reached" for reading in self.readings.values())


def size_at_accuracy(repeats: Mapping[int, Curve], accuracy: float) -> SizeAtAccuracy:
    """Return the nonzeros at an accuracy, from the curves of the repeats."""
    readings = {repeat: curve.nonzero_at(accuracy) for repeat, curve in repeats.items()}
    sizes = [reading.value for reading in readings.values() if reading.value is not None]
    if len(sizes) < len(readings):
        return SizeAtAccuracy(readings, None, None)
    ones = [1.0] * len(sizes)
    exact = all(reading.exact is not None for reading in readings.values())
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
    reached: int
    """Repeats that have one."""
    repeats: int


def accuracy_at_size(
    sweep: Sweep, configs: Iterable[ConfirmedConfig], arm: str, size: int, by: Accuracy
) -> AccuracyAtSize:
    """Return the accuracies of an arm's confirmed networks within a size, of all repeats.

    `sweep` is the confirmation.
    """
    values = [
        config.accuracy(by) for config in configs if config.arm == arm and size in config.sizes
    ]
    repeats = sweep.search.repeats
    return AccuracyAtSize(mean(values) if len(values) == repeats else None, len(values), repeats)


def _selected_configs(
    sweep: Sweep, records: Iterable[TrialRecord], arm: str
) -> Iterable[SelectedConfig]:
    """Yield of each repeat of an arm the best configuration within each size, each once."""
    of_arm = [record for record in records if record.slot.arm == arm]
    for repeat in range(sweep.search.repeats):
        of_repeat = [record for record in of_arm if record.slot.repeat == repeat]
        sizes: dict[tuple[int, int], list[int]] = {}
        params: dict[int, dict[str, Scalar]] = {}
        for size in sorted(set(sweep.targets.nonzero)):
            best = _best(sweep, of_repeat, size)
            if best is not None:
                slot, rung = best.slot.number, best.network % sweep.rungs
                sizes.setdefault((slot, rung), []).append(size)
                params[slot] = dict(best.params)
        for (slot, rung), within in sizes.items():
            yield SelectedConfig(
                repeat=repeat, slot=slot, rung=rung, params=params[slot], sizes=tuple(within)
            )


def _best(sweep: Sweep, records: Iterable[TrialRecord], size: int) -> TrialRecord | None:
    """Return what is best within a size, by the record of its first seed; None without any.

    Of several seeds their mean counts, and the largest of their networks.
    """
    by, _ = selection_metrics(sweep)
    seeds: dict[tuple[int, int], list[TrialRecord]] = {}
    for record in records:
        seeds.setdefault((record.slot.number, record.network % sweep.rungs), []).append(record)
    best, mark = None, (-math.inf, 0)
    for of_rung in seeds.values():
        complete = [record for record in of_rung if record.result.state == "complete"]
        networks = [network for record in complete if (network := _network(record))]
        largest = max((network.nonzero for network in networks), default=size + 1)
        quality = sum(getattr(network, by) for network in networks) / len(of_rung)
        if largest <= size and (quality, -largest) > mark:
            best, mark = of_rung[0], (quality, -largest)
    return best


def _network(record: TrialRecord) -> Evaluation | None:
    """Return the network of a record on its objective's track; None if it diverged."""
    return record.result.judged(record.config.track)


def _accuracies(records: Iterable[TrialRecord], name: Accuracy) -> tuple[float, ...]:
    networks = [_network(record) for record in records]
    return tuple(0.0 if network is None else getattr(network, name) for network in networks)
