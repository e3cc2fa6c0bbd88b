"""Magnitude pruning: weights of each network of a pack ranked and cut to a density."""

import torch
from torch import Tensor

from sweeper.training.stack import Stack


def magnitudes(weights: Stack) -> Tensor:
    """Return |w| of all prunable weights, sorted descending, [pack, weights]."""
    flat = torch.cat([weight.flatten(1) for weight in weights.values()], dim=1).abs_()
    for row in flat:  # one by one: a sort also makes indices, which take twice the room
        row.copy_(row.sort(descending=True).values)
    return flat


def thresholds(ranked: Tensor, density: Tensor) -> Tensor:
    """Return the least magnitude that stays, [pack]: of the largest round(density x weights).

    `ranked` comes from `magnitudes`, `density` [pack] lies in (0, 1].
    """
    count = ranked.shape[1]
    keep = (density.double() * count).round().long().clamp(1, count)
    return ranked.gather(1, (keep - 1)[:, None])[:, 0]


def mask_at_density(scores: Stack, density: float, *, zeros: bool = False) -> Stack:
    """Return masks of the weights of one network, [1, ...] each, without sorting.

    As many as `thresholds` lets stay. `zeros`: those stay too, where fewer than the density others
    are left.
    """
    flat = torch.cat([score.flatten().abs() for score in scores.values()])
    count = flat.numel()
    keep = min(max(1, round(density * count)), count)
    return magnitude_mask(scores, flat.kthvalue(count - keep + 1).values[None], zeros=zeros)


def largest(scores: Stack, density: float) -> Stack:
    """Return masks of the round(density x weights) largest scores of one network, [1, ...] each.

    Their number is exact: of equal scores the first ones stay.
    """
    flat = torch.cat([score.flatten() for score in scores.values()])
    keep = min(max(1, round(density * len(flat))), len(flat))
    chosen = torch.zeros_like(flat, dtype=torch.bool)
    chosen[flat.argsort(descending=True, stable=True)[:keep]] = True
    parts = torch.split(chosen, [score.numel() for score in scores.values()])
    pairs = zip(scores.items(), parts, strict=True)
    return {name: part.view_as(score) for (name, score), part in pairs}


def magnitude_mask(weights: Stack, threshold: Tensor, *, zeros: bool = False) -> Stack:
    """Return masks of the weights of at least a magnitude [pack]; `zeros` lets zeros in."""
    masks = {}
    for name, weight in weights.items():
        magnitude = weight.abs()
        bound = threshold.view(-1, *[1] * (magnitude.ndim - 1))
        masks[name] = magnitude >= bound if zeros else (magnitude >= bound) & (magnitude > 0)
    return masks
