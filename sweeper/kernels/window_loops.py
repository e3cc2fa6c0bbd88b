"""Window loops for the entropy of sliding windows: sums, their logarithms, and the way back.

Sums of `height` rows first, then of `width` columns of one row, which stay in the first cache.
"""

import numpy as np
import torch
from torch import Tensor

from sweeper.kernels.fast_math import log_of
from sweeper.kernels.jit import Array, jit


@jit
def _sum_windows(weight: Array, height: int, width: int, sums: Array, rows: Array) -> None:
    """Write |W| summed over each window, and of each row of W and of windows the sum."""
    column = np.empty(weight.shape[2], np.float32)
    for k in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            summed = np.float32(0)
            for j in range(weight.shape[2]):
                summed += abs(weight[k, i, j])
            rows[k, 0, i] = summed
        for i in range(sums.shape[1]):
            for j in range(weight.shape[2]):
                column[j] = abs(weight[k, i, j])
            for down in range(1, height):
                for j in range(weight.shape[2]):
                    column[j] += abs(weight[k, i + down, j])
            for j in range(sums.shape[2]):
                sums[k, i, j] = column[j]
            for right in range(1, width):
                moved = column[right:]
                for j in range(sums.shape[2]):
                    sums[k, i, j] += moved[j]
            whole = np.float32(0)
            for j in range(sums.shape[2]):
                whole += sums[k, i, j]
            rows[k, 1, i] = whole


@jit
def _take_logs(sums: Array, scale: Array, rows: Array) -> None:
    """Turn sums into logarithms of masses m in place, and sum m log m by row."""
    for k in range(sums.shape[0]):
        inverse = scale[k]
        for i in range(sums.shape[1]):
            summed = np.float32(0)
            for j in range(sums.shape[2]):
                mass = sums[k, i, j] * inverse
                log = log_of(mass)
                summed += mass * log
                sums[k, i, j] = log
            rows[k, i] = summed


@jit
def _spread_back(
    logs: Array, height: int, width: int, mean: Array, factor: Array, slope: Array
) -> None:
    """Write factor x (mean - log m) summed over the windows that each weight lies in."""
    inside = logs.shape[2]
    # A frame of zeros on both sides, so that windows may stick out.
    framed = np.zeros(inside + 2 * (width - 1), np.float32)
    middle_part = framed[width - 1 :]
    for k in range(logs.shape[0]):
        middle, factors = mean[k], factor[k]
        for i in range(slope.shape[1]):
            first, last = max(0, i - height + 1), min(i, logs.shape[1] - 1)
            row = logs[k, first]
            for j in range(inside):
                middle_part[j] = factors * (middle - row[j])
            for above in range(first + 1, last + 1):
                row = logs[k, above]
                for j in range(inside):
                    middle_part[j] += factors * (middle - row[j])
            for j in range(slope.shape[2]):
                slope[k, i, j] = framed[j]
            for right in range(1, width):
                moved = framed[right:]
                for j in range(slope.shape[2]):
                    slope[k, i, j] += moved[j]


def local_entropy_slope(weight: Tensor, *, window: int = 3, scaled: bool = True) -> Tensor:
    """Return -(log m + H(m)) summed over the windows of each weight, over all windows' sum.

    Times S if scaled. weight [pack, out, in] in float32 on a CPU -> the same. The fast form of
    `sweeper.regularizers.window_entropy`.
    """
    pack, out, inputs = weight.shape
    height, width = min(window, out), min(window, inputs)
    down, right = out - height + 1, inputs - width + 1
    sums = weight.new_empty(pack, down, right)
    rows = weight.new_zeros(pack, 2, out)
    _sum_windows(weight.numpy(), height, width, sums.numpy(), rows.numpy())
    summed, whole = rows.sum(-1).unbind(-1)
    over = 1 / torch.where(whole > 0, whole, 1.0)
    products = weight.new_empty(pack, down)
    _take_logs(sums.numpy(), over.numpy(), products.numpy())
    factor = summed * over if scaled else over
    slope = weight.new_empty(weight.shape)
    mean = products.sum(-1)
    _spread_back(sums.numpy(), height, width, mean.numpy(), factor.numpy(), slope.numpy())
    return slope
