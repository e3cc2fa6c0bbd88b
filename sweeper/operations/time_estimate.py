"""Time estimate of a study: seconds of a trial on this machine's CPU.

From the matrix products of a network of the registry, from the measured step of any other.
"""

import os
import time
from statistics import fmean

import numpy as np
from threadpoolctl import threadpool_limits

from sweeper.config import Sweep
from sweeper.config.domains import values
from sweeper.config.judging_plan import STEP_PASSES, PartSizes, judging_plan, step_cost
from sweeper.config.registry import LayerSize
from sweeper.kernels.jit_cache import any_kept
from sweeper.operations.measured_network import MeasuredNetwork


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
    return best * _cores()


def _cores() -> int:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return count or 1


# What a step costs beside its matrix products, at the rate of a large one, and what each network
# costs however small it is; measured on two cores of a Zen 5. Kernels of few channels fill no
# vectors: LeNet-5 and convnet(16, 32) took 1.7 and 2.2 times as long as their products.
_STEP_FACTOR, _CONVOLUTION_FACTOR, _STEP_SECONDS = 1.3, 1.9, 6e-5
_BFLOAT16 = 0.7
"""Duration of a step in bfloat16 beside one in float32, of either kind."""
_TRIAL_SECONDS = 0.1
"""Processor time of a trial beside its training: asking, recording, telling, being watched."""
_START_SECONDS, _COMPILE_SECONDS = 6.0, 10.0
"""From the command to the first step and from the last one to the report; the first compilation."""


def start_seconds() -> float:
    """Return the estimated seconds of a run in which nothing is trained."""
    return _START_SECONDS + (0.0 if any_kept() else _COMPILE_SECONDS)


def seconds_per_trial(
    sweep: Sweep, rate: float, network: MeasuredNetwork | None = None
) -> float | None:
    """Return the estimated seconds of one trial, with all trainings and networks of it, judging
    included, at `rate` flop a second.

    None for a network that is not in the registry and has not been measured.
    """
    layers = sweep.model.layers(sweep.data)
    if layers is not None:
        one_pass = 2 * sum(layer.multiplications for layer in layers) / rate
        one_pass *= _CONVOLUTION_FACTOR if _convolves(layers) else 1.0
    elif network is not None:
        step = network.step_seconds / _cores()
        one_pass = step / (STEP_PASSES * sweep.training.batch_size)
    else:
        return None
    data = sweep.data
    plan = judging_plan(
        sweep.recipe(0),
        PartSizes(data.train, data.validation, data.test),
        is_mlp=sweep.model.is_plain_mlp,
        has_statistics=sweep.model.has_statistics,
    )
    training = training_seconds(sweep, rate, _dense_steps(sweep), network)
    further = (sweep.rungs - 1) * (plan.network_passes - plan.finetuning_passes)
    judging = plan.judging_passes + plan.learning_passes + further
    return sweep.seeds * (training + one_pass * judging) + _TRIAL_SECONDS / _cores()


def _dense_steps(sweep: Sweep) -> float:
    """Return the dense steps that cost as much as all steps of a training."""
    rule, is_mlp = sweep.sparsification, sweep.model.is_plain_mlp
    densities = rule.densities or values(rule.density)
    tuned = fmean(step_cost(float(density), is_mlp=is_mlp) for density in densities) * sweep.rungs
    tuned += sum(step_cost(density, is_mlp=is_mlp) for density in rule.finetuned_curve)
    return sweep.steps_per_epoch * (sweep.training.epochs + rule.finetune_epochs * tuned)


def training_seconds(
    sweep: Sweep, rate: float, steps: float, network: MeasuredNetwork | None = None
) -> float:
    """Return the estimated seconds of some training steps of one network of a pack."""
    layers = sweep.model.layers(sweep.data)
    if layers is None:
        return steps * (network.step_seconds if network else 0.0) / _cores()
    multiplications = sum(layer.multiplications for layer in layers)
    # Forward, gradient of the weights, gradient of the inputs: the first layer needs no last one.
    step = 2 * sweep.training.batch_size * (3 * multiplications - layers[0].multiplications)
    factor = _CONVOLUTION_FACTOR if _convolves(layers) else _STEP_FACTOR
    if sweep.training.precision == "bfloat16":
        factor *= _BFLOAT16
    return steps * (factor * step / rate + _STEP_SECONDS / _cores())


def _convolves(layers: tuple[LayerSize, ...]) -> bool:
    return any(len(layer.shape) == 4 for layer in layers)
