"""Concave penalties with a finite slope at 0: log-sum and transformed L1."""

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
def log_sum(weight: Tensor, *, eps: FloatOrTensor = 1e-2) -> Tensor:
    """Sum of logarithms: R(W) = sum log(1 + |w| / eps).

    Shapes: [pack, out, in], eps [pack] or a number -> [pack]. Gives exact zeros by prox or
    shrink, none by its gradient.
    Reference: Candès et al. 2008, Enhancing sparsity by reweighted l1 minimization.

    >>> log_sum(torch.tensor([[[3.0, 0.0]]]), eps=1.0)  # log 4
    tensor([1.3863])
    """
    return total((weight.abs() / per_network(eps, weight)).log1p())


@operator
def log_sum_shrinkage(weight: Tensor, *, eps: FloatOrTensor = 1e-2) -> Tensor:
    """dR/d|w| = 1 / (eps + |w|). Shapes: [pack, out, in] -> [pack, out, in]."""
    return weight.abs().add_(per_network(eps, weight)).reciprocal_()


@operator
def log_sum_prox(
    weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor, eps: FloatOrTensor = 1e-2
) -> Tensor:
    """The better of 0 and ((a - eps) + sqrt((a + eps)^2 - 4t)) / 2, a = |v|, t = step x strength.

    For t <= eps^2 the objective is convex and 0 is the better one up to a = t / eps; for larger t
    from a threshold on that is found once for each network, not by a logarithm of every weight.

    Shapes: weight [pack, out, in], the others [pack] or numbers. Gives exact zeros.
    Reference: Gong et al. 2013, A general iterative shrinkage and thresholding algorithm for
    non-convex regularized optimization problems.

    >>> log_sum_prox(torch.tensor([[[3.0, 0.5]]]), step=1.0, strength=1.0, eps=1.0)
    tensor([[[2.7321, 0.0000]]])
    """
    t, eps = per_network(step * strength, weight), per_network(eps, weight)
    threshold = log_sum_threshold(t, eps)
    moved = weight.abs() + eps
    # a - u = 2t / (a + eps + sqrt(...)) loses no digits and bears weights of 1e20.
    # Where the root would be of less than 0, so is the minimum; roots of 0 took 2 ms, not 0.05.
    root = moved.square().sub_(4 * t).clamp_min_(1e-30).sqrt_()
    amount = torch.div(2 * t, moved.add_(root), out=moved)
    return shrink_in_place(weight, amount, threshold)


def log_sum_threshold(t: Tensor, eps: Tensor) -> Tensor:
    """Return the magnitude at which 0 and the other minimum are equally good.

    With T = t / eps^2 and the other minimum at x eps, both cost the same where
    x^2 / 2 = T (log(1 + x) - x / (1 + x)). The start is within 1.5 % of that x for T from 1 to
    1e14, and exact for T to 1; two steps of Newton's method make the threshold exact to 2e-8.
    """
    dtype, t, eps = t.dtype, t.double(), eps.double()
    # Below T = 1 there is no such x: x = 0, and the threshold is t / eps.
    ratio = (t / eps.square()).clamp_min(1)
    log = ratio.log()
    start = 2.25 + log * (27 / 64 + 0.13305532 * log) / (1 + 0.11546091 * log)
    x = start.sqrt() * (ratio.sqrt() - 1)
    for _ in range(2):
        beyond = 1 + x
        excess = x.square() / 2 - ratio * (x.log1p() - x / beyond)
        slope = x * (1 - ratio / beyond.square())
        x = x - excess / slope.clamp_min(1e-300)
    return (x * eps + t / (eps * (1 + x))).to(dtype)


@formula
def transformed_l1(weight: Tensor, *, a: FloatOrTensor = 1.0) -> Tensor:
    """Between L0 (a -> 0) and L1 (a -> infinity): R(W) = sum (a + 1) |w| / (a + |w|).

    Shapes: [pack, out, in], a [pack] or a number -> [pack]. Gives exact zeros by prox or shrink,
    none by its gradient.
    Reference: Zhang and Xin 2018, Minimization of transformed L1 penalty: theory, difference of
    convex function algorithm, and robust application in compressed sensing.

    >>> transformed_l1(torch.tensor([[[3.0, -1.0]]]), a=1.0)
    tensor([2.5000])
    """
    a = per_network(a, weight)
    magnitudes = weight.abs()
    return total((a + 1) * (magnitudes / (a + magnitudes)))


@operator
def transformed_l1_shrinkage(weight: Tensor, *, a: FloatOrTensor = 1.0) -> Tensor:
    """dR/d|w| = a (a + 1) / (a + |w|)^2. Shapes: [pack, out, in] -> [pack, out, in]."""
    a = per_network(a, weight)
    return weight.abs().add_(a).reciprocal_().square_().mul_(a * (a + 1))


@operator
def transformed_l1_prox(
    weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor, a: FloatOrTensor = 1.0
) -> Tensor:
    """0 if |v| <= h, else u = sign(v) ((2/3) (a + |v|) cos(f/3) - 2a/3 + |v|/3).

    t = step x strength, f = arccos(1 - 27 t a (a + 1) / (2 (a + |v|)^3)), and h = t (a + 1) / a if
    t <= a^2 / (2 (a + 1)), else sqrt(2 t (a + 1)) - a/2. This computes |v| - u =
    (4/3) (a + |v|) sin(f/6)^2, f/2 = arcsin(sqrt(27 t a (a + 1) / (4 (a + |v|)^3))): the same,
    exact also where a is much larger than the weights.

    Shapes: weight [pack, out, in], the others [pack] or numbers. Gives exact zeros.
    Reference: Zhang and Xin 2017, Minimization of transformed L1 penalty: closed form
    representation and iterative thresholding algorithms.

    >>> transformed_l1_prox(torch.tensor([[[3.0, 1.4]]]), step=1.0, strength=1.0, a=1.0)
    tensor([[[2.8662, 0.0000]]])
    """
    t, a = per_network(step * strength, weight), per_network(a, weight)
    product, threshold = t * (a + 1), transformed_l1_threshold(t, a)
    moved = weight.abs() + a
    angle = moved.sqrt().mul_(moved).reciprocal_().mul_((6.75 * a * product).sqrt())
    # Where this exceeds 1 there is no other minimum than 0.
    angle.clamp_max_(1).asin_().mul_(1 / 3)
    amount = angle.sin_().square_().mul_(moved).mul_(4 / 3)
    return shrink_in_place(weight, amount, threshold)


def transformed_l1_threshold(t: Tensor, a: Tensor) -> Tensor:
    """Return h, the magnitude up to which 0 is the better one."""
    product = t * (a + 1)
    return torch.where(product <= a.square() / 2, product / a, (2 * product).sqrt() - a / 2)
