"""Exclusive lasso: the squared L1 norms of all weights of an input, or of a neuron.

A group is a column of W (`by="input"`) or a row (`by="neuron"`). Group lasso picks groups; this one
has the weights of a group compete, and leaves some in each.
"""

import torch
from torch import Tensor

from sweeper.regularizers.groups import By
from sweeper.regularizers.ops import (
    FloatOrTensor,
    formula,
    operator,
    per_network,
    shrink_towards_zero,
)


@formula
def exclusive_lasso(weight: Tensor, *, by: By = "neuron") -> Tensor:
    """Sum of squared L1 norms of groups: R(W) = sum over groups g of (sum of |w| in g)^2.

    Shapes: [pack, out, in] -> [pack]. Gives exact zeros by prox or shrink, never a whole group by
    prox.
    Reference: Zhou et al. 2010, Exclusive lasso for multi-task feature selection.

    >>> exclusive_lasso(torch.tensor([[[3.0, -1.0], [0.0, 4.0]]]), by="input")  # 9 + 25
    tensor([34.])
    """
    return _group_sums(weight, by).square().sum(-1).sum(-1)


@operator
def exclusive_lasso_shrinkage(weight: Tensor, *, by: By = "neuron") -> Tensor:
    """dR/d|w| = 2 x the sum of |w| in its group. Shapes: -> [pack, out, 1] or [pack, 1, in]."""
    return 2 * _group_sums(weight, by)


@operator
def exclusive_lasso_prox(
    weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor, by: By = "neuron"
) -> Tensor:
    """Soft threshold of each group by its own amount, T = 2t x what it leaves of the group's sum.

    With the magnitudes of a group in order, a_1 >= a_2 >= ..., T = 2t (a_1 + ... + a_k) / (1 + 2tk)
    for the largest k that leaves a_k > T; t = step x strength.

    Shapes: weight [pack, out, in], step and strength [pack] or numbers. Gives exact zeros.
    Reference: Kowalski 2009, Sparse regression using mixed norms.

    >>> weight = torch.tensor([[[3.0, -2.0, 0.5]]])
    >>> exclusive_lasso_prox(weight, step=0.25, strength=1.0)  # T = 0.5 x 5 / 2
    tensor([[[ 1.7500, -0.7500,  0.0000]]])
    """
    twice = per_network(step * strength, weight) * 2
    magnitudes = weight.abs()
    if by == "input":
        magnitudes = magnitudes.transpose(-2, -1)
    ordered = magnitudes.sort(dim=-1, descending=True).values
    counts = torch.arange(1, ordered.shape[-1] + 1, device=weight.device, dtype=weight.dtype)
    amounts = ordered.cumsum(-1).mul_(twice).div_(1 + twice * counts)
    last = (ordered > amounts).sum(-1, keepdim=True).sub_(1).clamp_min_(0)
    amount = amounts.gather(-1, last)
    return shrink_towards_zero(weight, amount.transpose(-2, -1) if by == "input" else amount)


def _group_sums(weight: Tensor, by: By) -> Tensor:
    return weight.abs().sum(-2 if by == "input" else -1, keepdim=True)
