"""Entropies of the magnitudes of a weight matrix, in the family that arXiv 2301.07285 describes.

Its abstract speaks of an entropy of the weights that sees their spatial arrangement; the formula
itself is not at hand, so these are named by what they compute and none is called the paper's own.

With A = |W|, S = sum A, P = A / S, r and c the row and column sums of P, and
H(q) = -sum q log q in nats, where 0 log 0 = 0. An entropy does not change when W is scaled, so
its gradient is orthogonal to W: alone it moves mass from one weight to another and shrinks
nothing. `scaled` multiplies it by S held constant in the gradient; without it the gradient falls
as 1/S while the matrix grows.
"""

import torch
from torch import Tensor

from sweeper.regularizers.sums import per_network, total

Hyper = float | Tensor


def _log(values: Tensor) -> Tensor:
    """Logarithm that is 0, with gradient 0, where a value is exactly 0."""
    return _nonzero(values).log()


def _surprise(masses: Tensor) -> Tensor:
    """Return -log of masses, a large number where a mass is 0 or too small to be told from it.

    So a weight that is almost 0 is shrunk to exactly 0. When it was let be, rows of numbers below
    1e-38 came to stay, and the first layer's product with those took 70 % of a step.
    """
    return -masses.clamp_min(torch.finfo(masses.dtype).tiny).log()


def _masses(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return P [pack, out, in] and S [pack]; P is all 0 for an all-zero matrix."""
    magnitudes = weight.abs()
    summed = total(magnitudes)
    return magnitudes / _nonzero(summed)[:, None, None], summed.detach()


def _marginals(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return r [pack, out], c [pack, in] and S [pack], without a copy of the matrix."""
    rows = torch.linalg.vector_norm(weight, 1, dim=-1)
    columns = torch.linalg.vector_norm(weight, 1, dim=-2)
    summed = rows.sum(-1)
    safe = _nonzero(summed)[:, None]
    return rows / safe, columns / safe, summed.detach()


def _nonzero(value: Tensor) -> Tensor:
    return torch.where(value > 0, value, 1.0)


def _entropy(masses: Tensor) -> Tensor:
    """H along the last axis, [..., n] -> [...]."""
    return -(masses * _log(masses)).sum(-1)


def joint_entropy(weight: Tensor, *, scaled: bool = True) -> Tensor:
    """Entropy of all magnitudes: R(W) = H(P), times S if scaled. Blind to arrangement (control).

    Shapes: [pack, out, in] -> [pack]. Gives exact zeros by shrink only.
    Reference: Shannon 1948, A mathematical theory of communication.

    >>> joint_entropy(torch.ones(1, 2, 4), scaled=False)  # log 8
    tensor([2.0794])
    """
    masses, scale = _masses(weight)
    entropy = _entropy(masses).sum(-1)
    return scale * entropy if scaled else entropy


def joint_entropy_shrinkage(weight: Tensor, *, scaled: bool = True) -> Tensor:
    """dR/d|w| = -(log P + H(P)), over S if not scaled. Shapes: [pack, out, in] -> the same."""
    masses, scale = _masses(weight)
    surprise = _surprise(masses)
    entropy = (masses * surprise).sum(-1).sum(-1)
    return _over(surprise - entropy[:, None, None], scale, scaled)


def marginal_entropy(weight: Tensor, *, scaled: bool = True) -> Tensor:
    """Entropies of row and column sums: R(W) = H(r) + H(c), times S if scaled.

    It is the same for a dense uniform matrix and for the identity: it asks for few rows and
    columns, not for few weights.

    Shapes: [pack, out, in] -> [pack]. Gives exact zeros by shrink only.
    Reference: in the family of the abstract of arXiv 2301.07285.

    >>> uniform, identity = torch.ones(1, 4, 4), torch.eye(4)[None]
    >>> marginal_entropy(uniform, scaled=False), marginal_entropy(identity, scaled=False)
    (tensor([2.7726]), tensor([2.7726]))
    """
    rows, columns, scale = _marginals(weight)
    entropy = _entropy(rows) + _entropy(columns)
    return scale * entropy if scaled else entropy


def marginal_entropy_shrinkage(weight: Tensor, *, scaled: bool = True) -> Tensor:
    """dR/d|w| = -(log r + H(r) + log c + H(c)), over S if not scaled."""
    rows, columns, scale = _excess(weight)
    return _over(rows + columns, scale, scaled)


def l1_marginal_entropy(weight: Tensor, *, mix: Hyper = 0.5) -> Tensor:
    """L1 with an entropy of arrangement: R(W) = S + mix x S x (H(r) + H(c)).

    S before the entropies is held constant in the gradient. At mix 0 this is L1.

    Shapes: [pack, out, in], mix [pack] or a number -> [pack]. Exact zeros by shrink only.
    Reference: in the family of the abstract of arXiv 2301.07285.

    >>> l1_marginal_entropy(torch.ones(1, 4, 4), mix=0.0)
    tensor([16.])
    """
    return total(weight.abs()) + mix * marginal_entropy(weight)


def l1_marginal_entropy_shrinkage(weight: Tensor, *, mix: Hyper = 0.5) -> Tensor:
    """dR/d|w| = 1 - mix (log r + H(r) + log c + H(c)). Shapes: [pack, out, in] -> the same."""
    rows, columns, _ = _excess(weight)
    mix = per_network(mix, weight)
    # Small things first: the sum over rows and columns is the only pass over the matrix.
    return (1 + mix * rows) + mix * columns


def _excess(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return -(log r + H(r)) [pack, out, 1], -(log c + H(c)) [pack, 1, in] and S [pack]."""
    rows, columns, scale = _marginals(weight)
    return (
        (_surprise(rows) - _entropy(rows)[:, None])[:, :, None],
        (_surprise(columns) - _entropy(columns)[:, None])[:, None, :],
        scale,
    )


def _over(derivative: Tensor, scale: Tensor, scaled: bool) -> Tensor:
    if scaled:
        return derivative
    return derivative / _nonzero(scale)[:, None, None]
