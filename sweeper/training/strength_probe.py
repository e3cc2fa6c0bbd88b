"""A probe: one short pack over a geometric grid of strengths, judged as trained."""

import time
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from sweeper.analysis.strength_range import GRID
from sweeper.config.judging_plan import STATISTICS, STEP_PASSES
from sweeper.config.registry import MEASURES
from sweeper.kernels.slopes import spread
from sweeper.training.augmentation import Augmenter
from sweeper.training.batch_statistics import needs_recalibration, recalibrate
from sweeper.training.custom_formulas import completed, resolve
from sweeper.training.datasets import Data
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.evaluation import finite, quality
from sweeper.training.methods import TrainingContext
from sweeper.training.network_groups import network_groups
from sweeper.training.parameter_counts import nonzero
from sweeper.training.penalties import slope_of
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.training_loop import Schedule, fit
from sweeper.training.work_meter import Advance, WorkMeter
from sweeper.types import MethodConfig, ProbePoint, Tick, TrialConfig, TrialState, nothing

COLLAPSE = 0.05
"""A network of a probe has collapsed if it is under the file's floor, and has lost this share of
what the network without penalty has learnt."""


def probe_strengths(
    config: TrialConfig, data: Data, *, tick: Tick = nothing
) -> tuple[tuple[ProbePoint, ...], float]:
    """Return the networks of a probe, the first without penalty, and the seconds it took.

    `config` is `Sweep.probe`'s: strength 1. All networks have the same initial weights and data
    order, so that what differs comes from the strength.
    """
    began = time.perf_counter()
    recipe = config.recipe
    network = StackedArchitecture.of(recipe, data)
    with deterministic_numerics(data.device, recipe.precision):
        alone = network.init([config.init_seed], recipe, data)
        unit = push(config.method, network, alone)
        strengths = (0.0, *(step / unit for step in GRID))
        configs = [replace(config, method=_with(config.method, value)) for value in strengths]
        pack = len(configs)
        stack = network.init([config.init_seed] * pack, recipe, data)
        schedule = Schedule(
            recipe.epochs, recipe.batch_size, recipe.optimizer, recipe.schedule, recipe.order_seed
        )
        context = TrainingContext(
            seeds=(config.init_seed,) * pack,
            order_seed=recipe.order_seed,
            density=torch.ones(pack, dtype=torch.float64, device=data.device),
            steps=schedule.steps(len(data.train)),
        )
        training = STEP_PASSES * recipe.batch_size * context.steps
        statistics = min(STATISTICS, len(data.train)) if needs_recalibration(network) else 0
        meter = WorkMeter(tick, training + statistics + len(data.validation))
        fit(
            network,
            stack,
            data.train,
            schedule,
            rate=torch.full((pack,), config.learning_rate, device=data.device),
            momentum=torch.full((pack,), config.momentum, device=data.device),
            decay=torch.full((pack,), config.weight_decay, device=data.device),
            groups=network_groups(configs, data.device),
            context=context,
            seeds=context.seeds,
            augmenter=Augmenter.of(recipe, data),
            tick=partial(meter, STEP_PASSES * recipe.batch_size),
        )
        points = _points(
            network, stack, alone, strengths, config.floor, data, meter, recipe.measure
        )
        meter.finish()
    return points, time.perf_counter() - began


def push(method: MethodConfig, network: StackedArchitecture, stack: Stack) -> float:
    """Return the mean |dR/dw| at strength 1 over all prunable weights of the initial network."""
    if not method.terms:
        return 1.0
    (term,) = method.terms
    formula = resolve(term.penalty)
    hyper = completed(formula, term.hyper)
    letters = {k: torch.tensor([v]) if isinstance(v, float) else v for k, v in hyper}
    if formula.strength_inside:
        letters["strength"] = torch.ones(1)
    summed, count = 0.0, 0
    for name in network.weights:
        weight = stack[name].view(1, stack[name].shape[1], -1)
        on_device = {
            k: v.to(weight.device) if isinstance(v, Tensor) else v for k, v in letters.items()
        }
        slope = spread(slope_of(term.penalty, formula, weight, on_device), weight)
        summed, count = summed + float(slope.abs().sum()), count + weight.numel()
    mean = summed / count
    return mean if 0 < mean < float("inf") else 1.0


def _with(method: MethodConfig, strength: float) -> MethodConfig:
    if not method.terms:
        return replace(method, own_strength=strength)
    return replace(method, terms=(replace(method.terms[0], strength=strength),))


def _points(
    network: StackedArchitecture,
    stack: Stack,
    alone: Stack,
    strengths: tuple[float, ...],
    floor: float,
    data: Data,
    advance: Advance,
    measure: str,
) -> tuple[ProbePoint, ...]:
    healthy = finite(network, stack)
    recalibrate(network, stack, data.train, advance=advance)
    reached = quality(network, stack, data.validation, advance, measure=measure)
    start = torch.cat([alone[name].flatten(1) for name in network.weights], 1)
    ends = torch.cat([stack[name].flatten(1) for name in network.weights], 1)
    counts = nonzero(network, stack)
    # A probe is short: what the file's floor asks of a whole training may be out of reach.
    entry = MEASURES.get(measure)
    guess = entry.chance if entry else None
    chance = 1 / data.classes if guess is None else guess
    bound = min(floor, reached[0] - COLLAPSE * (reached[0] - chance))
    moved = (ends - ends[:1]).norm(dim=1) / (ends[:1] - start).norm()
    return tuple(
        ProbePoint(
            strength=strength,
            state="diverged" if not healthy[k] else _state(reached[k], max(bound, chance)),
            val_accuracy=reached[k],
            nonzero=counts[k],
            moved=float(moved[k]) if healthy[k] else float("inf"),
        )
        for k, strength in enumerate(strengths)
    )


def _state(reached: float, floor: float) -> TrialState:
    return "complete" if reached > floor else "collapsed"
