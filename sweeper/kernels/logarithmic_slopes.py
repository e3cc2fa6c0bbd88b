"""Logarithmic slopes and powers of |w| with small tensors: fast forms of entropies, for one pass.

Each is the shrinkage of a formula, which is held to finite differences. Shapes: weight
[pack, out, in] in float32 on a CPU, hyperparameters [pack] or numbers.
"""

from typing import Literal

import torch
from torch import Tensor

from sweeper.kernels import reductions
from sweeper.kernels.slopes import Logarithmic, Power, per_pack
from sweeper.regularizers.entropies import log_moment, step_from_one
from sweeper.regularizers.marginals import log
from sweeper.regularizers.ops import FloatOrTensor, nonzero, per_network


def l1_joint_entropy_slope(weight: Tensor, *, mix: FloatOrTensor = 0.3) -> Logarithmic:
    """1 - mix (log P + H(P))."""
    slope = entropy_slope(weight, -per_pack(per_network(mix, weight), weight))
    return Logarithmic(slope.rows + 1, slope.columns, slope.factor, slope.scale)


def conditional_entropy_slope(
    weight: Tensor, *, given: Literal["rows", "columns"] = "rows", scaled: bool = True
) -> Logarithmic:
    """-(log(P / r) + H(P) - H(r)), or with c; over S if not scaled."""
    return entropy_slope(
        weight, -1.0, rows=given == "rows", columns=given == "columns", scaled=scaled
    )


def entropy_slope(
    weight: Tensor,
    factor: Tensor | float = -1.0,
    *,
    rows: bool = False,
    columns: bool = False,
    scaled: bool = True,
) -> Logarithmic:
    """Return factor x (L - sum P L), L = log P, log(P / r), log(P / c) or log(P / (r c)).

    With factor -1 it is that of joint_entropy, -(log P + H(P)); with 1, `rows` and `columns` that
    of mutual_information, log(P / (r c)) - R / S. Over S if not scaled.
    """
    sums, with_logs = reductions.with_logs(weight)
    summed = sums.rows.sum(-2, keepdim=True)
    safe = nonzero(summed)
    # sum P log P from sum |w| log |w|: the logarithm of S is in each.
    mean = with_logs.sum(-2, keepdim=True) / safe - log(safe)
    by_row = sums.rows.new_zeros(1)
    by_column = by_row
    if rows:
        masses = sums.rows / safe
        by_row = log(masses)
        mean = mean - (masses * by_row).sum(-2, keepdim=True)
    if columns:
        masses = sums.columns / safe
        by_column = log(masses)
        mean = mean - (masses * by_column).sum(-1, keepdim=True)
    factors = per_pack(factor, weight)
    if not scaled:
        factors = factors / safe.flatten()
    times = factors.view(-1, 1, 1)
    return Logarithmic.of(
        weight,
        rows=-times * (by_row + mean),
        columns=-times * by_column,
        factor=factors,
        scale=1 / safe,
    )


def renyi_entropy_slope(
    weight: Tensor, *, order: FloatOrTensor = 2.0, scaled: bool = True
) -> Power:
    """(order / (1 - order)) (P^(order - 1) / sum P^order - 1), over S if not scaled."""
    largest = nonzero(reductions.largest(weight))
    step, near = step_from_one(weight, order)
    exponent, held = per_pack(step, weight), per_pack(near, weight)
    scale = (1 / largest).flatten()
    summed = (reductions.magnitudes(weight).rows / largest).sum(-2).flatten()
    powers = reductions.powers(weight, scale=scale, exponent=exponent, near=held)
    moments = log_moment(powers / nonzero(summed), powers / nonzero(summed), exponent)
    factor = -(1 + exponent) / exponent
    if not scaled:
        factor = factor / nonzero(summed * largest.flatten())
    rest = torch.where(held > 0, (-moments).expm1(), -1.0)
    return Power(factor * rest, factor * (-moments).exp(), scale, exponent, held)
