"""The training loop: one pass over the batches for all networks of a pack."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sweeper.datasets import Part
from sweeper.training import optimizers
from sweeper.training.methods import Method, Setting
from sweeper.training.network import Network
from sweeper.training.stacked_module import Stack

Tick = Callable[[], None]


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """How long and how fast a phase trains."""

    epochs: int
    batch_size: int
    optimizer: str
    shape: str
    order_seed: int

    def steps(self, examples: int) -> int:
        """Steps of the phase; an incomplete last batch of an epoch is left out."""
        return self.epochs * (examples // self.batch_size)

    def factor(self, step: int, steps: int) -> float:
        """Factor on the learning rate at a step in 0 ... steps - 1."""
        if self.shape == "cosine":
            return 0.5 * (1 + math.cos(math.pi * step / steps))
        if self.shape == "linear":
            return 1 - step / steps
        return 1.0

    def batches(self, part: Part) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images and labels; the order depends on the seed alone, not on the device."""
        generator = torch.Generator().manual_seed(self.order_seed)
        for _ in range(self.epochs):
            order = torch.randperm(len(part), generator=generator).to(part.labels.device)
            for start in range(0, len(part) - self.batch_size + 1, self.batch_size):
                index = order[start : start + self.batch_size]
                yield part.images[index], part.labels[index]


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """The networks start ... stop - 1 of a pack, which share one method."""

    start: int
    stop: int
    method: Method

    def weights(self, stack: Stack, network: Network) -> Stack:
        """Return views [pack, out, in] of the slice's prunable parameters."""
        return {name: _matrix(stack[name][self.start : self.stop]) for name in network.weights}

    def biases(self, stack: Stack, network: Network) -> Stack:
        """Return views of the slice's other parameters."""
        others = (name for name in stack if name not in network.weights)
        return {name: stack[name][self.start : self.stop] for name in others}


@dataclass(slots=True, eq=False)
class _Member:
    """A slice while it trains: its method's state, and the optimizer of what the method owns."""

    piece: Slice
    weights: Stack
    state: Any
    optimizer: optimizers.Optimizer | None = None


class Stepper:
    """A stack in training, one step at a time."""

    def __init__(
        self,
        network: Network,
        stack: Stack,
        optimizer: optimizers.Optimizer,
        slices: tuple[Slice, ...] = (),
        setting: Setting | None = None,
    ) -> None:
        """Start the methods of the slices; `setting` is of the whole pack, and they need it."""
        self._network, self._stack, self._optimizer = network, stack, optimizer
        self._runner = network.runner()
        self._members = [self._member(piece, setting) for piece in slices]

    def step(
        self, images: Tensor, labels: Tensor, *, rate: Tensor, factor: float, number: int
    ) -> None:
        """Take the step `number`, 0 is the first, with learning rates `rate` [pack] x `factor`."""
        now = rate * factor
        gradients = self._gradients(images, labels)
        self._optimizer.step(self._stack, gradients, now)
        for member in self._members:
            piece = member.piece
            _train_own(member, factor)
            own = now[piece.start : piece.stop]
            piece.method.after(member.weights, member.state, own, number)

    def finish(self) -> None:
        """Turn the networks into their deterministic ones."""
        for member in self._members:
            member.piece.method.finish(member.weights, member.state)

    def _member(self, piece: Slice, setting: Setting | None) -> _Member:
        if setting is None:
            raise ValueError("methods need a setting")
        # Optimizers and methods change parameters in place: views stay what they are.
        views = piece.weights(self._stack, self._network)
        own = setting.part(piece.start, piece.stop)
        biases = piece.biases(self._stack, self._network)
        return _Member(piece, views, piece.method.start(views, biases, own))

    def _gradients(self, images: Tensor, labels: Tensor) -> Stack:
        """Gradients of cross-entropy and loss terms in the parameters of each network."""
        used = dict(self._stack)
        members = self._members
        inside = [member.piece.method.forward(member.weights, member.state) for member in members]
        if any(one is not member.weights for one, member in zip(inside, members, strict=True)):
            for name in self._network.weights:
                joined = torch.cat([one[name] for one in inside])
                used[name] = joined.view_as(self._stack[name])
        found = self._runner.gradients(used, images, labels)
        for member in members:
            own = member.piece.weights(found, self._network)
            member.piece.method.pull_back(member.weights, own, member.state)
        return found


def fit(
    network: Network,
    stack: Stack,
    part: Part,
    schedule: Schedule,
    *,
    rate: Tensor,
    momentum: Tensor,
    slices: tuple[Slice, ...] = (),
    setting: Setting | None = None,
    masks: Stack | None = None,
    tick: Tick,
) -> int:
    """Train a stack in place, `rate` and `momentum` [pack]; returns the steps taken.

    With `masks`, weights outside of them are 0 and stay 0. `tick` is called before every step
    and may raise to end the training.
    """
    steps = schedule.steps(len(part))
    optimizer = optimizers.make(schedule.optimizer, momentum)
    stepper = Stepper(network, stack, optimizer, slices, setting)
    for number, (images, labels) in enumerate(schedule.batches(part)):
        tick()
        factor = schedule.factor(number, steps)
        stepper.step(images, labels, rate=rate, factor=factor, number=number)
        if masks is not None:
            apply_masks(stack, masks)
    stepper.finish()
    return steps


def _train_own(member: _Member, factor: float) -> None:
    """Take a step with the parameters that a method owns, such as gates."""
    owned = member.piece.method.own(member.state)
    if owned is None:
        return
    parameters, gradients, rate = owned
    if member.optimizer is None:
        member.optimizer = optimizers.make("adam", torch.full_like(rate, 0.9))
    member.optimizer.step(parameters, gradients, rate * factor)


def apply_masks(stack: Stack, masks: Stack) -> None:
    """Set the weights outside of the masks to exactly 0, in place; NaN too."""
    for name, mask in masks.items():
        stack[name].masked_fill_(~mask, 0)


def _matrix(value: Tensor) -> Tensor:
    """View [pack, out, ...] as [pack, out, in]; a copy would not be trained."""
    return value.view(*value.shape[:2], -1)
