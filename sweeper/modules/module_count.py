"""Counts of a module's parameters: the numbers that a trial's record has of its network."""

from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sweeper.errors import InputError
from sweeper.modules.module_weights import plain_name, unwrapped
from sweeper.modules.pack_of_one import PackOfOne, example_shape
from sweeper.training import parameter_counts
from sweeper.training.traced_network import NotFollowed
from sweeper.types import LayerCount


@dataclass(frozen=True, slots=True)
class ModuleCount:
    """Parameters of a module, tied ones once, frozen ones too."""

    nonzero: int
    """All that are not exactly 0."""
    weights: int
    """Those of them that have two or more dimensions, and the others."""
    biases: int
    total: int
    effective: int | None
    """Nonzero parameters of an equal network without idle parts; None where it is not known."""
    layers: tuple[LayerCount, ...]


@torch.no_grad()
def count(
    model: nn.Module, example: Tensor | None = None, *, training_examples: Tensor | None = None
) -> ModuleCount:
    """Count the parameters of a module as it is, on any device.

    `example` [1, ...] tells the shape of an example, which `effective` needs; with all
    `training_examples` [n, ...], inputs that are the same in all of them count as idle, as in a
    trial's record. It is None without either, and for a module that cannot be followed:
    `sweeper.effective` says why.

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    >>> with torch.no_grad():
    ...     _ = model[2].weight[0, 0].zero_()  # the first hidden unit leads nowhere
    >>> counted = count(model, torch.zeros(1, 3))
    >>> counted.total, counted.nonzero, counted.effective
    (11, 10, 6)
    """
    pack = _pack("count", model, example, training_examples)
    (layers,) = parameter_counts.layer_counts(pack.architecture, pack.stack)
    effective = None
    if pack.architecture.example_shape:
        with suppress(NotFollowed):
            effective = _effective("count", pack, training_examples)
    return ModuleCount(
        nonzero=sum(layer.weights + layer.biases for layer in layers),
        weights=sum(layer.weights for layer in layers),
        biases=sum(layer.biases for layer in layers),
        total=pack.architecture.total,
        effective=effective,
        layers=tuple(replace(layer, name=plain_name(layer.name)) for layer in layers),
    )


@torch.no_grad()
def effective(
    model: nn.Module, example: Tensor | None = None, *, training_examples: Tensor | None = None
) -> int:
    """Return the nonzero parameters of an equal network without idle parts; as for `count`.

    Idle is what cannot reach the outputs, and what is the same for all examples and can be folded
    into a bias. Raises InputError, one line, for a module that cannot be followed.

    >>> from torch import nn
    >>> effective(nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1)), torch.zeros(1, 3))
    11
    >>> effective(nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 1)), torch.zeros(1, 3))
    Traceback (most recent call last):
    sweeper.errors.InputError: effective: the module cannot be followed: its layer 0 is a LayerNorm
    """
    pack = _pack("effective", model, example, training_examples)
    if not pack.architecture.example_shape:
        raise InputError("effective: example: required: a tensor [1, ...] of the module's inputs")
    try:
        return _effective("effective", pack, training_examples)
    except NotFollowed as refusal:
        raise InputError(f"effective: the module cannot be followed: {refusal}") from None


def _pack(
    place: str, model: nn.Module, example: Tensor | None, training_examples: Tensor | None
) -> PackOfOne:
    shape = example_shape(place, "example", example)
    shape = example_shape(place, "training_examples", training_examples) or shape
    return PackOfOne.of(place, unwrapped(place, model), example_shape=shape)


def _effective(place: str, pack: PackOfOne, training_examples: Tensor | None) -> int:
    """Raises NotFollowed."""
    network, stack = pack.architecture, pack.stack
    device = next(iter(stack.values())).device
    size = torch.Size(network.example_shape).numel()
    if network.layers is not None and (wanted := stack[network.layers[0][0]].shape[2]) != size:
        raise InputError(f"{place}: example: must have {wanted} inputs, has {size}")
    level = torch.zeros(size, device=device)
    constant = torch.zeros(size, dtype=torch.bool, device=device)
    if training_examples is not None:
        same, value = parameter_counts.constant_inputs(training_examples)
        constant, level = same.to(device), value.to(device)
    (counted,) = parameter_counts.effective_counts(network, stack, constant, level)
    return counted
