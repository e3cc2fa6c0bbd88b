"""Step time: seconds that a training step of one network takes on one thread of this machine."""

import time

import torch

from sweeper.training.datasets import Data
from sweeper.training.determinism import deterministic_numerics
from sweeper.training.stack import GradientBuffer
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.types import SharedConfig

_MOST = 64
"""Examples that are measured with: a batch takes as many times longer as it has more."""


def step_seconds(network: StackedArchitecture, recipe: SharedConfig, data: Data) -> float:
    """Return the processor time of a step of a recipe, without its optimizer and penalties.

    By the time of this thread, so that what else runs on the machine hardly counts.
    """
    part, size = data.train, min(recipe.batch_size, len(data.train), _MOST)
    examples, labels = part.examples[:size], part.labels[:size]
    with deterministic_numerics(data.device, recipe.precision):
        stack, runner = network.init((1,), recipe, data), network.runner(training=True)
        gradients = {name: torch.zeros_like(stack[name]) for name in network.parameters}
        seconds = []
        for _ in range(2):  # the first one loads what is needed
            start = time.thread_time()
            runner.backward(stack, examples, labels, [GradientBuffer(0, 1, gradients, 0.0)])
            seconds.append(time.thread_time() - start)
    return min(seconds) * recipe.batch_size / size
