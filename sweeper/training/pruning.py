"""Global magnitude pruning of every network of a pack to a density."""

import torch
from torch import Tensor

from sweeper.training.network import Network
from sweeper.training.stacked_module import Stack


def magnitudes(network: Network, stack: Stack) -> Tensor:
    """Return |w| of all prunable weights, sorted descending, [pack, weights]."""
    flat = torch.cat([stack[name].flatten(1).abs() for name in network.weights], dim=1)
    return flat.sort(dim=1, descending=True).values


def masks(network: Network, stack: Stack, ranked: Tensor, density: Tensor) -> Stack:
    """Return which weights stay: the largest round(density x weights), zeros never.

    `ranked` comes from `magnitudes`, `density` [pack] lies in (0, 1]. Weights as large as the
    last one that stays, stay too, so that the choice does not depend on a sorting order.
    """
    weights = ranked.shape[1]
    keep = (density.double() * weights).round().long().clamp(1, weights)
    threshold = ranked.gather(1, (keep - 1)[:, None])[:, 0]  # [pack]
    found = {}
    for name in network.weights:
        magnitude = stack[name].abs()
        bound = threshold.view(-1, *[1] * (magnitude.ndim - 1))
        found[name] = (magnitude >= bound) & (magnitude > 0)
    return found
