"""Masses of a weight matrix and their logarithms, what all entropies are made of.

With A = |W|, S = sum A, P = A / S, r and c the row and column sums of P, and
H(q) = -sum q log q in nats, where 0 log 0 = 0.
"""

import torch
from torch import Tensor

from sweeper.regularizers.ops import nonzero, total


def masses(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return P [pack, out, in] and S [pack], held constant; P is 0 for an all-zero matrix."""
    magnitudes = weight.abs()
    summed = total(magnitudes)
    return magnitudes / nonzero(summed)[..., None, None], summed.detach()


def marginals(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return r [pack, out], c [pack, in] and S [pack], held constant."""
    magnitudes = weight.abs()
    rows, columns = magnitudes.sum(-1), magnitudes.sum(-2)
    summed = rows.sum(-1)
    safe = nonzero(summed)[..., None]
    return rows / safe, columns / safe, summed.detach()


def entropy(masses: Tensor) -> Tensor:
    """H along the last axis, [..., n] -> [...]. The gradient is 0 where a mass is exactly 0."""
    return -(masses * nonzero(masses).log()).sum(-1)


def log(masses: Tensor) -> Tensor:
    """Logarithm of masses, a large negative number for a mass that is 0 or next to it.

    So a weight that is almost 0 is shrunk to exactly 0. When it was let be, rows of numbers below
    1e-38 came to stay, and the first layer's product with those took 70 % of a step.
    """
    return masses.clamp_min(torch.finfo(masses.dtype).tiny).log_()


def log_masses(
    weight: Tensor, *, rows: bool = False, columns: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Return L = log P [pack, out, in], its mean sum P L [pack, 1, 1] and S [pack].

    With `rows` L is log(P / r), with `columns` log(P / c), with both log(P / (r c)).
    """
    magnitudes = weight.abs()
    row_sums = magnitudes.sum(-1, keepdim=True)
    summed = row_sums.sum(-2, keepdim=True)
    safe = nonzero(summed)
    shares = magnitudes.div_(safe)
    logs = log(shares)
    if rows:
        logs.sub_(log(row_sums / safe))
    if columns:
        logs.sub_(log(shares.sum(-2, keepdim=True)))
    return logs, total(shares.mul_(logs))[..., None, None], summed[..., 0, 0]


def over(derivative: Tensor, scale: Tensor, scaled: bool) -> Tensor:
    """Divide a derivative in place by S [pack], or not where the entropy is multiplied by it."""
    if scaled:
        return derivative
    largest = torch.finfo(derivative.dtype).max
    return derivative.div_(nonzero(scale)[..., None, None]).clamp_max_(largest)
