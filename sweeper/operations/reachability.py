"""Reachability: targets, corners and densities of a study that none of its networks can have.

A column of a table stays empty where every network is larger than its size. That is known before
anything is trained: biases are never pruned unless the file says so, and pruning leaves a density.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sweeper.config import Sweep
from sweeper.config.domains import values
from sweeper.config.registry import EXACT_ZEROS, FORMULAS, METHODS
from sweeper.config.sections import Targets
from sweeper.operations.measured_network import MeasuredNetwork

_CHANCE = ("accuracy", "balanced_accuracy")


@dataclass(frozen=True, slots=True)
class Counts:
    """Parameters of a study's network."""

    total: int
    weights: int
    """Those that are pruned."""
    smallest: float
    """Densities at the ends."""
    largest: float
    prunes_biases: bool

    @property
    def others(self) -> int:
        """Parameters that are never pruned, such as biases."""
        return self.total - self.weights

    @property
    def least(self) -> int:
        """Parameters that every network has."""
        return 0 if self.prunes_biases else self.others

    def kept(self, density: float) -> int:
        """Return the weights that a density leaves."""
        return round(density * self.weights)


def unreachable(sweep: Sweep, network: MeasuredNetwork | None = None) -> list[str]:
    """Return what no network of a study can have, a line each; it begins with the key.

    `network` is the study's, if that is not in the registry.
    """
    counts = _counts(sweep, network)
    return [
        *_accuracies(sweep),
        *(_sizes(sweep, counts) if counts else ()),
        *(_densities(sweep, counts) if counts else ()),
        *_capitals(sweep.arms),
    ]


def _counts(sweep: Sweep, network: MeasuredNetwork | None) -> Counts | None:
    """Return the parameters of a network; None where only its code can tell."""
    if sweep.script is not None:
        return None
    rule, total, shapes = sweep.sparsification, sweep.total_parameters, sweep.prunable
    if total is not None and shapes is not None:
        weights = sum(math.prod(shape) for shape in shapes.values())
    elif network is not None:
        total, weights = network.parameters, network.weights
    else:
        return None
    known = rule.densities or [one for one in values(rule.density) if isinstance(one, float)]
    ends = (min(known), max(known)) if known else (0.0, 1.0)
    return Counts(total, weights, *ends, rule.prune_dead_biases)


def _accuracies(sweep: Sweep) -> Iterable[str]:
    key = f"targets.{sweep.measure_key}"
    script = sweep.script is not None
    place = "objectives.floor" if script else "sparsification.floor"
    floor = sweep.objectives.floor if script else sweep.sparsification.floor
    under = [target for target in sweep.targets.accuracy if target < floor]
    if under:
        yield (
            f"{place}: {floor:g} is above {_listed(under)} of {key}: networks below the floor "
            f"count nowhere; reachable are targets from {floor:g} on"
        )
    if script or not sweep.is_resolved or sweep.data.values or sweep.measure not in _CHANCE:
        return
    chance = 1 / sweep.data.classes
    guessed = [target for target in sweep.targets.accuracy if target <= chance]
    if guessed:
        yield (
            f"{key}: {_listed(guessed)} is reached by guessing one of {sweep.data.classes} classes "
            f"({chance:.3g}): a target says something from above that to below 1"
        )


