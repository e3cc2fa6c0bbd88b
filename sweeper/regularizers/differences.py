"""Penalties of differences between neighbours in a matrix, which see what lies beside what.

D are all differences of a weight, with its sign, from the one above it and the one to its left. So
a weight that is 0 has a slope too, towards its neighbours; in training it is taken as 0, as that of
|w| is.
"""

import torch
from torch import Tensor

from sweeper.regularizers.marginals import entropy, log
from sweeper.regularizers.ops import FloatOrTensor, formula, nonzero, operator, per_network, total

_DIMS = (-2, -1)


@formula
def difference_entropy(weight: Tensor, *, scaled: bool = True) -> Tensor:
    """Entropy of the differences of neighbours: R(W) = H(|D| / sum |D|), times S if scaled.

    S = sum |w|. It asks for few edges between what is alike: for patches of equal weights, and for
    zeros in patches.

    Shapes: [pack, out, in] -> [pack]. Gives exact zeros by shrink only.
    Reference: in the family of the abstract of arXiv 2301.07285.

    >>> apart = torch.tensor([[[0.0, 1, 0, 1, 0, 0]]])  # four differences
    >>> together = torch.tensor([[[0.0, 1, 1, 0, 0, 0]]])  # two
    >>> difference_entropy(torch.cat([apart, together]), scaled=False)
    tensor([1.3863, 0.6931])
    """
    down, across = (_difference(weight, dim).abs() for dim in _DIMS)
    safe = nonzero(total(down) + total(across))[..., None, None]
    entropies = entropy(down / safe).sum(-1) + entropy(across / safe).sum(-1)
    return total(weight.abs()).detach() * entropies if scaled else entropies


@operator
def difference_entropy_shrinkage(weight: Tensor, *, scaled: bool = True) -> Tensor:
    """dR/d|w| = sign(w) x the sum over the differences of w of -+sign(D) (log q + H(q)) / sum |D|.

    q = |D| / sum |D|; times S if scaled. Shapes: [pack, out, in] -> the same.
    """
    # With logarithms of |D|, not of q: c - log |D| = -(log q + H), c = sum |D| log |D| / sum |D|.
    logs, sums, products = [], [], []
    for dim in _DIMS:
        sizes = _difference(weight, dim).abs_()
        sums.append(total(sizes))
        logs.append(log(sizes))
        products.append(total(sizes.mul_(logs[-1])))
        del sizes
    summed = nonzero(sums[0] + sums[1])
    mean = ((products[0] + products[1]) / summed)[..., None, None]
    factor = 1 / summed
    if scaled:
        factor = factor * total(weight.abs())
    slope = torch.zeros_like(weight)
    for dim in _DIMS:
        of_dim = logs.pop(0).sub_(mean)
        signs = _difference(weight, dim).sign_()
        count = signs.shape[dim]
        slope.narrow(dim, 1, count).addcmul_(signs, of_dim, value=-1)
        slope.narrow(dim, 0, count).addcmul_(signs, of_dim)
        del of_dim, signs
    largest = torch.finfo(slope.dtype).max
    return slope.mul_(weight.sign()).mul_(factor.clamp_max(largest)[..., None, None])


@formula
def fused_lasso(weight: Tensor, *, smooth: FloatOrTensor = 0.5) -> Tensor:
    """L1 of weights and of differences of neighbours: R(W) = sum |w| + smooth x sum |D|.

    It asks for patches of equal weights, and for few weights. At smooth 0 this is L1.

    Shapes: [pack, out, in], smooth [pack] or a number -> [pack]. Gives exact zeros by shrink only:
    the proximal operator of a matrix, unlike that of a row, has no closed form.
    Reference: Tibshirani et al. 2005, Sparsity and smoothness via the fused lasso.

    >>> fused_lasso(torch.tensor([[[0.0, 2.0, 2.0, 0.0]]]), smooth=0.5)  # 4 + 0.5 x 4
    tensor([6.])
    """
    down, across = (total(_difference(weight, dim).abs()) for dim in _DIMS)
    return total(weight.abs()) + smooth * (down + across)


@operator
def fused_lasso_shrinkage(weight: Tensor, *, smooth: FloatOrTensor = 0.5) -> Tensor:
    """dR/d|w| = 1 + smooth sign(w) x the sum of the signs of w's differences from its neighbours.

    Shapes: [pack, out, in] -> the same.
    """
    slope = torch.zeros_like(weight)
    for dim in _DIMS:
        signs = _difference(weight, dim).sign_()
        count = signs.shape[dim]
        slope.narrow(dim, 1, count).add_(signs)
        slope.narrow(dim, 0, count).sub_(signs)
    return slope.mul_(weight.sign()).mul_(per_network(smooth, weight)).add_(1)


def _difference(weight: Tensor, dim: int) -> Tensor:
    """Return the differences down, [pack, out - 1, in], or across, [pack, out, in - 1]."""
    count = weight.shape[dim] - 1
    return weight.narrow(dim, 1, count) - weight.narrow(dim, 0, count)
