"""The training loop: one pass over the batches for all networks of a pack."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sweeper.kernels.optimizer_steps import LinearPenalties
from sweeper.training import optimizers
from sweeper.training.cuda_graphs import steps_on
from sweeper.training.datasets import DataSplit
from sweeper.training.methods import Method, TrainingContext
from sweeper.training.optimizers import ParameterSpan
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.types import APPLY_MODES

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

    def batches(self, part: DataSplit) -> Iterator[Tensor]:
        """Yield the indices of each batch; the order depends on the seed alone."""
        generator = torch.Generator().manual_seed(self.order_seed)
        for _ in range(self.epochs):
            order = torch.randperm(len(part), generator=generator).to(part.labels.device)
            for start in range(0, len(part) - self.batch_size + 1, self.batch_size):
                yield order[start : start + self.batch_size]


@dataclass(frozen=True, slots=True, eq=False)
class NetworkSlice:
    """The networks start ... stop - 1 of a pack, which share one method."""

    start: int
    stop: int
    method: Method

    def weights(self, stack: Stack, network: StackedArchitecture) -> Stack:
        """Return views [pack, out, in] of the slice's prunable parameters."""
        return {name: _matrix(stack[name][self.start : self.stop]) for name in network.weights}

    def biases(self, stack: Stack, network: StackedArchitecture) -> Stack:
        """Return views of the slice's other parameters."""
        others = (name for name in stack if name not in network.weights)
        return {name: stack[name][self.start : self.stop] for name in others}


@dataclass(slots=True, eq=False)
class _Member:
    """A slice while it trains: its method's state, and the optimizer of what the method owns."""

    piece: NetworkSlice
    weights: Stack
    gradients: Stack
    """Of its weights, where the optimizer collects them."""
    state: Any
    optimizer: optimizers.Adam | None = None


class Stepper:
    """A stack in training, one step at a time."""

    def __init__(
        self,
        network: StackedArchitecture,
        stack: Stack,
        optimizer: optimizers.Optimizer,
        slices: tuple[NetworkSlice, ...] = (),
        setting: TrainingContext | None = None,
        outside: Stack | None = None,
    ) -> None:
        """Start the methods of the slices; `setting` is of the whole pack, and they need it.

        Weights that are True in `outside` are set to 0 at every step.
        """
        self._network, self._stack, self._optimizer = network, stack, optimizer
        self._runner = network.runner()
        pack = len(next(iter(stack.values())))
        spans = [ParameterSpan(piece.start, piece.stop, piece.method.adds) for piece in slices]
        lines = _lines(slices, pack, network, stack)
        self._sinks = optimizer.bind(stack, spans or [ParameterSpan(0, pack)], lines, outside)
        self._members = [self._member(piece, setting) for piece in slices]

    @property
    def capturable(self) -> bool:
        """Whether `begin` is the same program of one device at every step."""
        return all(member.piece.method.capturable for member in self._members)

    def step(
        self, images: Tensor, labels: Tensor, *, rate: Tensor, factor: float, number: int
    ) -> None:
        """Take the step `number`, 0 is the first, with learning rates `rate` [pack] x `factor`."""
        now = rate * factor
        self.begin(images, labels, now, factor)
        self.end(now, number)

    def begin(self, images: Tensor, labels: Tensor, now: Tensor, factor: float) -> None:
        """Do what is the same at every step: gradients, the optimizer's step, most penalties.

        `now` [pack] are the learning rates of this step.
        """
        self._collect_gradients(images, labels)
        self._optimizer.step(now)
        for member in self._members:
            _train_own(member, factor)
            if member.piece.method.step_invariant:
                self._after(member, now, 0)

    def end(self, now: Tensor, number: int) -> None:
        """Do what depends on the number of the step: schedules of methods."""
        for member in self._members:
            if not member.piece.method.step_invariant:
                self._after(member, now, number)

    def finish(self) -> None:
        """Turn the networks into their deterministic ones."""
        for member in self._members:
            member.piece.method.finish(member.weights, member.state)

    def _member(self, piece: NetworkSlice, setting: TrainingContext | None) -> _Member:
        if setting is None:
            raise ValueError("methods need a setting")
        # Optimizers and methods change parameters in place: views stay what they are.
        views = piece.weights(self._stack, self._network)
        own = setting.part(piece.start, piece.stop)
        biases = piece.biases(self._stack, self._network)
        collected = self._optimizer.gradients(piece.start, piece.stop)
        gradients = {name: _matrix(collected[name]) for name in self._network.weights}
        return _Member(piece, views, gradients, piece.method.start(views, biases, own))

    def _collect_gradients(self, images: Tensor, labels: Tensor) -> None:
        """Put the gradients of cross-entropy and loss terms where the optimizer wants them."""
        used = dict(self._stack)
        members = self._members
        inside = [member.piece.method.forward(member.weights, member.state) for member in members]
        if any(one is not member.weights for one, member in zip(inside, members, strict=True)):
            for name in self._network.weights:
                joined = torch.cat([one[name] for one in inside])
                used[name] = joined.view_as(self._stack[name])
        self._runner.backward(used, images, labels, self._sinks)
        for member in members:
            member.piece.method.vjp(member.weights, member.gradients, member.state)

    @staticmethod
    def _after(member: _Member, now: Tensor, number: int) -> None:
        piece = member.piece
        piece.method.after(member.weights, member.state, now[piece.start : piece.stop], number)


