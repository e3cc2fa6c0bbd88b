"""Proximal operators of tiles and of competing groups in place: sums of a group, then its weights.

Each does the same as the formula's `_prox`. Sums are in float64 and in the order of the weights, so
that no group's bits depend on another's. NaN and infinity pass.
Shapes: weight [pack, out, in] in float32 on a CPU is overwritten, the others [pack] or numbers.
"""

import math

import numpy as np
from torch import Tensor

from sweeper.kernels import reductions
from sweeper.kernels.fast_math import shrunk
from sweeper.kernels.jit import Array, as_pack_array, jit
from sweeper.kernels.slopes import Affine
from sweeper.regularizers.groups import By
from sweeper.regularizers.ops import FloatOrTensor, per_network

_MOST_ROUNDS = 100
"""Of a search that took 4 to 9 for rows of LeNet-300-100."""


@jit
def _tiles(weight: Array, t: Array, size: int) -> None:
    zero, one = np.float32(0), np.float32(1)
    rows, columns = weight.shape[1], weight.shape[2]
    across = (columns + size - 1) // size
    squares = np.empty(across, np.float64)
    share = np.empty(across, np.float32)
    for k in range(weight.shape[0]):
        for top in range(0, rows, size):
            bottom = min(top + size, rows)
            squares[:] = 0
            for i in range(top, bottom):
                for j in range(columns):
                    value = np.float64(weight[k, i, j])
                    squares[j // size] += value * value
            for tile in range(across):
                width = min(size, columns - tile * size)
                norm = math.sqrt(squares[tile])
                norm = 1e-30 if norm < 1e-30 else norm
                left = one - np.float32(t[k] * math.sqrt((bottom - top) * width) / norm)
                share[tile] = zero if left < zero else left
            for i in range(top, bottom):
                for j in range(columns):
                    weight[k, i, j] *= share[j // size]


def tile_group_prox_(
    weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor, tile: int = 4
) -> None:
    """w_g max(0, 1 - t sqrt(d) / |w_g|_2) in each tile g of d weights, t = step x strength."""
    t = as_pack_array(per_network(step * strength, weight), len(weight))
    _tiles(weight.numpy(), t, tile)


@jit
def _rows_compete(weight: Array, twice: Array) -> None:
    for k in range(weight.shape[0]):
        factor = np.float64(twice[k])
        for i in range(weight.shape[1]):
            # T = 2t sum max(|w| - T, 0) by Newton's method from below, which ends at the very T:
            # the sum over those above T is right once their number stays. No order is needed.
            amount = np.float32(0)
            for _ in range(_MOST_ROUNDS):
                summed, count = np.float64(0), 0
                for j in range(weight.shape[2]):
                    size = abs(weight[k, i, j])
                    # Not `size > amount`: what is not a number is to be in the sum.
                    if not size <= amount:
                        summed += size
                        count += 1
                more = np.float32(factor * summed / (1 + factor * count))
                if more <= amount:
                    break
                amount = more
                if not amount < np.inf:
                    break
            for j in range(weight.shape[2]):
                weight[k, i, j] = shrunk(weight[k, i, j], amount)


@jit
def _columns_compete(weight: Array, twice: Array) -> None:
    columns = weight.shape[2]
    amount = np.empty(columns, np.float32)
    summed = np.empty(columns, np.float64)
    count = np.empty(columns, np.float64)
    for k in range(weight.shape[0]):
        factor = np.float64(twice[k])
        amount[:] = 0
        for _ in range(_MOST_ROUNDS):
            summed[:] = 0
            count[:] = 0
            for i in range(weight.shape[1]):
                for j in range(columns):
                    size = abs(weight[k, i, j])
                    inside = not size <= amount[j]
                    summed[j] += size if inside else 0.0
                    count[j] += 1.0 if inside else 0.0
            rose = False
            for j in range(columns):
                more = np.float32(factor * summed[j] / (1 + factor * count[j]))
                if not more <= amount[j]:
                    amount[j] = more
                    if more < np.inf:
                        rose = True
            if not rose:
                break
        for i in range(weight.shape[1]):
            for j in range(columns):
                weight[k, i, j] = shrunk(weight[k, i, j], amount[j])


def exclusive_prox_(
    weight: Tensor, *, step: FloatOrTensor, strength: FloatOrTensor, by: By = "neuron"
) -> None:
    """Soft threshold of each group by T = 2t x the sum of what it leaves, t = step x strength."""
    twice = as_pack_array(per_network(step * strength, weight) * 2, len(weight))
    compete = _columns_compete if by == "input" else _rows_compete
    compete(weight.numpy(), twice)


def exclusive_slope(weight: Tensor, *, by: By = "neuron") -> Affine:
    """2 x the sum of |w| in its group."""
    sums = reductions.magnitudes(weight)
    if by == "input":
        return Affine.of(weight, columns=2 * sums.columns)
    return Affine.of(weight, rows=2 * sums.rows)
