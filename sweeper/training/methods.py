"""Methods: what an arm does to training beside penalties, as hooks on a range of a pack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from sweeper.config.registry import Hyperparameter
from sweeper.training.loss_gradients import LossGradients
from sweeper.training.optimizers import OptimizerChoice
from sweeper.training.pruning_rule import PruningRule
from sweeper.training.stack import NetworkRange, Stack
from sweeper.types import Scalar

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
    moments: tuple[Stack, ...] = ()
    """Means of gradients that the optimizer keeps, by the names of all parameters and in their
    shapes, [pack, ...]: momentum of SGD; first and second moments of Adam. In place."""
    counts: tuple[Tensor, ...] = ()
    """What stands for the steps that the optimizer has taken, [pack] each. In place."""
    loss: LossGradients | None = None
    """The loss at weights as they are, for what must know it outside of the steps of training."""
    optimizer: OptimizerChoice | None = None
    """The networks' own, to make one more for parameters that a method adds."""
    rule: PruningRule | None = None
    """What goes first where a method prunes; None: the smallest weights of all."""

    def part(self, networks: NetworkRange) -> "TrainingContext":
        """Return the context of some networks."""
        seeds = self.seeds[networks.start : networks.stop]
        return replace(
            self,
            seeds=seeds,
            density=networks.cut(self.density),
            moments=tuple(networks.of(moments) for moments in self.moments),
            counts=tuple(map(networks.cut, self.counts)),
            loss=self.loss and self.loss.of(networks),
            optimizer=self.optimizer and self.optimizer.of(networks),
        )


@dataclass(frozen=True, slots=True, eq=False)
class TrainingStep:
    """One step, as a method sees it when the optimizer has taken it."""

    number: int
    """0 is the first."""
    rate: Tensor
    """Learning rates [pack] of this step."""
    factor: float | Tensor = 1.0
    """Of the schedule, for all networks or [pack]; `rate` has it already."""


class Method:
    """Training as usual. A subclass overrides the hooks that its arm needs.

    `weights` are the prunable parameters of some networks, [pack, out, in] each, by name; they are
    views, and what is said to happen in place happens to the network. The gradients of a method
    with a `vjp` of its own are stored apart at each step, which costs 0.15 ms for LeNet-300-100.
    """

    hyper: ClassVar[Mapping[str, Hyperparameter]] = {}
    """Keys that a class from outside of the registry takes, by name: its arguments."""
    takes_density: ClassVar[bool] = False
    """Whether such a class brings a network to the trial's density by itself."""

    def start(self, weights: Stack, biases: Stack, context: TrainingContext) -> Any:
        """Return the method's own state; may change the initial network in place."""
        return None

    def schedule_step(self, number: int, steps: int) -> int | Sequence[int]:
        """Return the step whose learning rate the step `number` of `steps` has: itself, usually.

        One for all networks, or one for each.
        """
        return number

    def draw_noise(self, state: Any) -> None:
        """Draw what the next step needs at random into tensors of the state, in place."""

    def forward(self, weights: Stack, state: Any) -> Stack:
        """Return the weights that the network computes with at this step (gates act here)."""
        return weights

    def vjp(self, weights: Stack, gradients: Stack, state: Any) -> None:
        """Turn gradients of the loss in what `forward` gave into those in the weights, in place.

        They are the gradients of this step alone, before weight decay, penalties and momentum.
        """

    def after(self, weights: Stack, state: Any, step: TrainingStep) -> None:
        """Act on the weights in place after the optimizer's step."""

    def finish(self, weights: Stack, state: Any) -> None:
        """Turn the weights, in place, into those of the deterministic network."""


def changes_forward(method: Method) -> bool:
    """Return whether a network computes with other weights than its own."""
    return type(method).forward is not Method.forward


def changes_gradients(method: Method) -> bool:
    """Return whether a network is trained along other gradients than those of its loss."""
    return type(method).vjp is not Method.vjp


def finishes_once(method: type[Method]) -> bool:
    """Return whether the network that a method leaves is not known before its end.

    So with a class of a user's own, which may change its state where it finishes.
    """
    return method.finish is not Method.finish and not _is_ours(method)


def is_steady(method: Method) -> bool:
    """Return whether gradients are taken by the same program at every step.

    What a class of a user's own does there is not known.
    """
    changes = changes_forward(method) or changes_gradients(method)
    return _is_ours(type(method)) or not changes


def _is_ours(method: type[Method]) -> bool:
    return method.__module__.partition(".")[0] == __package__.partition(".")[0]


def batched(
    hypers: Sequence[Sequence[tuple[str, Scalar]]],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> HyperValues:
    """Return the hyperparameters of networks: floats as [pack] tensors, others as they are."""
    values: HyperValues = {}
    for index, (name, value) in enumerate(hypers[0]):
        values[name] = value
        if isinstance(value, float):
            each = [hyper[index][1] for hyper in hypers]
            values[name] = torch.tensor(each, device=device, dtype=dtype)
    return values
