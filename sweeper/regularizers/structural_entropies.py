"""Entropies that see which weights share a row or a column, in the family that the abstract of
arXiv 2301.07285 describes; the formula of that paper is not at hand, and none of these is it.

A row of W is all that enters a neuron, a column all that leaves an input. Letters and `scaled` as
in `sweeper.regularizers.marginals` and `sweeper.regularizers.entropies`.
"""

from typing import Literal

import torch
from torch import Tensor

from sweeper.regularizers.marginals import entropy, log, log_masses, marginals, masses, over
from sweeper.regularizers.ops import FloatOrTensor, formula, operator, per_network, total


@formula
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
    rows, columns, scale = marginals(weight)
    entropies = entropy(rows) + entropy(columns)
    return scale * entropies if scaled else entropies


@operator
def marginal_entropy_shrinkage(weight: Tensor, *, scaled: bool = True) -> Tensor:
    """dR/d|w| = -(log r + H(r) + log c + H(c)), over S if not scaled."""
    rows, columns, scale = _excess(weight)
    return over(rows + columns, scale, scaled)


@formula
def l1_marginal_entropy(weight: Tensor, *, mix: FloatOrTensor = 0.5) -> Tensor:
    """L1 with an entropy of arrangement: R(W) = S + mix x S x (H(r) + H(c)).

    S before the entropies is held constant in the gradient. At mix 0 this is L1.

    Shapes: [pack, out, in], mix [pack] or a number -> [pack]. Exact zeros by shrink only.
    Reference: in the family of the abstract of arXiv 2301.07285.

    >>> l1_marginal_entropy(torch.ones(1, 4, 4), mix=0.0)
    tensor([16.])
    """
    return total(weight.abs()) + mix * marginal_entropy(weight)


@operator
def l1_marginal_entropy_shrinkage(weight: Tensor, *, mix: FloatOrTensor = 0.5) -> Tensor:
    """dR/d|w| = 1 - mix (log r + H(r) + log c + H(c)). Shapes: [pack, out, in] -> the same."""
    rows, columns, _ = _excess(weight)
    mix = per_network(mix, weight)
    # Small things first: the sum over rows and columns is the only pass over the matrix.
    return (1 + mix * rows) + mix * columns


@formula
def conditional_entropy(
    weight: Tensor, *, given: Literal["rows", "columns"] = "rows", scaled: bool = True
) -> Tensor:
    """Entropy within rows, R(W) = H(P) - H(r), or within columns, H(P) - H(c); times S if scaled.

    Given rows it is the mean, weighted by r, of the entropy of each row by itself: it asks for
    few weights in each row and does not care how many rows there are. It is 0 for the identity.

    Shapes: [pack, out, in] -> [pack]. Gives exact zeros by shrink only.
    Reference: in the family of the abstract of arXiv 2301.07285.

    >>> uniform, identity = torch.ones(1, 2, 4), torch.eye(4)[None]
    >>> conditional_entropy(uniform, given="rows", scaled=False)  # log 4
    tensor([1.3863])
    >>> conditional_entropy(identity, given="columns")
    tensor([0.])
    """
    parts, scale = masses(weight)
    side = parts.sum(-1 if given == "rows" else -2)
    entropies = entropy(parts).sum(-1) - entropy(side)
    return scale * entropies if scaled else entropies


@operator
def conditional_entropy_shrinkage(
    weight: Tensor, *, given: Literal["rows", "columns"] = "rows", scaled: bool = True
) -> Tensor:
    """dR/d|w| = -(log(P / r) + H(P) - H(r)), or with c; over S if not scaled."""
    logs, mean, scale = log_masses(weight, rows=given == "rows", columns=given == "columns")
    return over(torch.sub(mean, logs, out=logs), scale, scaled)


@formula
def mutual_information(weight: Tensor, *, scaled: bool = True) -> Tensor:
    """What the row of a weight tells of its column: R(W) = H(r) + H(c) - H(P), times S if scaled.

    It is 0 for a dense uniform matrix and for all of rank one, so it need not sparsify: it is
    here to be compared. Its slope is negative at 0 in a live row and column: it asks to fill the
    holes there.

    Shapes: [pack, out, in] -> [pack]. Gives exact zeros by shrink only.
    Reference: in the family of the abstract of arXiv 2301.07285.

    >>> uniform, identity = torch.ones(1, 4, 4), torch.eye(4)[None]
    >>> mutual_information(uniform, scaled=False), mutual_information(identity, scaled=False)
    (tensor([0.]), tensor([1.3863]))
    """
    parts, scale = masses(weight)
    entropies = entropy(parts.sum(-1)) + entropy(parts.sum(-2)) - entropy(parts).sum(-1)
    return scale * entropies if scaled else entropies


@operator
def mutual_information_shrinkage(weight: Tensor, *, scaled: bool = True) -> Tensor:
    """dR/d|w| = log(P / (r c)) - R / S, over S if not scaled. Shapes: [pack, out, in] -> same."""
    logs, mean, scale = log_masses(weight, rows=True, columns=True)
    return over(logs.sub_(mean), scale, scaled)


def _excess(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return -(log r + H(r)) [pack, out, 1], -(log c + H(c)) [pack, 1, in] and S [pack]."""
    rows, columns, scale = marginals(weight)
    return (
        -(log(rows) + entropy(rows)[..., None])[..., :, None],
        -(log(columns) + entropy(columns)[..., None])[..., None, :],
        scale,
    )
