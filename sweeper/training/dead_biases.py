"""Dead biases: those of units that no weight leads on from, which count and do nothing."""

import torch

from sweeper.training.reduced_network import alive
from sweeper.training.stack import Layers, Stack
from sweeper.training.stacked_architecture import StackedArchitecture
from sweeper.training.traced_network import TracedNetwork
from sweeper.training.training_loop import apply_masks


def live_biases(network: StackedArchitecture, stack: Stack) -> Stack:
    """Return masks [pack, units] of the biases that lead on to the outputs, by name.

    Scales and shifts of batch norm are such biases. Raises NotFollowed for a module that cannot
    be followed.
    """
    if network.layers is not None:
        return _of_chain(network.layers, stack)
    traced = TracedNetwork.of(network.template)
    biases = [name for name in network.parameters if stack[name].ndim <= 2]
    pack = len(stack[biases[0]]) if biases else 0
    each = [alive(traced, network.values(stack, k), network.example_shape) for k in range(pack)]
    return {
        name: torch.stack([network[name] for network in each]).to(stack[name].device)
        for name in biases
    }


def remove_dead_biases(network: StackedArchitecture, stack: Stack) -> Stack:
    """Set the dead biases of a stack to 0, in place; return the masks of the others."""
    live = live_biases(network, stack) if network.prune.dead_biases else {}
    apply_masks(stack, live)
    return live


def _of_chain(layers: Layers, stack: Stack) -> Stack:
    wanted = torch.ones_like(stack[layers[-1][1]], dtype=torch.bool)
    live = {}
    for weight, bias in reversed(layers):
        live[bias] = wanted
        wanted = ((stack[weight] != 0) & wanted[:, :, None]).any(1)
    return live
