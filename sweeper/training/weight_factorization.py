"""Weight factorization: each weight is a product of factors, whose decay makes it sparse.

Reference: Kolb, Weber, Bischl and Ruegamer 2025, Deep weight factorization; of two factors: Ziyin
and Wang 2023, spred: solving L1 penalty with SGD. Among factors of one product the sum of squares
is least where all have the same magnitude: strength / 2 x the sum of squares of all factors is
then strength x depth / 2 x sum |w|^(2 / depth).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sweeper.config import derive_seed
from sweeper.regularizers.ops import per_network
from sweeper.training.methods import Method, TrainingContext, TrainingStep
from sweeper.training.optimizers import Optimizer
from sweeper.training.stack import NetworkRange, Stack

LEAST = 3e-3
"""Magnitude of a product at the start, at the least: a factor of 0 would hold all others at 0.
Chosen here, as `ZERO`."""
ZERO = torch.finfo(torch.float32).eps
"""Products below it are 0 in the finished network: factors that decay never are 0 exactly."""


@dataclass(slots=True, eq=False)
class Factors:
    """The factors of a slice beside the network's own, which are the first ones."""

    others: list[Stack]
    """[pack, out, in] each."""
    gradients: list[Stack]
    """Of the loss and of their decay, at this step; the optimizer's."""
    optimizer: Optimizer


@dataclass(frozen=True, slots=True, eq=False)
class Factorized(Method):
    """Each weight as a product of `depth` factors, all trained alike, with decay `strength`."""

    strength: Tensor
    depth: int

    @torch.no_grad()
    def start(self, weights: Stack, biases: Stack, context: TrainingContext) -> Factors:
        """Draw the factors anew; a weight keeps the sign that it was drawn with."""
        if context.optimizer is None:
            raise ValueError("further factors need an optimizer")
        others: list[Stack] = [
            {name: torch.empty_like(weight) for name, weight in weights.items()}
            for _ in range(self.depth - 1)
        ]
        for k, seed in enumerate(context.seeds):
            generator = torch.Generator().manual_seed(derive_seed(seed, "factors"))
            for name, weight in weights.items():
                drawn = initial_factors(weight[k].cpu(), self.depth, generator)
                for target, factor in zip((weights, *others), drawn, strict=True):
                    target[name][k].copy_(factor)
        bound = {f"{name} {d}": f for d, many in enumerate(others) for name, f in many.items()}
        optimizer, everybody = context.optimizer.make(), NetworkRange(0, len(context.seeds))
        optimizer.bind(bound, apart=(everybody,))
        collected = optimizer.gradients(everybody)
        gradients = [
            {name: collected[f"{name} {d}"] for name in many} for d, many in enumerate(others)
        ]
        return Factors(others, gradients, optimizer)

    @torch.no_grad()
    def forward(self, weights: Stack, state: Factors) -> Stack:
        return {name: self._product(name, weights, state) for name in weights}

    @torch.no_grad()
    def vjp(self, weights: Stack, gradients: Stack, state: Factors) -> None:
        """By the product rule; decay is added to the gradient of each factor."""
        for name, weight in weights.items():
            factors = [weight, *(other[name] for other in state.others)]
            strength = per_network(self.strength, weight)
            through = gradients[name].clone()
            into = (gradients[name], *(gradient[name] for gradient in state.gradients))
            for d, target in enumerate(into):
                target.copy_(through)
                for other, factor in enumerate(factors):
                    if other != d:
                        target.mul_(factor)
                target.addcmul_(factors[d], strength)

    def after(self, weights: Stack, state: Factors, step: TrainingStep) -> None:
        """Take the other factors' step; the network's own have had theirs."""
        state.optimizer.step(step.rate)

    @torch.no_grad()
    def finish(self, weights: Stack, state: Factors) -> None:
        """Multiply the factors; what is below the precision of float32 beside 1 is exactly 0."""
        for name, weight in weights.items():
            product = self._product(name, weights, state)
            weight.copy_(product.masked_fill_(product.abs() < ZERO, 0))

    @staticmethod
    def _product(name: str, weights: Stack, state: Factors) -> Tensor:
        product = weights[name].clone()
        for other in state.others:
            product.mul_(other[name])
        return product


def initial_factors(weight: Tensor, depth: int, generator: torch.Generator) -> list[Tensor]:
    """Return factors whose product has the signs and the deviation of initial weights, [out, in].

    Their magnitudes are drawn from a normal distribution of deviation s^(1 / depth), s that of the
    weights, between LEAST^(1 / depth) and (2 s)^(1 / depth): products of plain factors would be
    near 0 or far out. All are scaled alike in the end, since cutting off the ends makes them small.
    """
    deviation = max(_root_mean_square(weight.double()), 1e-12)
    scale, most = deviation ** (1 / depth), (2 * deviation) ** (1 / depth)
    least = min(LEAST, deviation) ** (1 / depth)
    low, high = (math.erf(bound / scale / math.sqrt(2)) for bound in (least, most))
    # In float64: near its ends the inverse is steep.
    factors = torch.rand(depth, *weight.shape, generator=generator, dtype=torch.float64)
    factors = factors.mul_(high - low).add_(low).erfinv_()
    factors *= (deviation / _root_mean_square(factors.prod(0))) ** (1 / depth)
    signs = torch.rand(depth, *weight.shape, generator=generator).sub_(0.5).sign_()
    signs[-1] = signs[:-1].prod(0) * torch.where(weight < 0, -1.0, 1.0)
    return [factor * sign for factor, sign in zip(factors, signs, strict=True)]


def _root_mean_square(values: Tensor) -> float:
    """Return the deviation from 0."""
    return float(values.square().mean().sqrt())
