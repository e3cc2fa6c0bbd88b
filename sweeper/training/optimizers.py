"""Optimizers over stacks, each network with its own learning rate; equal to torch.optim's."""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from sweeper.training.stacked_module import Stack


class Optimizer(Protocol):
    """Updates parameters in place from gradients."""

    def step(self, stack: Stack, gradients: Stack, rate: Tensor) -> None:
        """Take one step with learning rates `rate` [pack]."""


def make(name: str, momentum: Tensor) -> Optimizer:
    """Return a fresh optimizer, `momentum` [pack]."""
    return SGD(momentum) if name == "sgd" else Adam(momentum)


def like(value: Tensor, parameter: Tensor) -> Tensor:
    """Shape a value [pack] so that it broadcasts over a parameter [pack, ...]."""
    return value.view(-1, *[1] * (parameter.ndim - 1))


FORGET_EVERY = 64
"""Steps between two looks for traces in the moments."""


def forget_traces(moments: Stack) -> None:
    """Set what is too small to matter to exactly 0, in place.

    Where a unit is dead its gradients are 0, and a moment that only decays ends below 1e-38,
    where processors count far more slowly. Flushing such numbers in hardware is set
    for each thread apart, so that bits would depend on their number.
    """
    for moment in moments.values():
        moment.masked_fill_(moment.abs() < 1e-25, 0)


@dataclass(slots=True)
class SGD:
    """Stochastic gradient descent with momentum: b = m b + g, w = w - rate x b.

    Reference: torch.optim.SGD (dampening 0, no Nesterov).
    """

    momentum: Tensor
    buffers: Stack = field(default_factory=dict)
    steps: int = 0

    def step(self, stack: Stack, gradients: Stack, rate: Tensor) -> None:
        self.steps += 1
        if self.steps % FORGET_EVERY == 0:
            forget_traces(self.buffers)
        for name, parameter in stack.items():
            gradient = gradients[name]
            buffer = self.buffers.get(name)
            if buffer is None:
                self.buffers[name] = buffer = gradient.clone()
            else:
                buffer.mul_(like(self.momentum, buffer)).add_(gradient)
            parameter.addcmul_(buffer, like(rate, parameter), value=-1)


@dataclass(slots=True)
class Adam:
    """Adam (Kingma and Ba 2015) with beta1 = momentum, beta2 = 0.999, eps = 1e-8.

    Reference: torch.optim.Adam.
    """

    momentum: Tensor
    beta2: float = 0.999
    eps: float = 1e-8
    steps: int = 0
    first: Stack = field(default_factory=dict)
    second: Stack = field(default_factory=dict)

    def step(self, stack: Stack, gradients: Stack, rate: Tensor) -> None:
        self.steps += 1
        if self.steps % FORGET_EVERY == 0:
            forget_traces(self.first)
            forget_traces(self.second)
        # A beta of 1 never moves; its correction would divide by zero.
        correction1 = (1 - self.momentum**self.steps).clamp_min(torch.finfo(rate.dtype).tiny)
        root2 = (1 - self.beta2**self.steps) ** 0.5
        for name, parameter in stack.items():
            gradient = gradients[name]
            if name not in self.first:
                self.first[name] = torch.zeros_like(parameter)
                self.second[name] = torch.zeros_like(parameter)
            first, second = self.first[name], self.second[name]
            first.lerp_(gradient, like(1 - self.momentum, parameter))
            second.mul_(self.beta2).add_(gradient.square() * (1 - self.beta2))
            scale = like(rate / correction1, parameter)
            parameter.sub_(first * scale / (second.sqrt() / root2 + self.eps))
