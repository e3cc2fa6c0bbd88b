"""What a study file would run: its size, how long it may take, and what is odd about it."""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from sweeper.analysis import strength_range
from sweeper.config import Domain, Sweep, name_clashes
from sweeper.config.domains import grid_size
from sweeper.config.registry import FORMULAS, MODELS, SAMPLERS, layer_sizes
from sweeper.errors import SpecError


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """One arm as it would be run."""

    name: str
    penalty: str
    way: str
    searched: tuple[str, ...]
    auto_parameters: tuple[str, ...]
    """Those of `searched` whose range has to be found first."""
    trials: int
    """Over all repeats."""


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """What is trained before the first trial, to find the ranges of strengths."""

    ranges: int
    probes: int
    """Equal ones are trained once."""
    steps: int
    """Of one network; all networks of a probe together are one pack."""
    networks: int = len(strength_range.GRID) + 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What `sweeper check` prints."""

    arms: tuple[ArmPlan, ...]
    parameters: int | None
    steps_in_all: int
    probe: ProbePlan
    seconds: float | None
    """Estimate for probes and trials on this CPU; None for a network of the user's own."""
    warnings: tuple[str, ...]

    @property
    def trials(self) -> int:
        return sum(arm.trials for arm in self.arms)

    @property
    def steps(self) -> int:
        return self.trials * self.steps_in_all


def plan(sweep: Sweep, rate: Callable[[], float] | None = None) -> Plan:
    """Return what the study file would run; `rate` measures flop a second."""
    trials = sweep.search.trials * sweep.search.repeats
    arms = tuple(
        ArmPlan(
            name=name,
            penalty=arm.penalty_text,
            way=arm.mode_text,
            searched=tuple(sweep.domains(name)),
            auto_parameters=sweep.auto_parameters(name),
            trials=trials,
        )
        for name, arm in sweep.arms.items()
    )
    probe = probe_plan(sweep)
    flops = (rate or matmul_rate)()
    seconds = seconds_per_trial(sweep, flops)
    if seconds is not None:
        seconds *= trials * len(arms)
        seconds += probe.probes * probe.networks * _training_seconds(sweep, flops, probe.steps)
    return Plan(
        arms=arms,
        parameters=sweep.parameters,
        steps_in_all=sweep.steps_in_all,
        probe=probe,
        seconds=seconds,
        warnings=tuple(warnings(sweep)),
    )


def probe_plan(sweep: Sweep) -> ProbePlan:
    """Return what is trained to find the ranges of strengths, as if none were on record."""
    found = [(name, parameter) for name in sweep.arms for parameter in sweep.auto_parameters(name)]
    epochs = max((sweep.probe(*one).recipe.epochs for one in found), default=0)
    return ProbePlan(
        ranges=len(found),
        probes=len({sweep.probe_key(*one) for one in found}),
        steps=epochs * sweep.steps_per_epoch,
    )


def refuse_alike(sweep: Sweep, place: str) -> None:
    """Raise SpecError for names that some databases take for one; `place` is the study file.

    Registering a sweep refuses them too, but a sweep that is on record goes on.
    """
    if found := name_clashes.problems(sweep):
        raise SpecError(f"{place}: {problem}" for problem in found)


def matmul_rate(budget: float = 0.2) -> float:
    """Return the flop a second of matrix products of a packed layer's size, on all cores.

    In one thread, by its processor time, as a worker's: what else runs here does not count.
    """
    left = np.ones((128, 784), dtype=np.float32)
    right = np.ones((784, 1200), dtype=np.float32)
    flop = 2 * left.size * right.shape[1]
    best = 0.0
    with threadpool_limits(1):
        _ = left @ right  # loads what is needed
        end = time.thread_time() + budget
        while not best or time.thread_time() < end:
            start = time.thread_time()
            _ = left @ right
            best = max(best, flop / max(time.thread_time() - start, 1e-9))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return best * (cores or 1)


# What a step costs beside its matrix products, and what each network costs however small it is.
# From LeNet-300-100 on MNIST, two workers on two cores: right within a factor of two, no better.
_STEP_FACTOR, _STEP_SECONDS = 1.3, 6e-5
_SPARSE_FACTOR = 4.0
"""Time of a network of low density over its density, as a multiple of a dense one's."""
_CONVOLUTION_FACTOR = 4.0


def seconds_per_trial(sweep: Sweep, rate: float) -> float | None:
    """Return the estimated seconds of one trial, judging included, at `rate` flop a second."""
    _, multiplications, factor = _work(sweep)
    if multiplications is None:
        return None
    judged = sweep.data.validation + sweep.data.test
    sparse = _SPARSE_FACTOR if sweep.model.hidden is not None else math.inf
    points = sum(min(1.0, sparse * density) for density in sweep.sparsification.curve)
    judging = 2 * multiplications * judged * (2 + points)
    return _training_seconds(sweep, rate, sweep.steps_in_all) + factor * judging / rate


def _training_seconds(sweep: Sweep, rate: float, steps: int) -> float:
    """Return the estimated seconds of some training steps of one network of a pack."""
    first, multiplications, factor = _work(sweep)
    batch = sweep.training.batch_size
    # Forward, gradient of the weights, gradient of the inputs: the first layer needs no last one.
    step = 2 * batch * (3 * (multiplications or 0) - first)
    return steps * (_STEP_FACTOR * factor * step / rate + _STEP_SECONDS)


