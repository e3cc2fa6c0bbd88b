"""Parameter counts of networks: those that are not exactly 0, and those that have an effect."""

import logging
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sweeper.training.entry_flow import Entries
from sweeper.training.reduced_network import reduced
from sweeper.training.stack import Stack, rows
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.traced_network import NotFollowed, TracedNetwork
from sweeper.types import LayerCount

_log = logging.getLogger("sweeper.worker")


def layer_counts(network: StackedArchitecture, stack: Stack) -> list[tuple[LayerCount, ...]]:
    """Return the nonzero counts of each layer for every network of a pack."""
    groups: dict[str, dict[str, list[str]]] = {}
    for name in network.parameters:
        layer, _, leaf = name.rpartition(".")
        kind = "weight" if stack[name].ndim > 2 else "bias"
        groups.setdefault(layer or leaf, {}).setdefault(kind, []).append(name)
    trained = network.trained(stack)
    counts = {
        name: nonzero.tolist() for name, nonzero in zip(trained, _nonzero(trained), strict=True)
    }
    pack = len(next(iter(stack.values())))
    sizes = {name: value[0].numel() for name, value in trained.items()}
    networks = []
    for k in range(pack):
        layers = []
        for layer, names in groups.items():
            weights, biases = names.get("weight", []), names.get("bias", [])
            layers.append(
                LayerCount(
                    name=layer,
                    shape=tuple(stack[(weights or biases)[0]].shape[1:]),
                    weights=sum(counts[name][k] for name in weights),
                    total_weights=sum(sizes[name] for name in weights),
                    biases=sum(counts[name][k] for name in biases),
                    total_biases=sum(sizes[name] for name in biases),
                )
            )
        networks.append(tuple(layers))
    return networks


def _nonzero(trained: Stack) -> list[Tensor]:
    return [rows(value).count_nonzero(1) for value in trained.values()]


def nonzero(network: StackedArchitecture, stack: Stack) -> list[int]:
    """Return the parameters of each network that are not exactly 0; buffers are none."""
    counts: list[int] = torch.stack(_nonzero(network.trained(stack))).sum(0).tolist()
    return counts


def effective(
    network: StackedArchitecture, stack: Stack, constant: Tensor, level: Tensor
) -> Sequence[int | None]:
    """Return, for every network, the nonzeros of an equal network without idle parts.

    None for networks that cannot be followed; else as `effective_counts`.
    """
    try:
        return effective_counts(network, stack, constant, level)
    except NotFollowed as refusal:
        _log.info("effective parameters are not counted: %s", refusal)
        return [None] * len(next(iter(stack.values())))


def effective_counts(
    network: StackedArchitecture, stack: Stack, constant: Tensor, level: Tensor
) -> list[int]:
    """Return the nonzeros of an equal network without idle parts for each; raises NotFollowed.

    Removed are weights on inputs that never change (`constant` [inputs], at `level` [inputs]),
    and weights and biases into or out of units that are dead: without a changing input, or
    without a way to the output. What a constant input or a unit without inputs contributes is
    folded forward into the next biases. Exact.
    """
    if network.layers is None:
        return _followed(network, stack, constant, level)
    return [
        _effective_count(
            [(stack[weight][k], stack[bias][k]) for weight, bias in network.layers],
            constant,
            level,
        )
        for k in range(len(next(iter(stack.values()))))
    ]


def refusal_to_count(network: StackedArchitecture, stack: Stack) -> str:
    """Return why the effective parameters of a network are not counted; empty if they are."""
    inputs = torch.zeros(math.prod(network.example_shape))
    try:
        if network.layers is None:
            _followed(network, stack, inputs.bool(), inputs)
    except NotFollowed as refusal:
        return str(refusal)
    return ""


def _followed(
    network: StackedArchitecture, stack: Stack, constant: Tensor, level: Tensor
) -> list[int]:
    traced, shape = TracedNetwork.of(network.template), network.example_shape
    entries = Entries.of_examples(constant.cpu().view(shape), level.cpu().view(shape))
    counts = []
    for k in range(len(next(iter(stack.values())))):
        left = reduced(traced, network.values(stack, k), entries)
        counts.append(sum(int(left[name].count_nonzero()) for name in network.parameters))
    return counts


def _effective_count(layers: list[tuple[Tensor, Tensor]], constant: Tensor, level: Tensor) -> int:
    folded: list[tuple[Tensor, Tensor]] = []
    for index, (weight, bias) in enumerate(layers):
        bias = bias + torch.where(constant, weight * level, 0).sum(1)  # noqa: PLW2901
        weight = torch.where(constant, 0, weight)  # noqa: PLW2901
        folded.append((weight, bias))
        if index < len(layers) - 1:
            # A unit without inputs passes the same value on for every example.
            constant = (weight == 0).all(1)
            level = torch.where(constant, bias.relu(), 0)
    count = 0
    wanted = torch.ones(folded[-1][0].shape[0], dtype=torch.bool, device=constant.device)
    for index in reversed(range(len(folded))):
        weight, bias = folded[index]
        weight = weight * wanted[:, None]
        lives = wanted
        if index < len(folded) - 1:
            lives = wanted & (weight != 0).any(1)
        count += int(weight.count_nonzero()) + int((bias * lives).count_nonzero())
        wanted = (weight != 0).any(0)
    return count


def constant_inputs(examples: Tensor) -> tuple[Tensor, Tensor]:
    """Return a mask of the inputs that are equal in all examples, and their value, [inputs]."""
    flat = examples.flatten(1)
    level = flat[0]
    return (flat == level).all(0), level