def fit(
    network: StackedArchitecture,
    stack: Stack,
    part: DataSplit,
    schedule: Schedule,
    *,
    rate: Tensor,
    momentum: Tensor,
    decay: Tensor | None = None,
    slices: tuple[NetworkSlice, ...] = (),
    setting: TrainingContext | None = None,
    masks: Stack | None = None,
    tick: Tick,
) -> int:
    """Train a stack in place; `rate`, `momentum` and weight `decay` [pack]. Returns the steps.

    With `masks`, weights outside of them are 0 and stay 0. `tick` is called before every step
    and may raise to end the training.
    """
    steps = schedule.steps(len(part))
    optimizer = optimizers.make(schedule.optimizer, momentum, decay)
    outside = None if masks is None else {name: ~mask for name, mask in masks.items()}
    stepper = Stepper(network, stack, optimizer, slices, setting, outside)
    take = steps_on(stepper, part, schedule.batch_size, rate)
    for number, index in enumerate(schedule.batches(part)):
        tick()
        take(index, schedule.factor(number, steps), number)
    stepper.finish()
    return steps


def _lines(
    slices: tuple[NetworkSlice, ...], pack: int, network: StackedArchitecture, stack: Stack
) -> dict[str, LinearPenalties]:
    """Return the penalties on single weights, by the names of the prunable parameters."""
    values = torch.zeros(pack, 2 * len(APPLY_MODES))
    for piece in slices:
        own = piece.method.lines()
        if own is not None:
            values[piece.start : piece.stop] = own
    device = next(iter(stack.values())).device
    return dict.fromkeys(network.weights, LinearPenalties.of(values).to(device))


def _train_own(member: _Member, factor: float) -> None:
    """Take a step with the parameters that a method owns, such as gates."""
    owned = member.piece.method.own(member.state)
    if owned is None:
        return
    parameters, gradients, rate = owned
    if member.optimizer is None:
        usual = torch.full_like(rate, 0.9)
        member.optimizer = optimizers.Adam(usual, torch.zeros_like(rate))
        member.optimizer.bind(parameters, [ParameterSpan(0, len(rate))])
    collected = member.optimizer.gradients(0, len(rate))
    for name, gradient in gradients.items():
        collected[name].copy_(gradient)
    member.optimizer.step(rate * factor)


def apply_masks(stack: Stack, masks: Stack) -> None:
    """Set the weights outside of the masks to exactly 0, in place; NaN too."""
    for name, mask in masks.items():
        stack[name].masked_fill_(~mask, 0)


def _matrix(value: Tensor) -> Tensor:
    """View [pack, out, ...] as [pack, out, in]; a copy would not be trained."""
    return value.view(*value.shape[:2], -1)
