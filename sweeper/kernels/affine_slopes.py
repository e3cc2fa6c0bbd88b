"""Affine slopes in |w|, as small tensors: fast forms of clipped, grouped and scale-free penalties.

Each is the shrinkage of a formula, written without a matrix, so that one pass over the weights
applies it to a whole stack. Shapes: weight [pack, out, in] in float32 on a CPU, hyperparameters
[pack] or numbers.
"""

from torch import Tensor

from sweeper.kernels import reductions
from sweeper.kernels.slopes import Affine
from sweeper.regularizers.groups import By, root_of_size
from sweeper.regularizers.marginals import entropy, log
from sweeper.regularizers.ops import FloatOrTensor, nonzero, per_network


def group_slope(weight: Tensor, *, by: By = "input", l1_ratio: FloatOrTensor = 0.5) -> Affine:
    """l1_ratio + (1 - l1_ratio) sqrt(d) |w| / |w_g|_2."""
    share = per_network(l1_ratio, weight)
    # Squares of groups below 1e-19 are 0: such a group is taken for one of zeros.
    norms = nonzero(group_norms(reductions.squares(weight), by))
    factors = (1 - share) * root_of_size(weight, by) / norms
    if by == "input":
        return Affine.of(weight, rows=share, column_factors=factors)
    return Affine.of(weight, rows=share, row_factors=factors, column_factors=1.0)


def group_norms(squares: reductions.Sums, by: By) -> Tensor:
    """Return the norms of groups from their sums of squares, [pack, 1, in] or [pack, out, 1]."""
    return (squares.columns if by == "input" else squares.rows).sqrt()


def mcp_slope(weight: Tensor, *, strength: FloatOrTensor, gamma: FloatOrTensor = 3.0) -> Affine:
    """max(lambda - |w| / gamma, 0)."""
    strength, gamma = per_network(strength, weight), per_network(gamma, weight)
    return Affine.of(weight, rows=strength, column_factors=-1 / gamma, least=0.0)


def scad_slope(weight: Tensor, *, strength: FloatOrTensor, a: FloatOrTensor = 3.7) -> Affine:
    """min(lambda, max(a lambda - |w|, 0) / (a - 1))."""
    strength, a = per_network(strength, weight), per_network(a, weight)
    rows, factors = a * strength / (a - 1), -1 / (a - 1)
    return Affine.of(weight, rows=rows, column_factors=factors, least=0.0, most=strength)


def hoyer_slope(weight: Tensor) -> Affine:
    """1 / n2 - n1 |w| / n2^3."""
    n1, n2, largest = _both_norms(weight)
    at_zero = 1 / (n2 * largest)
    return Affine.of(weight, rows=at_zero, column_factors=-at_zero * n1 / (n2.square() * largest))


def hoyer_square_slope(weight: Tensor) -> Affine:
    """2 (n1 / n2^4) (n2^2 - |w| n1)."""
    n1, n2, largest = _both_norms(weight)
    at_zero = 2 * n1 / (n2.square() * largest)
    return Affine.of(weight, rows=at_zero, column_factors=-at_zero * n1 / (n2.square() * largest))


def _both_norms(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return n1 and n2 of W over its largest magnitude, and that, [pack, 1, 1] each."""
    largest = nonzero(reductions.largest(weight))
    n1 = (reductions.magnitudes(weight).rows / largest).sum(-2, keepdim=True)
    squares = reductions.squares(weight, factor=1 / largest).rows.sum(-2, keepdim=True)
    return n1, nonzero(squares).sqrt(), largest


def marginal_entropy_slope(weight: Tensor, *, scaled: bool = True) -> Affine:
    """-(log r + H(r) + log c + H(c)), over S if not scaled."""
    rows, columns, scale = _excess(weight)
    slope = Affine.of(weight, rows=rows, columns=columns)
    return slope if scaled else slope.times(1 / nonzero(scale))


def l1_marginal_entropy_slope(weight: Tensor, *, mix: FloatOrTensor = 0.5) -> Affine:
    """1 - mix (log r + H(r) + log c + H(c))."""
    rows, columns, _ = _excess(weight)
    share = per_network(mix, weight)
    return Affine.of(weight, rows=1 + share * rows, columns=share * columns)


def _excess(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return -(log r + H(r)) [pack, out, 1], -(log c + H(c)) [pack, 1, in] and S [pack]."""
    sums = reductions.magnitudes(weight)
    scale = sums.rows.sum(-2, keepdim=True)
    rows, columns = (part / nonzero(scale) for part in sums)
    return (
        -(log(rows) + entropy(rows.flatten(1))[:, None, None]),
        -(log(columns) + entropy(columns.flatten(1))[:, None, None]),
        scale.flatten(),
    )
