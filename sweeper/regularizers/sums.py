"""Sums that give the same bits whatever the pack and the number of threads."""

import torch
from torch import Tensor


def total(values: Tensor) -> Tensor:
    """Sum a stack of matrices, [pack, out, in] -> [pack].

    Rows first: a full reduction to one number is split among threads by PyTorch, so that its
    bits would depend on their number for a pack of one, and only there.

    >>> total(torch.ones(2, 3, 4))
    tensor([12., 12.])
    """
    return values.sum(-1).sum(-1)


def per_network(value: "float | Tensor", like: Tensor) -> "float | Tensor":
    """Shape a hyperparameter [pack] so that it broadcasts over `like` [pack, ...]."""
    if isinstance(value, Tensor) and value.ndim == 1:
        return value.view(-1, *[1] * (like.ndim - 1))
    return value


def shrink_towards_zero(weight: Tensor, amount: "float | Tensor") -> Tensor:
    """Move every weight by `amount` >= 0 towards zero and stop there: exact zeros.

    >>> shrink_towards_zero(torch.tensor([[[3.0, -0.5, -2.0]]]), 1.0)
    tensor([[[ 2.,  0., -1.]]])
    """
    if isinstance(amount, Tensor):
        # clamp with tensor bounds is not vectorised: 0.8 ms for 266,200 weights.
        return weight - torch.maximum(torch.minimum(weight, amount), -amount)
    return weight - weight.clamp(-amount, amount)