def _work(sweep: Sweep) -> tuple[int, int | None, float]:
    """Return multiply-adds of the first layer and of the network, and a factor for its kind."""
    hidden = sweep.model.hidden
    if hidden is not None:
        products = [inputs * outputs for inputs, outputs in layer_sizes(hidden, sweep.data)]
        return products[0], sum(products), 1.0
    known = MODELS.get(sweep.model.name)
    return 0, known.multiplications if known else None, _CONVOLUTION_FACTOR


def warnings(sweep: Sweep) -> list[str]:
    """Return what is allowed, but seldom meant; each names the key to look at."""
    return [
        *_training_warnings(sweep),
        *_search_warnings(sweep),
        *_objective_warnings(sweep),
        *_arm_warnings(sweep),
    ]


def _training_warnings(sweep: Sweep) -> list[str]:
    if sweep.training.precision == "float32":
        return []
    text = "exists on NVIDIA GPUs only: workers elsewhere refuse it, and times below are a CPU's"
    return [f"training.precision: {sweep.training.precision} {text}"]


def _search_warnings(sweep: Sweep) -> list[str]:
    found = []
    search = sweep.search
    start = SAMPLERS[search.sampler]
    if start and search.trials <= start:
        what = "its first population" if search.sampler == "nsga2" else "its random start-up"
        found.append(
            f"search.trials: {search.trials} trials do not exceed {what} of {start}: "
            f"{search.sampler} would never learn from a result"
        )
    if search.in_flight > search.trials:
        found.append(
            f"search.in_flight: {search.in_flight} is more than the {search.trials} trials of an "
            "arm: all are asked before one result is known"
        )
    if search.sampler == "grid":
        found += _grid_warnings(sweep)
    if sweep.select_on == "test":
        found.append(
            "select_on: test: fronts are chosen on the test images, as the literature often does; "
            "every figure and table will say so"
        )
    return found


def _grid_warnings(sweep: Sweep) -> list[str]:
    """Return which arms leave most of their grid out; a line for each size."""
    arms: dict[int, list[str]] = {}
    for name in sweep.arms:
        size = grid_size(sweep.domains(name)) or 0
        if size > sweep.search.trials:
            arms.setdefault(size, []).append(name)
    return [
        f"search.sampler: the grid of {_names(names)} has {size:,} points: "
        f"{sweep.search.trials:,} of them are visited, in a random order"
        for size, names in arms.items()
    ]


def _objective_warnings(sweep: Sweep) -> list[str]:
    sparsification = sweep.sparsification
    if sparsification.track == "pruned":
        if isinstance(sparsification.density, Domain):
            return []
        text = f"fixed at {sparsification.density:g} on the pruned track: all networks have about"
        return [f"sparsification.density: {text} the same size; a front needs a domain"]
    of_density = [name for name in sweep.arms if not _takes_density(sweep, name)]
    without = {"density": of_density, "finetune_learning_rate_factor": list(sweep.arms)}
    found = [
        f"sparsification.{key}: searched, but it has no influence on the as_trained track"
        + (f" of {_names(names)}" if len(names) < len(sweep.arms) else "")
        for key, names in without.items()
        if names and isinstance(getattr(sparsification, key), Domain)
    ]
    dense = [name for name, arm in sweep.arms.items() if not arm.gives_zeros]
    if dense:
        found.append(
            f"sparsification.track: as_trained counts exact zeros, and {_names(dense)} never "
            "give any (loss and decoupled terms do not)"
        )
    return found


def _arm_warnings(sweep: Sweep) -> list[str]:
    found = []
    sizes = {name: len(sweep.domains(name)) for name in sweep.arms}
    fixed = [name for name, size in sizes.items() if size == 0]
    if fixed and sweep.search.trials > 1:
        found.append(
            f"arms: {_names(fixed)} search nothing: their {sweep.search.trials} trials differ by "
            "their initial weights alone"
        )
    if len(set(sizes.values())) > 1:
        found.append(f"arms: unequal numbers of searched parameters: {_counts(sizes)}")
    found += [
        f"arms.{name}: {term.penalty} does not see the arrangement of weights: shuffled it is the "
        "same penalty"
        for name, arm in sweep.arms.items()
        for term in arm.terms
        if term.shuffle and term.penalty in FORMULAS and not term.formula.sees_arrangement_of
    ]
    own = [name for name in sweep.arms if _takes_density(sweep, name)]
    if own and sweep.sparsification.track == "pruned":
        found.append(
            f"arms: {_names(own)}: cut to their density while they are trained, so that the "
            "pruning afterwards finds nothing more to cut"
        )
    return found


def _takes_density(sweep: Sweep, name: str) -> bool:
    entry = sweep.arms[name].entry
    return entry is not None and entry.takes_density


def _counts(sizes: dict[str, int]) -> str:
    """Return `l1 3, dense 2`, or where arms are many `2 (dense), 3 (all others)`."""
    if len(sizes) <= 8:
        return ", ".join(f"{name} {size}" for name, size in sizes.items())
    groups: dict[int, list[str]] = {}
    for name, size in sizes.items():
        groups.setdefault(size, []).append(name)
    most = max(groups.values(), key=len)
    parts = [
        f"{size} ({'all others' if names is most else _names(names)})"
        for size, names in sorted(groups.items())
    ]
    return ", ".join(parts)


def _names(names: list[str]) -> str:
    return ", ".join(names)
