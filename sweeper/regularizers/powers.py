"""Powers of the magnitude below 1: L_1/2 with its exact prox, and L_p made smooth at 0."""

import math

import torch
from torch import Tensor

from sweeper.regularizers.ops import (
    FloatOrTensor,
    formula,
    nonzero,
    operator,
    per_network,
    shrink_in_place,
    total,
)


@formula
def l_half(weight: Tensor) -> Tensor:
    """Sum of square roots: R(W) = sum |w|^(1/2).

    Its gradient is infinite at 0 (autograd gives 0 there), so it is no term of a loss.

    Shapes: [pack, out, in] -> [pack]. Gives exact zeros by prox or shrink.
    Reference: Xu et al. 2012, L1/2 regularization: a thresholding representation theory and a
    fast solver.

    >>> l_half(torch.tensor([[[9.0, -4.0]]]))
    tensor([5.])
    """
    magnitudes = weight.abs()
    # 0 is held apart: autograd would multiply the infinite slope there by sign(0) = 0 to NaN.
    return total(torch.where(magnitudes > 0, nonzero(magnitudes).sqrt(), 0.0))


@operator
def l_half_shrinkage(weight: Tensor) -> Tensor:
    """dR/d|w| = |w|^(-1/2) / 2; at 0 that of the smallest normal number.

    Shapes: [pack, out, in] -> [pack, out, in].
    """
    roots = weight.abs().clamp_min_(torch.finfo(weight.dtype).tiny).sqrt_()
    return roots.reciprocal_().mul_(0.5)


@operator
def l_half_prox(weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor) -> Tensor:
    """Half threshold: 0 if |v| <= (3/2) t^(2/3), t = step x strength, else u below.

    u = (2/3) v (1 + cos(2 pi/3 - (2/3) arccos((t/4) (|v|/3)^(-3/2)))), computed as v - (2/3) v
    (1/2 - cos(pi/3 + (2/3) arcsin((t/4) (|v|/3)^(-3/2)))), whose rounding is less than v's own.

    Shapes: weight [pack, out, in], step and strength [pack] or numbers. Gives exact zeros.
    Reference: Xu et al. 2012, L1/2 regularization: a thresholding representation theory and a
    fast solver.

    >>> l_half_prox(torch.tensor([[[4.0, 1.5]]]), step=1.0, strength=1.2)
    tensor([[[3.6875, 0.0000]]])
    """
    t = per_network(step * strength, weight)
    threshold = l_half_threshold(t)
    # Below the threshold the formula has no root; 1e-20 keeps t = 0 from 0 / 0.
    held = torch.maximum(weight.abs(), threshold.clamp_min(1e-20))
    angle = held.sqrt().mul_(held).reciprocal_().mul_(t * (27**0.5 / 4)).asin_()
    cosine = angle.mul_(2 / 3).add_(math.pi / 3).cos_()
    amount = torch.sub(0.5, cosine, out=cosine).mul_(held).mul_(2 / 3)
    return shrink_in_place(weight, amount, threshold)


def l_half_threshold(t: Tensor) -> Tensor:
    """Return the magnitude up to which 0 is the better one."""
    return 1.5 * t ** (2 / 3)


@formula
def smoothed_lp(weight: Tensor, *, p: FloatOrTensor = 0.5, eps: FloatOrTensor = 1e-2) -> Tensor:
    """L_p made smooth at 0: R(W) = sum (w^2 + eps^2)^(p/2).

    Shapes: [pack, out, in], p and eps [pack] or numbers -> [pack]. Gives no exact zeros: its
    slope vanishes with the weight.
    Reference: Chartrand and Yin 2008, Iteratively reweighted algorithms for compressive sensing.

    >>> smoothed_lp(torch.tensor([[[3.0, 0.0]]]), p=1.0, eps=4.0)
    tensor([9.])
    """
    squares = weight.square() + per_network(eps, weight).square()
    return total(squares.pow(per_network(p, weight) / 2))


@operator
def smoothed_lp_shrinkage(
    weight: Tensor, *, p: FloatOrTensor = 0.5, eps: FloatOrTensor = 1e-2
) -> Tensor:
    """dR/d|w| = p |w| (w^2 + eps^2)^(p/2 - 1), in float32 for |w| < 1e19.

    Shapes: [pack, out, in] -> [pack, out, in].
    """
    p = per_network(p, weight)
    squares = weight.square().add_(per_network(eps, weight).square())
    # exp(log) instead of a power: 0.15 ms instead of 0.8. The bound keeps 0 x infinity away.
    squares.clamp_max_(torch.finfo(weight.dtype).max)
    powers = squares.log_().mul_(p / 2 - 1).exp_()
    return weight.abs().mul_(p).mul_(powers)
