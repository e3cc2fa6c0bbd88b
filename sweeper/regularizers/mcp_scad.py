"""Penalties that are L1 near 0 and constant for large weights: MCP and SCAD.

Their strength, lambda, is a letter of the formula and not a factor before it: it also says from
where on weights are let be. So R takes it, and its value is the whole penalty.
"""

import torch
from torch import Tensor

from sweeper.regularizers.ops import (
    FloatOrTensor,
    formula,
    operator,
    per_network,
    shrink_in_place,
    total,
)


@formula
def mcp(weight: Tensor, *, strength: FloatOrTensor, gamma: FloatOrTensor = 3.0) -> Tensor:
    """Minimax concave penalty: R(W) = sum of lambda m - m^2 / (2 gamma).

    lambda = strength, m = min(|w|, gamma lambda).

    Shapes: [pack, out, in], strength and gamma [pack] or numbers -> [pack]. Gives exact zeros by
    prox or shrink, none by its gradient.
    Reference: Zhang 2010, Nearly unbiased variable selection under minimax concave penalty.

    >>> mcp(torch.tensor([[[1.0, -9.0]]]), strength=2.0, gamma=2.0)  # 1.75 and 4
    tensor([5.7500])
    """
    strength, gamma = per_network(strength, weight), per_network(gamma, weight)
    clipped = torch.minimum(weight.abs(), gamma * strength)
    return total(clipped * (strength - clipped / (2 * gamma)))


@operator
def mcp_shrinkage(weight: Tensor, *, strength: FloatOrTensor, gamma: FloatOrTensor = 3.0) -> Tensor:
    """dR/d|w| = max(lambda - |w| / gamma, 0). Shapes: [pack, out, in] -> [pack, out, in]."""
    strength, gamma = per_network(strength, weight), per_network(gamma, weight)
    slope = weight.abs()
    return torch.sub(gamma * strength, slope, out=slope).clamp_min_(0).div_(gamma)


@operator
def mcp_prox(
    weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor, gamma: FloatOrTensor = 3.0
) -> Tensor:
    """Firm threshold: S(v, step lambda) / (1 - step / gamma) if |v| <= gamma lambda, v beyond.

    Exact only while step < gamma. S is the soft threshold of L1.

    Shapes: weight [pack, out, in], the others [pack] or numbers. Gives exact zeros.
    Reference: Zhang 2010, Nearly unbiased variable selection under minimax concave penalty.

    >>> mcp_prox(torch.tensor([[[3.0, 1.0, -5.0]]]), step=1.0, strength=2.0, gamma=2.0)
    tensor([[[ 2.,  0., -5.]]])
    """
    step, strength = per_network(step, weight), per_network(strength, weight)
    gamma = per_network(gamma, weight)
    magnitudes = weight.abs()
    amount = torch.sub(gamma * strength, magnitudes).clamp_min_(0).mul_(step / (gamma - step))
    return shrink_in_place(weight, amount)


@formula
def scad(weight: Tensor, *, strength: FloatOrTensor, a: FloatOrTensor = 3.7) -> Tensor:
    """Smoothly clipped absolute deviation: R(W) = sum of lambda m - q^2 / (2 (a - 1)).

    lambda = strength, m = min(|w|, a lambda), q = max(m - lambda, 0).

    Shapes: [pack, out, in], strength and a [pack] or numbers -> [pack]. Gives exact zeros by prox
    or shrink, none by its gradient.
    Reference: Fan and Li 2001, Variable selection via nonconcave penalized likelihood and its
    oracle properties.

    >>> scad(torch.tensor([[[1.0, -2.0, 9.0]]]), strength=1.0, a=3.0)  # 1, 1.75 and 2
    tensor([4.7500])
    """
    strength, a = per_network(strength, weight), per_network(a, weight)
    clipped = torch.minimum(weight.abs(), a * strength)
    beyond = (clipped - strength).clamp_min(0)
    return total(strength * clipped - beyond.square() / (2 * (a - 1)))


@operator
def scad_shrinkage(weight: Tensor, *, strength: FloatOrTensor, a: FloatOrTensor = 3.7) -> Tensor:
    """dR/d|w| = min(lambda, max(a lambda - |w|, 0) / (a - 1)).

    Shapes: [pack, out, in] -> [pack, out, in].
    """
    strength, a = per_network(strength, weight), per_network(a, weight)
    slope = weight.abs()
    torch.sub(a * strength, slope, out=slope).clamp_min_(0).div_(a - 1)
    return torch.minimum(slope, strength, out=slope)


@operator
def scad_prox(
    weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor, a: FloatOrTensor = 3.7
) -> Tensor:
    """S(v, t) if |v| <= lambda + t; u below if |v| <= a lambda; v beyond; t = step lambda.

    u = ((a - 1) v - sign(v) t a) / (a - 1 - step). Exact only while step < a - 1. S is the soft
    threshold of L1.

    Shapes: weight [pack, out, in], the others [pack] or numbers. Gives exact zeros.
    Reference: Fan and Li 2001, Variable selection via nonconcave penalized likelihood and its
    oracle properties.

    >>> scad_prox(torch.tensor([[[1.5, 0.5, -2.5, 9.0]]]), step=1.0, strength=1.0, a=3.0)
    tensor([[[ 0.5000,  0.0000, -2.0000,  9.0000]]])
    """
    step, strength = per_network(step, weight), per_network(strength, weight)
    a = per_network(a, weight)
    magnitudes = weight.abs()
    amount = torch.sub(a * strength, magnitudes).clamp_min_(0).mul_(step / (a - 1 - step))
    torch.minimum(amount, step * strength, out=amount)
    return shrink_in_place(weight, amount)
