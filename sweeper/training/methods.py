"""What an arm does to training: small objects of a few steps, each on its slice of a pack."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from sweeper.config.registry import METHODS, load
from sweeper.training.stack import Stack
from sweeper.types import MethodConfig, Scalar, TrialConfig

HyperValues = dict[str, Any]
"""Hyperparameters: floats as [pack] tensors, others as they are."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingContext:
    """What a method may know of the training that it takes part in."""

    seeds: tuple[int, ...]
    """Seed of each network's initial weights."""
    order_seed: int
    """Seed that all networks of a repeat share, whatever their arm."""
    density: Tensor
    """The trial's density, [pack] in float64."""
    steps: int

    def part(self, start: int, stop: int) -> "TrainingContext":
        """Return the setting of the networks start ... stop - 1."""
        seeds, density = self.seeds[start:stop], self.density[start:stop]
        return replace(self, seeds=seeds, density=density)


class Method:
    """Training as usual. A subclass overrides the steps that its arm needs.

    `weights` are the prunable parameters of the slice, [pack, out, in] each, by name; they are
    views, and what is said to happen in place happens to the network.
    """

    adds: ClassVar[bool] = True
    """Whether `vjp` does no more than add to gradients: then it may find them in a momentum
    buffer, with those of earlier steps."""
    step_invariant: ClassVar[bool] = True
    """Whether `after` does the same at every step."""

    @property
    def capturable(self) -> bool:
        """Whether all but `after` is the same program of one device at every step."""
        return True

    def lines(self) -> Tensor | None:
        """Return its penalties on single weights for the optimizer, [pack, 8] on a CPU.

        See `updates.LinearPenalties`.
        """
        return None

    def start(self, weights: Stack, biases: Stack, setting: TrainingContext) -> Any:
        """Return the method's own state; may change the initial network in place."""
        return None

    def forward(self, weights: Stack, state: Any) -> Stack:
        """Return the weights that the network computes with at this step (gates act here)."""
        return weights

    def vjp(self, weights: Stack, gradients: Stack, state: Any) -> None:
        """Turn gradients in what `forward` gave into those in the weights, in place.

        Terms of the loss add theirs here.
        """

    def own(self, state: Any) -> tuple[Stack, Stack, Tensor] | None:
        """Return parameters of its own, their gradients and their learning rate [pack].

        They are trained by Adam whatever trains the weights, on the same schedule.
        """
        return None

    def after(self, weights: Stack, state: Any, rate: Tensor, step: int) -> None:
        """Act on the weights in place after the optimizer's step; `rate` [pack]."""

    def finish(self, weights: Stack, state: Any) -> None:
        """Turn the weights, in place, into those of the deterministic network."""


@dataclass(frozen=True, slots=True, eq=False)
class MethodChain(Method):
    """Penalties, then a method that changes neither gradients nor the forward pass."""

    first: Method
    then: Method
    step_invariant: ClassVar[bool] = False

    @property
    def capturable(self) -> bool:
        return self.first.capturable

    def lines(self) -> Tensor | None:
        return self.first.lines()

    def start(self, weights: Stack, biases: Stack, setting: TrainingContext) -> Any:
        then = self.then.start(weights, biases, setting)
        return self.first.start(weights, biases, setting), then

    def vjp(self, weights: Stack, gradients: Stack, state: Any) -> None:
        self.first.vjp(weights, gradients, state[0])

    def after(self, weights: Stack, state: Any, rate: Tensor, step: int) -> None:
        self.first.after(weights, state[0], rate, step)
        self.then.after(weights, state[1], rate, step)

    def finish(self, weights: Stack, state: Any) -> None:
        self.then.finish(weights, state[1])


def static_part(config: MethodConfig) -> tuple[Any, ...]:
    """Return what must be equal for two trials to share a slice: all but the floats."""
    terms = tuple(
        (term.penalty, term.apply, term.shuffled, term.during, term.ramp, _static(term.hyper))
        for term in config.terms
    )
    return config.name, _static(config.hyper), terms


def _static(hyper: Sequence[tuple[str, Scalar]]) -> tuple[Any, ...]:
    return tuple((name, None if isinstance(value, float) else value) for name, value in hyper)


def batched(many: Sequence[Sequence[tuple[str, Scalar]]], device: torch.device) -> HyperValues:
    """Return the hyperparameters of a slice: floats as [pack] tensors, others as they are."""
    found: HyperValues = {}
    for index, (name, value) in enumerate(many[0]):
        found[name] = value
        if isinstance(value, float):
            found[name] = torch.tensor([hyper[index][1] for hyper in many], device=device)
    return found


def make(configs: Sequence[TrialConfig], device: torch.device) -> Method:
    """Return the method of a slice whose configurations have equal static parts."""
    from sweeper.training.penalties import penalties  # which needs the names above

    chosen = [config.method for config in configs]
    first = chosen[0]
    penalty = penalties([method.terms for method in chosen], device) if first.terms else None
    if first.name == "plain":
        return penalty or Method()
    hyper = batched([method.hyper for method in chosen], device)
    entry = METHODS[first.name]
    if entry.has_strength:
        strengths = [method.own_strength for method in chosen]
        hyper["strength"] = torch.tensor(strengths, device=device)
    method: Method = load(entry.factory)(**hyper)
    return MethodChain(penalty, method) if penalty else method
