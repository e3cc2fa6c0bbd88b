"""Group lasso: the L2 norms of all weights of an input, or of a neuron.

A group g of d weights is a column of W (`by="input"`, d = out) or a row (`by="neuron"`, d = in).
"""

import math
from typing import Literal

import torch
from torch import Tensor

from sweeper.regularizers.ops import (
    FloatOrTensor,
    formula,
    nonzero,
    operator,
    per_network,
    shrink_towards_zero,
    total,
)

By = Literal["input", "neuron"]


@formula
def group_lasso(weight: Tensor, *, by: By = "input") -> Tensor:
    """Sum of norms of groups: R(W) = sum over g of sqrt(d) |w_g|_2.

    Shapes: [pack, out, in] -> [pack]. Gives exact zeros, whole groups, by prox.
    Reference: Yuan and Lin 2006, Model selection and estimation in regression with grouped
    variables.

    >>> group_lasso(torch.tensor([[[3.0, 0.0], [4.0, 0.0]]]), by="input")  # sqrt(2) x 5
    tensor([7.0711])
    """
    _, norms, largest = _unit_groups(weight, by)
    return root_of_size(weight, by) * total(norms * largest)


@operator
def group_lasso_shrinkage(weight: Tensor, *, by: By = "input") -> Tensor:
    """dR/d|w| = sqrt(d) |w| / |w_g|_2, 0 in a group of zeros.

    Shapes: [pack, out, in] -> [pack, out, in].
    """
    unit, norms, _ = _unit_groups(weight, by)
    return unit.mul_(root_of_size(weight, by) / norms)


@operator
def group_lasso_prox(
    weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor, by: By = "input"
) -> Tensor:
    """w_g max(0, 1 - t sqrt(d) / |w_g|_2), t = step x strength.

    Shapes: weight [pack, out, in], step and strength [pack] or numbers. Gives exact zeros, whole
    groups at a time.
    Reference: Parikh and Boyd 2014, Proximal algorithms, section 6.5.4.

    >>> weight = torch.tensor([[[3.0, 0.5], [4.0, 0.5]]])
    >>> group_lasso_prox(weight, step=1.0, strength=2.5 / 2**0.5, by="input")
    tensor([[[1.5000, 0.0000],
             [2.0000, 0.0000]]])
    """
    return weight * _kept(weight, per_network(step * strength, weight), by)


@formula
def sparse_group_lasso(
    weight: Tensor, *, by: By = "input", l1_ratio: FloatOrTensor = 0.5
) -> Tensor:
    """L1 and group lasso: R(W) = l1_ratio sum |w| + (1 - l1_ratio) sum over g of sqrt(d) |w_g|_2.

    Shapes: [pack, out, in], l1_ratio [pack] or a number -> [pack]. Gives exact zeros by prox or
    shrink, none by its gradient.
    Reference: Simon et al. 2013, A sparse-group lasso.

    >>> sparse_group_lasso(torch.tensor([[[3.0], [4.0]]]), by="neuron", l1_ratio=0.25)
    tensor([7.])
    """
    return l1_ratio * total(weight.abs()) + (1 - l1_ratio) * group_lasso(weight, by=by)


@operator
def sparse_group_lasso_shrinkage(
    weight: Tensor, *, by: By = "input", l1_ratio: FloatOrTensor = 0.5
) -> Tensor:
    """dR/d|w| = l1_ratio + (1 - l1_ratio) sqrt(d) |w| / |w_g|_2.

    Shapes: [pack, out, in] -> [pack, out, in].
    """
    l1_ratio = per_network(l1_ratio, weight)
    return group_lasso_shrinkage(weight, by=by).mul_(1 - l1_ratio).add_(l1_ratio)


@operator
def sparse_group_lasso_prox(
    weight: Tensor,
    *,
    step: FloatOrTensor,
    strength: FloatOrTensor,
    by: By = "input",
    l1_ratio: FloatOrTensor = 0.5,
) -> Tensor:
    """Soft threshold by l1_ratio t, then the prox of group lasso for (1 - l1_ratio) t.

    t = step x strength. Shapes: weight [pack, out, in], the others [pack] or numbers. Gives exact
    zeros.
    Reference: Simon et al. 2013, A sparse-group lasso.

    >>> weight = torch.tensor([[[5.0, 0.5]]])
    >>> sparse_group_lasso_prox(weight, step=1.0, strength=2.0, by="neuron", l1_ratio=1.0)
    tensor([[[3., 0.]]])
    """
    t, l1_ratio = per_network(step * strength, weight), per_network(l1_ratio, weight)
    soft = shrink_towards_zero(weight, t * l1_ratio)
    return soft.mul_(_kept(soft, t * (1 - l1_ratio), by))


def _dim(by: By) -> int:
    return {"input": -2, "neuron": -1}[by]


def root_of_size(weight: Tensor, by: By) -> float:
    return math.sqrt(weight.shape[_dim(by)])


def _unit_groups(weight: Tensor, by: By) -> tuple[Tensor, Tensor, Tensor]:
    """Return |W| over the largest of its group, the norms of that, and those largest.

    So norms are exact for groups of 1e-20 or 1e20, whose squares float32 does not have. A group
    of zeros has norm 1 and largest 0. The largest are held constant, which changes no gradient.
    """
    magnitudes = weight.abs()
    largest = magnitudes.detach().amax(_dim(by), keepdim=True)
    unit = magnitudes.div_(nonzero(largest))
    squares = unit.square().sum(_dim(by), keepdim=True)
    return unit, torch.sqrt(nonzero(squares)), largest


def _kept(weight: Tensor, t: Tensor, by: By) -> Tensor:
    """Return the share of each group that remains, max(0, 1 - t sqrt(d) / |w_g|_2).

    A norm that float32 takes for 0 or infinite makes it 0 or 1, which is right.
    """
    norms = weight.square().sum(_dim(by), keepdim=True).sqrt_()
    # t = 0 leaves a group of zeros alone.
    return (1 - t * root_of_size(weight, by) / norms.clamp_min_(1e-30)).clamp_min_(0)
