"""What an arm does to training: small objects of pure steps, each on its slice of a pack."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sweeper.catalogue import FORMULAS, load
from sweeper.regularizers.sums import per_network, shrink_towards_zero
from sweeper.results import MethodConfig
from sweeper.training.stacked_module import Stack

Function = Callable[..., Tensor]


class Method:
    """Plain training. A subclass overrides the steps that its arm needs.

    `weights` are the prunable parameters of the slice, [pack, out, in] each, by name.
    """

    def init(self, weights: Stack, generator: torch.Generator | None = None) -> Any:
        """Return the method's own state at the start."""
        return None

    def forward(self, weights: Stack, state: Any) -> Stack:
        """Return the weights that the network computes with (gates and masks act here)."""
        return weights

    def loss(self, weights: Stack, state: Any) -> Tensor | None:
        """Return the term [pack] added to the loss, or None."""
        return None

    def after(self, weights: Stack, state: Any, rate: Tensor, step: int) -> Any:
        """Act on the weights in place after the optimizer's step; returns the new state."""
        return state

    def finish(self, weights: Stack, state: Any) -> None:
        """Turn the weights, in place, into those of the deterministic network."""


@dataclass(frozen=True, slots=True, eq=False)
class Penalty(Method):
    """strength x the sum over weight matrices of R(W), applied in one of four ways.

    loss: a term of the loss, through autograd. decoupled: a step of rate x strength along its
    gradient, outside the optimizer's moments. prox: its exact proximal operator with
    t = rate x strength. shrink: a step of rate x strength x max(0, dR/d|w|) towards zero that
    stops there. Under Adam too the step is the plain learning rate, for every arm alike.
    """

    way: str
    strength: Tensor
    function: Function
    hyper: dict[str, Any]

    def loss(self, weights: Stack, state: Any) -> Tensor | None:
        return self._value(weights) if self.way == "loss" else None

    @torch.no_grad()
    def after(self, weights: Stack, state: Any, rate: Tensor, step: int) -> Any:
        if self.way == "decoupled":
            self._descend(weights, rate)
        elif self.way == "prox":
            for weight in weights.values():
                weight.copy_(self.function(weight, step=rate, strength=self.strength, **self.hyper))
        elif self.way == "shrink":
            amount = rate * self.strength
            for weight in weights.values():
                slope = self.function(weight, **self.hyper).clamp_min_(0)
                step_size = slope.mul_(per_network(amount, weight))
                weight.copy_(shrink_towards_zero(weight, step_size))
        return state

    def _value(self, weights: Stack) -> Tensor:
        terms = [self.function(weight, **self.hyper) for weight in weights.values()]
        return self.strength * torch.stack(terms).sum(0)

    def _descend(self, weights: Stack, rate: Tensor) -> None:
        with torch.enable_grad():
            copies = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
            value = self._value(copies).sum()
            gradients = torch.autograd.grad(value, list(copies.values()))
        for weight, gradient in zip(weights.values(), gradients, strict=True):
            weight.sub_(gradient * per_network(rate, weight))


def static_part(config: MethodConfig) -> tuple[Any, ...]:
    """Return what must be equal for two trials to share a slice: all but the floats."""
    fixed = tuple((name, value) for name, value in config.hyper if not isinstance(value, float))
    floats = tuple(name for name, value in config.hyper if isinstance(value, float))
    return config.penalty, config.apply, fixed, floats


def make(configs: Sequence[MethodConfig], device: torch.device) -> Method:
    """Return the method of a slice whose configurations have equal static parts."""
    first = configs[0]
    if first.penalty == "none":
        return Method()
    formula = FORMULAS[first.penalty]
    name = {"prox": formula.prox, "shrink": formula.shrinkage}.get(first.apply, formula.value)
    if name is None:
        raise ValueError(f"{first.penalty} has no {first.apply}")
    hyper: dict[str, Any] = dict(first.hyper)
    for key, value in first.hyper:
        if isinstance(value, float):
            hyper[key] = torch.tensor([dict(c.hyper)[key] for c in configs], device=device)
    strength = torch.tensor([config.strength for config in configs], device=device)
    return Penalty(way=first.apply, strength=strength, function=load(name), hyper=hyper)