def _sizes(sweep: Sweep, counts: Counts) -> Iterable[str]:
    key = f"targets.{sweep.size_key}"
    smallest = {name: _smallest(sweep, counts, name) for name in sweep.arms}
    least = min(smallest.values())
    biases = ""
    if not counts.prunes_biases:
        biases = (
            f", {counts.others:,} of them never pruned, such as biases "
            "(sparsification.prune_dead_biases: true counts those that lead nowhere as gone)"
        )
    never = [size for size in sweep.targets.nonzero if size < least]
    if never:
        yield (
            f"{key}: no network is within {_listed(never)}: the smallest of an arm has {least:,} "
            f"parameters{biases}; reachable are sizes from {least:,} on"
        )
    some: dict[tuple[str, ...], list[int]] = {}
    for size in sweep.targets.nonzero:
        arms = tuple(name for name, of_arm in smallest.items() if of_arm > size)
        if arms and size not in never:
            some.setdefault(arms, []).append(size)
    for arms, sizes in some.items():
        most = max(smallest[name] for name in arms)
        yield (
            f"{key}: {', '.join(arms)} cannot have a network within {_listed(sizes)}: reachable "
            f"for all arms are sizes from {most:,} on"
        )
    whole = [size for size in sweep.targets.nonzero if size > counts.total]
    if whole and sweep.targets.nonzero != Targets().nonzero:  # nobody asked for the usual ones
        yield (
            f"{key}: every network is within {_listed(whole)}: the whole one has "
            f"{counts.total:,} parameters"
        )
    corner = sweep.reference.nonzero
    if corner is not None and corner <= least:
        yield (
            f"reference.{sweep.size_key}: no network is smaller than {corner:,}, and every "
            f"hypervolume is 0: reachable are sizes from {least:,} to {counts.total:,}"
        )


def _smallest(sweep: Sweep, counts: Counts, name: str) -> int:
    """Return the parameters of the smallest network that an arm can have, its last weight left."""
    if narrowest := _narrowest(sweep, name):
        shapes = sweep.prunable or {}
        biases = 0 if counts.prunes_biases else len(shapes) - 1 + [*shapes.values()][-1][0]
        return narrowest + biases
    if _makes_zeros(sweep, name):
        return counts.least + 1
    if sweep.sparsification.track == "as_trained":
        return counts.total
    return counts.least + max(1, counts.kept(counts.smallest))


def _densities(sweep: Sweep, counts: Counts) -> Iterable[str]:
    rule = sweep.sparsification
    if rule.track != "pruned":
        return
    key = "sparsification.densities" if rule.densities else "sparsification.density"
    known = rule.densities or (counts.smallest,)
    empty = [density for density in known if counts.kept(density) < 1]
    if empty:
        yield (
            f"{key}: {_listed(empty)} keeps none of {counts.weights:,} weights; reachable are "
            f"densities from {1 / counts.weights:.1g} on"
        )
    few = [density for density in known if 1 <= counts.kept(density) < counts.least]
    if few:
        kept = counts.kept(min(few))
        yield (
            f"{key}: {_listed(few)} keeps {kept:,} weights beside {counts.others:,} parameters "
            "that are never pruned, such as biases, and sizes hardly fall any more: "
            "sparsification.prune_dead_biases: true counts those that lead nowhere as gone"
        )
    for name in sweep.arms:
        narrowest = _narrowest(sweep, name)
        over = [density for density in known if counts.kept(density) < narrowest]
        if over:
            yield (
                f"arms.{name}: {sweep.arms[name].method} has {narrowest:,} weights at least, one "
                f"unit a layer: it does not reach density {_listed(over)}, only "
                f"{narrowest / counts.weights:.2g} and more"
            )


def _narrowest(sweep: Sweep, name: str) -> int:
    """Return the weights of the smallest network that a method can make; 0 if it has no least."""
    shapes = sweep.prunable
    if sweep.arms[name].method != "small_dense" or not shapes:
        return 0
    first, *_, last = shapes.values()
    sides = (first[1], *[1] * (len(shapes) - 1), last[0])
    return sum(inputs * outputs for inputs, outputs in pairwise(sides))


def _makes_zeros(sweep: Sweep, name: str) -> bool:
    """Whether an arm may leave fewer weights than its density."""
    arm = sweep.arms[name]
    if any(term.mode in EXACT_ZEROS and term.formula.gives_zeros for term in arm.terms):
        return True
    entry = arm.entry
    return arm.method is not None and (entry is None or entry.has_strength or ":" in arm.method)


def _capitals(arms: Iterable[str]) -> Iterable[str]:
    for name in arms:
        small = name.lower()
        if small != name and (small in FORMULAS or small in METHODS):
            yield (
                f"arms.{name}: the formula or method is called {small}, and commands tell the two "
                f"apart: did you mean {small!r}?"
            )


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(
        f"{number:,}" if isinstance(number, int) else f"{number:g}" for number in numbers
    )
