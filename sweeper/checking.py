"""What a study file would run: its size, how long it may take, and what is odd about it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sweeper.catalogue import FORMULAS, MODELS, SAMPLERS, layer_sizes
from sweeper.spec import Domain, Sweep

EXACT_ZEROS = frozenset({"prox", "shrink"})
"""The ways that set weights to exactly 0 while training."""


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """One arm as it would be run."""

    name: str
    penalty: str
    way: str
    searched: tuple[str, ...]
    trials: int
    """Over all repeats."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What `sweeper check` prints."""

    arms: tuple[ArmPlan, ...]
    parameters: int | None
    steps_per_trial: int
    seconds: float | None
    """Estimate for all trials on this machine's CPU; None for a network of the user's own."""
    warnings: tuple[str, ...]

    @property
    def trials(self) -> int:
        return sum(arm.trials for arm in self.arms)

    @property
    def steps(self) -> int:
        return self.trials * self.steps_per_trial


def plan(sweep: Sweep, rate: Callable[[], float] | None = None) -> Plan:
    """Return what the study file would run; `rate` measures flop a second."""
    trials = sweep.search.trials * sweep.search.repeats
    arms = tuple(
        ArmPlan(name, arm.penalty, arm.way, tuple(sweep.domains(name)), trials)
        for name, arm in sweep.arms.items()
    )
    seconds = seconds_per_trial(sweep, (rate or matmul_rate)())
    return Plan(
        arms=arms,
        parameters=sweep.parameters,
        steps_per_trial=sweep.steps_per_trial,
        seconds=None if seconds is None else seconds * trials * len(arms),
        warnings=tuple(warnings(sweep)),
    )


def matmul_rate(budget: float = 0.2) -> float:
    """Return the flop a second of matrix products of a packed layer's size, on all cores."""
    left = np.ones((128, 784), dtype=np.float32)
    right = np.ones((784, 1200), dtype=np.float32)
    _ = left @ right  # starts the threads
    best, end = 0.0, time.perf_counter() + budget
    while time.perf_counter() < end:
        start = time.perf_counter()
        _ = left @ right
        best = max(best, 2 * left.size * right.shape[1] / (time.perf_counter() - start))
    return best


# What a step costs beside its matrix products, and what each network costs however small it is.
# From LeNet-300-100 on MNIST in packs of 16, two workers on two cores that others used too: right
# within a factor of two, no better.
_STEP_FACTOR, _STEP_SECONDS = 2.5, 1.2e-4
_CONVOLUTION_FACTOR = 4.0


def seconds_per_trial(sweep: Sweep, rate: float) -> float | None:
    """Return the estimated seconds of one trial, judging included, at `rate` flop a second."""
    first, multiplications, factor = _work(sweep)
    if multiplications is None:
        return None
    batch = sweep.training.batch_size
    # Forward, gradient of the weights, gradient of the inputs: the first layer needs no last one.
    step = 2 * batch * (3 * multiplications - first)
    judged = sweep.data.validation + sweep.data.test
    judging = 2 * multiplications * judged * (2 + len(sweep.sparsification.curve))
    per_step = _STEP_FACTOR * factor * step / rate + _STEP_SECONDS
    return sweep.steps_per_trial * per_step + factor * judging / rate


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
        *_search_warnings(sweep),
        *_objective_warnings(sweep),
        *_arm_warnings(sweep),
    ]


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
    if sweep.select_on == "test":
        found.append(
            "select_on: test: fronts are chosen on the test images, as the literature often does; "
            "every figure and table will say so"
        )
    return found


def _objective_warnings(sweep: Sweep) -> list[str]:
    sparsification = sweep.sparsification
    if sparsification.track == "pruned":
        if isinstance(sparsification.density, Domain):
            return []
        text = f"fixed at {sparsification.density:g} on the pruned track: all networks have about"
        return [f"sparsification.density: {text} the same size; a front needs a domain"]
    found = [
        f"sparsification.{key}: searched, but it has no influence on the as_trained track"
        for key in ("density", "finetune_learning_rate_factor")
        if isinstance(getattr(sparsification, key), Domain)
    ]
    dense = [
        name
        for name, arm in sweep.arms.items()
        if arm.way not in EXACT_ZEROS or not FORMULAS[arm.penalty].gives_zeros
    ]
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
        counts = ", ".join(f"{name} {size}" for name, size in sizes.items())
        found.append(f"arms: unequal numbers of searched parameters: {counts}")
    return found


def _names(names: list[str]) -> str:
    return ", ".join(names)
