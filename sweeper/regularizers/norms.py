"""Convex penalties that see each weight by itself: nothing, L1, L2, both."""

import torch
from torch import Tensor

from sweeper.regularizers.ops import (
    FloatOrTensor,
    formula,
    operator,
    per_network,
    shrink_towards_zero,
    total,
)


@formula
def zero(weight: Tensor) -> Tensor:
    """No penalty: R(W) = 0.

    Shapes: [pack, out, in] -> [pack]. Gives no exact zeros.

    >>> zero(torch.ones(2, 3, 4))
    tensor([0., 0.])
    """
    return weight.new_zeros(weight.shape[:-2])


@formula
def l1(weight: Tensor) -> Tensor:
    """Sum of magnitudes: R(W) = sum |w|.

    Shapes: [pack, out, in] -> [pack]. Gives exact zeros by prox or shrink, none by its gradient.
    Reference: Tibshirani 1996, Regression shrinkage and selection via the lasso.

    >>> l1(torch.tensor([[[3.0, -4.0]]]))
    tensor([7.])
    """
    return total(weight.abs())


@operator
def l1_shrinkage(weight: Tensor) -> Tensor:
    """dR/d|w| = 1. Shapes: [pack, out, in] -> [pack, 1, 1]."""
    return torch.ones_like(weight[..., :1, :1])


@operator
def l1_prox(weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor) -> Tensor:
    """Soft threshold: S(v, t) = sign(v) max(|v| - t, 0), t = step x strength.

    Shapes: weight [pack, out, in], step and strength [pack] or numbers. Gives exact zeros.
    Reference: Parikh and Boyd 2014, Proximal algorithms, section 6.5.2.

    >>> l1_prox(torch.tensor([[[3.0, -0.5]]]), step=1.0, strength=1.0)
    tensor([[[2., 0.]]])
    """
    return shrink_towards_zero(weight, per_network(step * strength, weight))


@formula
def l2(weight: Tensor) -> Tensor:
    """Sum of squares: R(W) = sum w^2.

    Shapes: [pack, out, in] -> [pack]. Gives no exact zeros: its slope vanishes with the weight.
    Reference: Krogh and Hertz 1991, A simple weight decay can improve generalization.

    >>> l2(torch.tensor([[[3.0, -4.0]]]))
    tensor([25.])
    """
    return total(weight.square())


@operator
def l2_shrinkage(weight: Tensor) -> Tensor:
    """dR/d|w| = 2 |w|. Shapes: [pack, out, in] -> [pack, out, in]."""
    return weight.abs().mul_(2)


@operator
def l2_prox(weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor) -> Tensor:
    """v / (1 + 2t), t = step x strength.

    Shapes: weight [pack, out, in], step and strength [pack] or numbers. Gives no exact zeros.
    Reference: Parikh and Boyd 2014, Proximal algorithms, section 6.1.1.

    >>> l2_prox(torch.tensor([[[3.0]]]), step=0.5, strength=1.0)
    tensor([[[1.5000]]])
    """
    return weight / (1 + 2 * per_network(step * strength, weight))


@formula
def elastic_net(weight: Tensor, *, ridge: FloatOrTensor = 1.0) -> Tensor:
    """L1 and L2 together: R(W) = sum |w| + ridge sum w^2.

    Shapes: [pack, out, in], ridge [pack] or a number -> [pack]. Gives exact zeros by prox or
    shrink, none by its gradient.
    Reference: Zou and Hastie 2005, Regularization and variable selection via the elastic net.

    >>> elastic_net(torch.tensor([[[3.0, -4.0]]]), ridge=0.5)
    tensor([19.5000])
    """
    magnitudes = weight.abs()
    # Not ridge x sum w^2: at ridge 0 that is 0 x infinity for weights of 1e20.
    return total(magnitudes * (1 + per_network(ridge, weight) * magnitudes))


@operator
def elastic_net_shrinkage(weight: Tensor, *, ridge: FloatOrTensor = 1.0) -> Tensor:
    """dR/d|w| = 1 + 2 ridge |w|. Shapes: [pack, out, in] -> [pack, out, in]."""
    return weight.abs().mul_(2 * per_network(ridge, weight)).add_(1)


@operator
def elastic_net_prox(
    weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor, ridge: FloatOrTensor = 1.0
) -> Tensor:
    """S(v, t) / (1 + 2 t ridge), t = step x strength, S the soft threshold of L1.

    Shapes: weight [pack, out, in], the others [pack] or numbers. Gives exact zeros.
    Reference: Parikh and Boyd 2014, Proximal algorithms, section 6.5.3.

    >>> elastic_net_prox(torch.tensor([[[4.0, -0.5]]]), step=1.0, strength=1.0, ridge=1.0)
    tensor([[[1., 0.]]])
    """
    t = per_network(step * strength, weight)
    return shrink_towards_zero(weight, t).div_(1 + 2 * t * per_network(ridge, weight))
