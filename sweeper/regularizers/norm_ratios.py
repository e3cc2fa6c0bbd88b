"""Ratios of L1 and L2, which do not change when W is scaled.

Both are as published, not multiplied by S = sum |w| as the entropies can be: so their slope falls
as the weights grow, and a strength suits one scale of weights. Alone they shrink nothing, <W, grad
R> = 0, but move mass from small weights to large ones. All magnitudes are divided by the largest
first: squares of 1e-20 and 1e20 do not exist in float32.
"""

import torch
from torch import Tensor

from sweeper.regularizers.ops import formula, nonzero, operator, total


@formula
def hoyer(weight: Tensor) -> Tensor:
    """Ratio of norms: R(W) = n1 / n2, n1 = sum |w|, n2 = sqrt(sum w^2). Between 1 and sqrt n.

    Shapes: [pack, out, in] -> [pack]; 0 for an all-zero matrix. Gives exact zeros by shrink only.
    Reference: Hoyer 2004, Non-negative matrix factorization with sparseness constraints.

    >>> hoyer(torch.tensor([[[3.0, -4.0]]]))
    tensor([1.4000])
    """
    magnitudes, _ = _over_largest(weight)
    return total(magnitudes) / nonzero(_norm(magnitudes))


@operator
def hoyer_shrinkage(weight: Tensor) -> Tensor:
    """dR/d|w| = 1 / n2 - n1 |w| / n2^3. Shapes: [pack, out, in] -> [pack, out, in]."""
    magnitudes, largest = _over_largest(weight)
    n1, n2 = _norms(magnitudes)
    at_zero = 1 / (n2 * largest)
    return magnitudes.mul_(-at_zero * n1 / n2.square()).add_(at_zero)


@formula
def hoyer_square(weight: Tensor) -> Tensor:
    """Ratio of squared norms: R(W) = n1^2 / n2^2. Between 1 and n: it counts weights, smoothly.

    Shapes: [pack, out, in] -> [pack]; 0 for an all-zero matrix. Gives exact zeros by shrink only.
    Reference: Yang et al. 2020, DeepHoyer: learning sparser neural network with differentiable
    scale-invariant sparsity measures.

    >>> hoyer_square(torch.tensor([[[3.0, -4.0, 0.0]]]))
    tensor([1.9600])
    """
    magnitudes, _ = _over_largest(weight)
    return (total(magnitudes) / nonzero(_norm(magnitudes))).square()


@operator
def hoyer_square_shrinkage(weight: Tensor) -> Tensor:
    """dR/d|w| = 2 (n1 / n2^4) (n2^2 - |w| n1). Shapes: [pack, out, in] -> [pack, out, in]."""
    magnitudes, largest = _over_largest(weight)
    n1, n2 = _norms(magnitudes)
    at_zero = 2 * n1 / (n2.square() * largest)
    return magnitudes.mul_(-at_zero * n1 / n2.square()).add_(at_zero)


def _over_largest(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return |W| over its largest element, [pack, out, in], and that element, [pack, 1, 1].

    It is held constant: ratios do not depend on it, so that gradients stay what they are.
    """
    magnitudes = weight.abs()
    largest = nonzero(magnitudes.detach().amax((-2, -1), keepdim=True))
    return magnitudes.div_(largest), largest


def _norm(magnitudes: Tensor) -> Tensor:
    """Return n2 [pack], rows first as in `total`."""
    rows: Tensor = torch.linalg.vector_norm(magnitudes, 2, -1)
    norm: Tensor = torch.linalg.vector_norm(rows, 2, -1)
    return norm


def _norms(magnitudes: Tensor) -> tuple[Tensor, Tensor]:
    """Return n1 and n2, each [pack, 1, 1]."""
    return total(magnitudes)[..., None, None], nonzero(_norm(magnitudes))[..., None, None]
