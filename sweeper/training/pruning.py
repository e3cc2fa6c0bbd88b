"""Magnitude pruning: weights of each network of a pack ranked and cut to a density."""

from collections.abc import Sequence

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
    keep = _count(density, count)
    return magnitude_mask(scores, flat.kthvalue(count - keep + 1).values[None], zeros=zeros)


def masks_at_densities(scores: Stack, densities: Sequence[float], zeros: Sequence[bool]) -> Stack:
    """Return the masks of `mask_at_density` for each of a stack's networks, all at once.

    For a GPU, which would take some twenty kernels for each network by itself.
    """
    flat = torch.cat([score.flatten(1) for score in scores.values()], dim=1).abs_()
    keep = torch.tensor([_count(density, flat.shape[1]) for density in densities])
    least = kth_largest(flat, keep.to(flat.device))
    lets_in = torch.tensor([*zeros]).to(flat.device)
    masks = {}
    for name, score in scores.items():
        magnitude, shape = score.abs(), (-1, *[1] * (score.ndim - 1))
        stays = (magnitude > 0) | lets_in.view(shape)
        masks[name] = (magnitude >= least.view(shape)) & stays
    return masks


def kth_largest(magnitudes: Tensor, k: Tensor) -> Tensor:
    """Return the k-th largest of each row of magnitudes [rows, n] in float32, k [rows]; exact.

    Bit by bit: magnitudes are in the order of the integers that their bits are, NaN being the
    largest. No sort, and nothing that a GPU is waited for.
    """
    bits = magnitudes.view(torch.int32)
    least = torch.zeros_like(k, dtype=torch.int32)
    for bit in reversed(range(31)):
        higher = least | 1 << bit
        is_reached = (bits >= higher[:, None]).sum(1) >= k
        least = torch.where(is_reached, higher, least)
    return least.view(torch.float32)


def _count(density: float, count: int) -> int:
    """Return how many of `count` weights stay at a density: one at least."""
    return min(max(1, round(density * count)), count)


def largest(scores: Stack, density: float) -> Stack:
    """Return masks of the round(density x weights) largest scores of one network, [1, ...] each.

    Their number is exact: of equal scores the first ones stay.
    """
    flat = torch.cat([score.flatten() for score in scores.values()])
    keep = _count(density, len(flat))
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
