"""Penalties that see each weight by itself: nothing, L1, L2."""

import torch
from torch import Tensor

from sweeper.regularizers.sums import per_network, shrink_towards_zero, total

Hyper = float | Tensor


def zero(weight: Tensor) -> Tensor:
    """No penalty: R(W) = 0.

    Shapes: [pack, out, in] -> [pack]. Gives no exact zeros.

    >>> zero(torch.ones(2, 3, 4))
    tensor([0., 0.])
    """
    return weight.new_zeros(weight.shape[0])


def l1(weight: Tensor) -> Tensor:
    """Sum of magnitudes: R(W) = sum |w|.

    Shapes: [pack, out, in] -> [pack]. Gives exact zeros by prox or shrink, none by its gradient.
    Reference: Tibshirani 1996, Regression shrinkage and selection via the lasso.

    >>> l1(torch.tensor([[[3.0, -4.0]]]))
    tensor([7.])
    """
    return total(weight.abs())


def l1_shrinkage(weight: Tensor) -> Tensor:
    """dR/d|w| = 1. Shapes: [pack, out, in] -> [pack, out, in]."""
    return torch.ones_like(weight)


def l1_prox(weight: Tensor, *, step: Hyper, strength: Hyper) -> Tensor:
    """Soft threshold: S(v, t) = sign(v) max(|v| - t, 0), t = step x strength.

    Shapes: weight [pack, out, in], step and strength [pack] or numbers. Gives exact zeros.
    Reference: Parikh and Boyd 2014, Proximal algorithms, section 6.5.2.

    >>> l1_prox(torch.tensor([[[3.0, -0.5]]]), step=1.0, strength=1.0)
    tensor([[[2., 0.]]])
    """
    return shrink_towards_zero(weight, per_network(step * strength, weight))


def l2(weight: Tensor) -> Tensor:
    """Sum of squares: R(W) = sum w^2.

    Shapes: [pack, out, in] -> [pack]. Gives no exact zeros.
    Reference: Krogh and Hertz 1991, A simple weight decay can improve generalization.

    >>> l2(torch.tensor([[[3.0, -4.0]]]))
    tensor([25.])
    """
    return total(weight.square())


def l2_shrinkage(weight: Tensor) -> Tensor:
    """dR/d|w| = 2 |w|. Shapes: [pack, out, in] -> [pack, out, in]."""
    return 2 * weight.abs()


def l2_prox(weight: Tensor, *, step: Hyper, strength: Hyper) -> Tensor:
    """v / (1 + 2t), t = step x strength.

    Shapes: weight [pack, out, in], step and strength [pack] or numbers. Gives no exact zeros.
    Reference: Parikh and Boyd 2014, Proximal algorithms, section 6.1.1.

    >>> l2_prox(torch.tensor([[[3.0]]]), step=0.5, strength=1.0)
    tensor([[[1.5000]]])
    """
    return weight / (1 + 2 * per_network(step * strength, weight))
