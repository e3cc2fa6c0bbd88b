"""The training loop: one pass over the batches for all networks of a pack."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sweeper.datasets import Part
from sweeper.training import optimizers
from sweeper.training.methods import Method
from sweeper.training.network import Network, Runner
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


def fit(
    network: Network,
    stack: Stack,
    part: Part,
    schedule: Schedule,
    *,
    rate: Tensor,
    momentum: Tensor,
    slices: tuple[Slice, ...] = (),
    masks: Stack | None = None,
    tick: Tick,
) -> int:
    """Train a stack in place, `rate` and `momentum` [pack]; returns the steps taken.

    With `masks`, weights outside of them are 0 and stay 0. `tick` is called before every step
    and may raise to end the training.
    """
    steps = schedule.steps(len(part))
    optimizer = optimizers.make(schedule.optimizer, momentum)
    runner = network.runner()
    states: list[Any] = [piece.method.init(piece.weights(stack, network)) for piece in slices]
    for step, (images, labels) in enumerate(schedule.batches(part)):
        tick()
        now = rate * schedule.factor(step, steps)
        found = _gradients(network, runner, stack, images, labels, slices, states)
        optimizer.step(stack, found, now)
        for index, piece in enumerate(slices):
            own = now[piece.start : piece.stop]
            views = piece.weights(stack, network)
            states[index] = piece.method.after(views, states[index], own, step)
        if masks is not None:
            apply_masks(stack, masks)
    for piece, state in zip(slices, states, strict=True):
        piece.method.finish(piece.weights(stack, network), state)
    return steps


def apply_masks(stack: Stack, masks: Stack) -> None:
    """Set the weights outside of the masks to exactly 0, in place; NaN too."""
    for name, mask in masks.items():
        stack[name].masked_fill_(~mask, 0)


def _matrix(value: Tensor) -> Tensor:
    """View [pack, out, ...] as [pack, out, in]; a copy would not be trained."""
    return value.view(*value.shape[:2], -1)


def _gradients(
    network: Network,
    runner: Runner,
    stack: Stack,
    images: Tensor,
    labels: Tensor,
    slices: tuple[Slice, ...],
    states: list[Any],
) -> Stack:
    """Return the gradients of cross-entropy and loss terms in the parameters of each network.

    Methods see leaves of their own: what they make of them (gates, penalties) is differentiated
    by autograd, the network itself by the runner.
    """
    used = dict(stack)
    parts = []
    for piece, state in zip(slices, states, strict=True):
        views = piece.weights(stack, network)
        leaves = {name: view.detach().requires_grad_() for name, view in views.items()}
        with torch.enable_grad():
            parts.append((leaves, piece.method.forward(leaves, state)))
    gated = any(inside is not leaves for leaves, inside in parts)
    if gated:
        for name in network.weights:
            joined = torch.cat([inside[name].detach() for _, inside in parts])
            used[name] = joined.view_as(stack[name])
    found = runner.gradients(used, images, labels)
    for piece, state, (leaves, inside) in zip(slices, states, parts, strict=True):
        own = piece.weights(found, network)
        if inside is not leaves:
            _pull_back(own, leaves, inside)
        with torch.enable_grad():
            term = piece.method.loss(leaves, state)
        if term is not None:
            extra = torch.autograd.grad(term.sum(), list(leaves.values()))
            for view, gradient in zip(own.values(), extra, strict=True):
                view.add_(gradient)
    return found


def _pull_back(gradients: Stack, leaves: Stack, inside: Stack) -> None:
    """Turn gradients in what the network computes with into gradients in the leaves, in place."""
    outer = [gradients[name].clone() for name in inside]
    found = torch.autograd.grad(list(inside.values()), list(leaves.values()), outer)
    for view, gradient in zip(gradients.values(), found, strict=True):
        view.copy_(gradient)
