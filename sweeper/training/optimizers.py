"""Optimizers over stacks, each network with its own hyperparameters; equal to torch.optim's.

A step has two halves. The gradients are put where the optimizer wants them, its buffers: SGD lets
the product that makes a gradient add it to the momentum buffer, so that no gradient is ever stored
(measured: no slower than storing it, and 0.15 ms a step and network less for LeNet-300-100). Then
one pass over the weights takes the step, together with penalties on single weights.

Tried for that pass, 266,200 weights of 16 networks on one thread: eager PyTorch with L1 0.28 ms a
network, torch._foreach the same (a stack has six tensors only), torch.optim's fused kernels take
one learning rate for all, torch.compile needs a C++ compiler and 10 s before the first step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import torch
from torch import Tensor

from sweeper.kernels import optimizer_steps
from sweeper.kernels.optimizer_steps import AdamBeta, LinearPenalties
from sweeper.training.stack import GradientBuffer, NetworkRange, Stack

FORGET_EVERY = 64
"""Steps between two looks for traces in the moments."""
TRACE = 1e-25
"""Where a unit is dead its gradients are 0, and a moment that only decays ends below 1e-38, where
processors count far more slowly; so what is too small to matter is set to 0. Flushing such numbers
in hardware is set for each thread apart, so that bits would depend on their number."""
BETA2, EPS = 0.999, 1e-8
"""Of Adam."""
MANY = 8
"""Runs of equal momentum up to which a GPU adds gradients to momentum buffers run by run; more of
them are collected apart, all at once."""


class Optimizer(Protocol):
    """Trains one stack."""

    def bind(
        self,
        stack: Stack,
        *,
        linear: Mapping[str, LinearPenalties] | None = None,
        pruned: Stack | None = None,
        apart: Sequence[NetworkRange] = (),
    ) -> tuple[GradientBuffer, ...]:
        """Begin with a stack, which is changed in place from now on; return where gradients go.

        `linear` are penalties on single weights by name; `pruned` (bool) are weights that are 0.
        Gradients of the networks in `apart` are changed before they are used, and so stored.
        """

    def gradients(self, networks: NetworkRange) -> Stack:
        """Return what buffers hold for some networks, to be changed in place."""

    def moments(self) -> tuple[Stack, ...]:
        """Return the means of gradients that are kept, in the shapes of the parameters.

        Momentum of SGD; first and second moments of Adam. They may be changed in place.
        """

    def counts(self) -> tuple[Tensor, ...]:
        """Return what stands for the number of steps, [pack] each; may be changed in place."""

    def step(self, rate: Tensor) -> None:
        """Take one step with learning rates `rate` [pack] along what the buffers hold."""


@dataclass(frozen=True, slots=True, eq=False)
class OptimizerChoice:
    """An optimizer by name, with momentum and weight decay [pack]: makes any number of them."""

    name: str
    momentum: Tensor
    decay: Tensor | None = None

    def of(self, networks: NetworkRange) -> "OptimizerChoice":
        """Return the choice of some networks."""
        decay = None if self.decay is None else networks.cut(self.decay)
        return OptimizerChoice(self.name, networks.cut(self.momentum), decay)

    def make(self) -> Optimizer:
        """Return a fresh optimizer."""
        return make(self.name, self.momentum, self.decay)


def make(name: str, momentum: Tensor, decay: Tensor | None = None) -> Optimizer:
    """Return a fresh optimizer, `momentum` and weight `decay` [pack]."""
    decay = torch.zeros_like(momentum) if decay is None else decay
    return SGD(momentum, decay) if name == "sgd" else Adam(momentum, decay, name == "adamw")


class _BoundStack:
    """A stack in training, as both optimizers have it: parameters, linear penalties, pruned."""

    def __init__(
        self,
        stack: Stack,
        linear: Mapping[str, LinearPenalties] | None,
        decay: Tensor,
        pruned: Stack | None,
    ) -> None:
        """`decay` [pack] is added to the loss, as the square of every parameter."""
        pack = len(decay)
        decays = LinearPenalties.none(pack, decay.device).plus("loss", 0.0, decay)
        self.flat = {name: value.view(pack, -1) for name, value in stack.items()}
        self.linear = dict.fromkeys(stack, decays)
        for name, penalties in (linear or {}).items():
            self.linear[name] = decays.join(penalties) if decays.modes else penalties
        self.pruned = {
            name: mask.view(pack, -1).contiguous() for name, mask in (pruned or {}).items()
        }


class SGD:
    """Stochastic gradient descent with momentum: b = m b + g, w = w - rate x b.

    Weight decay adds decay x w to g. Reference: torch.optim.SGD (dampening 0, no Nesterov).
    """

    def __init__(self, momentum: Tensor, decay: Tensor) -> None:
        self._momentum, self._decay = momentum, decay
        self._keep: list[float] = momentum.tolist()
        self._steps = 0

    def bind(
        self,
        stack: Stack,
        *,
        linear: Mapping[str, LinearPenalties] | None = None,
        pruned: Stack | None = None,
        apart: Sequence[NetworkRange] = (),
    ) -> tuple[GradientBuffer, ...]:
        self._bound = _BoundStack(stack, linear, self._decay, pruned)
        self._buffers = {name: torch.zeros_like(value) for name, value in stack.items()}
        self._moments = {n: b.view(len(self._keep), -1) for n, b in self._buffers.items()}
        self._apart: list[GradientBuffer] = []
        summed = []
        runs = _runs(apart, self._keep)
        if self._momentum.device.type != "cpu" and len(runs) > MANY:
            runs = [(NetworkRange(0, len(self._keep)), False)]
        for networks, adds in runs:
            into, start, stop = networks.of(self._buffers), networks.start, networks.stop
            if adds:
                summed.append(GradientBuffer(start, stop, into, self._keep[start]))
                continue
            zeros = {name: torch.zeros_like(buffer) for name, buffer in into.items()}
            self._apart.append(GradientBuffer(start, stop, zeros, 0.0))
        return (*summed, *self._apart)

    def gradients(self, networks: NetworkRange) -> Stack:
        for buffer in self._apart:
            start, stop = networks.start - buffer.start, networks.stop - buffer.start
            if start >= 0 and networks.stop <= buffer.stop:
                return NetworkRange(start, stop).of(buffer.into)
        return networks.of(self._buffers)

    def moments(self) -> tuple[Stack, ...]:
        return (self._buffers,)

    def counts(self) -> tuple[Tensor, ...]:
        return ()  # but for when traces are forgotten, which matters to none

    def step(self, rate: Tensor) -> None:
        self._steps += 1
        for buffer in self._apart:
            momentum = self._momentum[buffer.networks]
            for name, gradient in buffer.into.items():
                moments = self._moments[name][buffer.networks]
                optimizer_steps.accumulate_momentum_(moments, gradient.flatten(1), momentum)
        if self._steps % FORGET_EVERY == 0:
            _forget(self._moments)
        bound = self._bound
        for name, weight in bound.flat.items():
            optimizer_steps.sgd_(
                weight, self._moments[name], rate, bound.linear[name], bound.pruned.get(name)
            )


class Adam:
    """Adam (Kingma and Ba 2015) with beta1 = momentum, beta2 = 0.999, eps = 1e-8.

    Weight decay adds decay x w to the gradient, or, decoupled, takes rate x decay x w from the
    weights before the step (Loshchilov and Hutter 2019). Reference: torch.optim.Adam and AdamW.
    """

    def __init__(self, momentum: Tensor, decay: Tensor, decoupled: bool = False) -> None:
        self._beta1, self._beta2, self._eps = momentum, BETA2, EPS
        self._coupled = torch.zeros_like(decay) if decoupled else decay
        self._decoupled = decay if decoupled else torch.zeros_like(decay)
        # In float64, as 1 - 0.999^step begins with few digits, and on the device, so that a step
        # is the same program each time.
        self._powers = torch.ones(2, len(momentum), dtype=torch.float64, device=momentum.device)
        second = torch.full_like(momentum, self._beta2, dtype=torch.float64)
        self._factors = torch.stack((momentum.double(), second))
        self._steps = 0

    def bind(
        self,
        stack: Stack,
        *,
        linear: Mapping[str, LinearPenalties] | None = None,
        pruned: Stack | None = None,
        apart: Sequence[NetworkRange] = (),
    ) -> tuple[GradientBuffer, ...]:
        self._bound = _BoundStack(stack, linear, self._coupled, pruned)
        self._gradients = {name: torch.zeros_like(value) for name, value in stack.items()}
        flat = self._bound.flat
        self._first = {name: torch.zeros_like(value) for name, value in flat.items()}
        self._second = {name: torch.zeros_like(value) for name, value in flat.items()}
        return (GradientBuffer(0, len(self._beta1), self._gradients, 0.0),)

    def gradients(self, networks: NetworkRange) -> Stack:
        return networks.of(self._gradients)

    def moments(self) -> tuple[Stack, ...]:
        kept = (self._first, self._second)
        return tuple(
            {name: value.view_as(self._gradients[name]) for name, value in moments.items()}
            for moments in kept
        )

    def counts(self) -> tuple[Tensor, ...]:
        return self._powers.unbind(0)

    def step(self, rate: Tensor) -> None:
        self._steps += 1
        if self._steps % FORGET_EVERY == 0:
            _forget(self._first)
            _forget(self._second)
        self._powers.mul_(self._factors)
        # A beta of 1 never moves; its correction would divide by zero.
        first, second = (1 - self._powers).clamp_min_(torch.finfo(torch.float32).tiny)
        scale = (rate / first).to(rate.dtype)
        beta = AdamBeta(self._beta1, self._beta2, self._eps, scale, second.sqrt().to(rate.dtype))
        keep = 1 - rate * self._decoupled
        bound = self._bound
        for name, weight in bound.flat.items():
            optimizer_steps.adam_(
                weight,
                self._gradients[name].flatten(1),
                (self._first[name], self._second[name]),
                rate,
                keep,
                beta,
                bound.linear[name],
                bound.pruned.get(name),
            )


def _runs(
    apart: Sequence[NetworkRange], momentum: Sequence[float]
) -> list[tuple[NetworkRange, bool]]:
    """Return runs of networks whose gradients can go the same way, and whether they add up."""
    ranges = {k: networks.start for networks in apart for k in range(networks.start, networks.stop)}
    keys = [(k not in ranges, ranges.get(k, value)) for k, value in enumerate(momentum)]
    runs, start = [], 0
    for (adds, _), group in groupby(keys):
        stop = start + len(list(group))
        runs.append((NetworkRange(start, stop), adds))
        start = stop
    return runs


def _forget(moments: Stack) -> None:
    for moment in moments.values():
        if moment.device.type == "cpu":  # only there does it cost time
            optimizer_steps.flush_denormals_(moment, TRACE)
