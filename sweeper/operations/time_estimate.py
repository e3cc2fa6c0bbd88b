"""Time estimate of a study: seconds of a trial on this machine's CPU, from its matrix products."""

import math
import os
import time

import numpy as np
from threadpoolctl import threadpool_limits

from sweeper.config import Sweep
from sweeper.config.registry import MODELS, layer_sizes


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
    return training_seconds(sweep, rate, sweep.steps_in_all) + factor * judging / rate


def training_seconds(sweep: Sweep, rate: float, steps: int) -> float:
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
    entry = MODELS.get(sweep.model.name)
    return 0, entry.multiplications if entry else None, _CONVOLUTION_FACTOR
