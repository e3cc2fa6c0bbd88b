"""The training loop: one pass over the batches for all networks of a pack."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sweeper.kernels.optimizer_steps import LinearPenalties
from sweeper.training.augmentation import Augmenter
from sweeper.training.cuda_graphs import steps_on
from sweeper.training.datasets import DataSplit
from sweeper.training.forks import ForkedNetworks
from sweeper.training.learning_looks import Watch
from sweeper.training.loss_gradients import LossGradients
from sweeper.training.methods import (
    Method,
    TrainingContext,
    TrainingStep,
    changes_forward,
    changes_gradients,
    finishes_once,
)
from sweeper.training.network_groups import NetworkGroup
from sweeper.training.noise import Noise, generator_kept
from sweeper.training.optimizers import Optimizer, OptimizerChoice
from sweeper.training.penalties import PenaltyState
from sweeper.training.stack import Stack
from sweeper.training.stacked_architecture import StackedArchitecture


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """Length and speed of a phase of training."""

    epochs: int
    batch_size: int
    optimizer: str
    shape: str
    order_seed: int
    further: int = 0
    """Steps after the last whole epoch."""

    def steps(self, examples: int) -> int:
        """Steps of the phase; an incomplete last batch of an epoch is left out."""
        return self.epochs * (examples // self.batch_size) + self.further

    def factor(self, step: int, steps: int) -> float:
        """Factor on the learning rate at a step in 0 ... steps - 1."""
        if self.shape == "cosine":
            return 0.5 * (1 + math.cos(math.pi * step / steps))
        if self.shape == "linear":
            return 1 - step / steps
        return 1.0

    def factors(self, groups: Sequence[NetworkGroup], step: int, steps: int) -> float | Tensor:
        """Factor at a step of networks whose methods may have schedules of their own, or [pack]."""
        each: list[float] = []
        for group in groups:
            places = group.method.schedule_step(step, steps)
            chosen = [places] * len(group.networks) if isinstance(places, int) else places
            each += [self.factor(at, steps) for at in chosen]
        if len({*each}) <= 1:
            return each[0] if each else self.factor(step, steps)
        return torch.tensor(each)

    def batches(self, part: DataSplit) -> Iterator[Tensor]:
        """Yield the indices of each batch; the order depends on the seed alone."""
        generator = torch.Generator().manual_seed(self.order_seed)
        left = self.steps(len(part))
        while left > 0:
            order = torch.randperm(len(part), generator=generator).to(part.labels.device)
            for number in range(min(left, len(part) // self.batch_size)):
                yield order[number * self.batch_size : (number + 1) * self.batch_size]
                left -= 1


@dataclass(slots=True, eq=False)
class _GroupState:
    """A group in training: views of its weights and gradients, the states of what acts on it."""

    group: NetworkGroup
    weights: Stack
    gradients: Stack
    """Of its weights, where the optimizer collects them."""
    method: Any
    penalties: PenaltyState


class Stepper:
    """A stack in training, one step at a time."""

    def __init__(
        self,
        network: StackedArchitecture,
        stack: Stack,
        optimizer: Optimizer,
        groups: Sequence[NetworkGroup] = (),
        context: TrainingContext | None = None,
        pruned: Stack | None = None,
        noise: Noise | None = None,
    ) -> None:
        """Start the methods of the groups; `context` is of the whole pack, and they need it.

        Weights that are True in `pruned` are set to 0 at every step. `noise` seeds what networks
        draw at random, such as dropout.
        """
        self._network, self._stack, self._optimizer = network, stack, optimizer
        self._noise = noise
        self._runner = network.runner(training=True)
        linear = _linear_penalties(groups, network, stack)
        # What does more than add to gradients must not find those of earlier steps among them.
        apart = [group.networks for group in groups if changes_gradients(group.method)]
        trained = network.trained(stack)
        self._buffers = optimizer.bind(trained, linear=linear, pruned=pruned, apart=apart)
        if context is not None:
            moments, counts = optimizer.moments(), optimizer.counts()
            context = replace(context, moments=moments, counts=counts)
        self._groups = [self._start(group, context) for group in groups]

    @property
    def capturable(self) -> bool:
        """Whether `begin` is the same program of one device at every step."""
        # The noise of dropout is seeded at each step.
        if self._network.draws:
            return False
        groups = [state.group for state in self._groups]
        return all(group.capturable for group in groups)

    def draw_noise(self) -> None:
        """Draw what methods need at random for the next step: never a part of `begin`."""
        for state in self._groups:
            state.group.method.draw_noise(state.method)

    def step(
        self,
        examples: Tensor,
        labels: Tensor,
        *,
        rate: Tensor,
        factor: float | Tensor,
        number: int,
    ) -> None:
        """Take the step `number`, 0 is the first, with learning rates `rate` [pack] x `factor`."""
        now = rate * factor
        self.draw_noise()
        self.begin(examples, labels, now)
        self.end(now, factor, number)

    def begin(self, examples: Tensor, labels: Tensor, now: Tensor) -> None:
        """Do what is the same at every step: gradients, the optimizer's step, penalties.

        `now` [pack] are the learning rates of this step.
        """
        self._collect_gradients(examples, labels)
        self._optimizer.step(now)
        for state in self._groups:
            group = state.group
            group.penalties.after(state.weights, state.penalties, group.networks.cut(now))

    def end(self, now: Tensor, factor: float | Tensor, number: int) -> None:
        """Do what depends on the number of the step: schedules of methods."""
        for state in self._groups:
            group = state.group
            share = factor if isinstance(factor, float) else group.networks.cut(factor)
            step = TrainingStep(number, group.networks.cut(now), share)
            group.method.after(state.weights, state.method, step)

    def finish(self) -> None:
        """Turn the networks into their deterministic ones."""
        for state in self._groups:
            state.group.method.finish(state.weights, state.method)

    def networks(self) -> Stack:
        """Return the deterministic networks that these would be turned into now.

        Those of `finishes_once` stay as they are.
        """
        finishing = [state for state in self._groups if _can_be_seen_early(state.group.method)]
        if not finishing:
            return self._stack
        stack = dict(self._stack)
        for name in self._network.weights:
            stack[name] = stack[name].clone()
        for state in finishing:
            weights = state.group.networks.of({name: stack[name] for name in state.weights})
            matrices = {name: _matrix(weight) for name, weight in weights.items()}
            state.group.method.finish(matrices, state.method)
        return stack

    def _start(self, group: NetworkGroup, context: TrainingContext | None) -> _GroupState:
        if context is None:
            raise ValueError("methods need a context")
        # Optimizers and methods change parameters in place: views stay what they are.
        networks, names = group.networks, self._network.weights
        stack, collected = networks.of(self._stack), self._optimizer.gradients(networks)
        weights = {name: _matrix(stack[name]) for name in names}
        biases = {n: stack[n] for n in self._network.parameters if n not in names}
        return _GroupState(
            group=group,
            weights=weights,
            gradients={name: _matrix(collected[name]) for name in names},
            method=group.method.start(weights, biases, context.part(networks)),
            penalties=group.penalties.start(weights, context.part(networks)),
        )

    def _collect_gradients(self, examples: Tensor, labels: Tensor) -> None:
        """Put the gradients of cross-entropy and loss terms where the optimizer wants them."""
        used = dict(self._stack)
        groups = self._groups
        if any(changes_forward(state.group.method) for state in groups):
            inside = [state.group.method.forward(state.weights, state.method) for state in groups]
            for name in self._network.weights:
                joined = torch.cat([weights[name] for weights in inside])
                used[name] = joined.view_as(self._stack[name])
        self._runner.backward(used, examples, labels, self._buffers, self._noise)
        if self._noise is not None:
            self._noise.advance()
        for state in groups:
            state.group.method.vjp(state.weights, state.gradients, state.method)
            state.group.penalties.add_gradients(state.weights, state.gradients, state.penalties)


def fit(
    network: StackedArchitecture,
    stack: Stack,
    part: DataSplit,
    schedule: Schedule,
    *,
    rate: Tensor,
    momentum: Tensor,
    decay: Tensor | None = None,
    groups: Sequence[NetworkGroup] = (),
    context: TrainingContext | None = None,
    masks: Stack | None = None,
    seeds: Sequence[int],
    augmenter: Augmenter | None = None,
    tick: Callable[[], None],
    watch: Watch | None = None,
    forked: ForkedNetworks | None = None,
) -> int:
    """Train a stack in place; `rate`, `momentum` and weight `decay` [pack]. Returns the steps.

    `seeds` are those of the initial weights; the noise of each network follows from its own. With
    `masks`, weights outside of them are 0 and stay 0. `augmenter` changes the examples of each
    step. `tick` is called before every step and may raise to end the training, `watch` after every
    epoch. `forked` takes networks that leave the stack at some steps.
    """
    steps = schedule.steps(len(part))
    choice = OptimizerChoice(schedule.optimizer, momentum, decay)
    optimizer = choice.make()
    pruned = None if masks is None else {name: ~mask for name, mask in masks.items()}
    device = part.labels.device
    # On a CPU any module is given its noise, for one may draw at some steps alone.
    may_draw = network.draws or (network.layers is None and device.type == "cpu")
    noise = Noise(seeds, schedule.order_seed) if may_draw else None
    if context is not None:
        loss = LossGradients.of_pack(network, stack, part, context.seeds, context.order_seed)
        context = replace(context, loss=loss, optimizer=choice)
    stepper = Stepper(network, stack, optimizer, groups, context, pruned, noise)
    batch = schedule.batch_size
    changed = augmenter.gather(part, batch, schedule.order_seed) if augmenter else None
    in_epoch = len(part) // batch
    take = steps_on(stepper, part, batch, rate, changed)
    with generator_kept(device) if may_draw else nullcontext():
        for number, index in enumerate(schedule.batches(part)):
            tick()
            if forked is not None:
                forked.take(number, stack)
            factor = schedule.factors(groups, number, steps)
            take(index, factor if isinstance(factor, float) else factor.to(device), number)
            if watch is not None and (number + 1) % in_epoch == 0:
                watch((number + 1) // in_epoch, stepper.networks)
    stepper.finish()
    return steps


def _can_be_seen_early(method: Method) -> bool:
    return type(method).finish is not Method.finish and not finishes_once(type(method))


def _linear_penalties(
    groups: Sequence[NetworkGroup], network: StackedArchitecture, stack: Stack
) -> dict[str, LinearPenalties]:
    """Return what the optimizer applies, by the names of the prunable parameters."""
    first = next(iter(stack.values()))
    penalties = LinearPenalties.none(len(first))
    for group in groups:
        if group.penalties.linear is not None:
            group.networks.cut(penalties.values).copy_(group.penalties.linear.values)
    # On the CPU: which modes there are is known without asking a device.
    return dict.fromkeys(network.weights, LinearPenalties.of(penalties.values).to(first.device))


def apply_masks(stack: Stack, masks: Stack) -> None:
    """Set the weights outside of the masks to exactly 0, in place; NaN too."""
    for name, mask in masks.items():
        stack[name].masked_fill_(~mask, 0)


def _matrix(value: Tensor) -> Tensor:
    """View [pack, out, ...] as [pack, out, in]; a copy would not be trained."""
    return value.view(*value.shape[:2], -1)
