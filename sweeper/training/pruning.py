"""Global magnitude pruning of every network of a pack to a density."""

import torch
from torch import Tensor

from sweeper.training.stacked_module import Stack


def magnitudes(weights: Stack) -> Tensor:
    """Return |w| of all prunable weights, sorted descending, [pack, weights]."""
    flat = torch.cat([weight.flatten(1).abs() for weight in weights.values()], dim=1)
    return flat.sort(dim=1, descending=True).values


def masks(weights: Stack, ranked: Tensor, density: Tensor) -> Stack:
    """Return which weights stay: the largest round(density x weights), zeros never.

    `ranked` comes from `magnitudes`, `density` [pack] lies in (0, 1]. Weights as large as the
    last one that stays, stay too, so that the choice does not depend on a sorting order.
    """
    count = ranked.shape[1]
    keep = (density.double() * count).round().long().clamp(1, count)
    threshold = ranked.gather(1, (keep - 1)[:, None])[:, 0]  # [pack]
    return _at_least(weights, threshold)


def cut(scores: Stack, density: float) -> Stack:
    """Return which weights of one network stay, [1, ...] each: as `masks`, without sorting."""
    flat = torch.cat([score.flatten().abs() for score in scores.values()])
    count = flat.numel()
    keep = min(max(1, round(density * count)), count)
    return _at_least(scores, flat.kthvalue(count - keep + 1).values[None])


def _at_least(weights: Stack, threshold: Tensor) -> Stack:
    found = {}
    for name, weight in weights.items():
        magnitude = weight.abs()
        bound = threshold.view(-1, *[1] * (magnitude.ndim - 1))
        found[name] = (magnitude >= bound) & (magnitude > 0)
    return found
