"""Slopes of penalties applied to weights and gradients, in one pass over memory on a CPU.

Compiled by numba: in eager PyTorch a shrinking step with a slope at hand took 0.5 ms for
266,200 weights on one thread, here 0.08; a step of training takes 1.7. (torch.compile took 11 s
before the first step, and needs a C++ compiler.) On other devices the same in PyTorch.

NaN and infinity pass through, so that a network that diverges is seen to.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sweeper.kernels import log_loops
from sweeper.kernels.fast_math import shrunk, signed
from sweeper.kernels.jit import Array, as_pack_array, jit, supports_jit
from sweeper.kernels.slopes import Affine, Logarithmic, Slope, ThresholdAndScale, spread


@jit
def _add(gradient: Array, weight: Array, slope: Array, factor: Array) -> None:
    for k in range(weight.shape[0]):
        own = factor[k]
        for i in range(weight.shape[1]):
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                step = own * slope[k, i, j]
                gradient[k, i, j] += signed(step, value)


@jit
def _descend(weight: Array, slope: Array, factor: Array) -> None:
    for k in range(weight.shape[0]):
        own = factor[k]
        for i in range(weight.shape[1]):
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                step = own * slope[k, i, j]
                weight[k, i, j] = value - signed(step, value)


@jit
def _shrink(weight: Array, slope: Array, factor: Array) -> None:
    for k in range(weight.shape[0]):
        own = factor[k]
        for i in range(weight.shape[1]):
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                step = own * slope[k, i, j]
                weight[k, i, j] = shrunk(value, step)


@jit
def _add_affine(
    gradient: Array,
    weight: Array,
    rows: Array,
    columns: Array,
    row_factors: Array,
    column_factors: Array,
    bounds: Array,
) -> None:
    for k in range(weight.shape[0]):
        least, most = bounds[0, k], bounds[1, k]
        for i in range(weight.shape[1]):
            row, factor = rows[k, i], row_factors[k, i]
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                step = row + columns[k, j] + factor * column_factors[k, j] * abs(value)
                step = least if step < least else (most if step > most else step)
                gradient[k, i, j] += signed(step, value)


@jit
def _descend_affine(
    weight: Array,
    rows: Array,
    columns: Array,
    row_factors: Array,
    column_factors: Array,
    bounds: Array,
) -> None:
    for k in range(weight.shape[0]):
        least, most = bounds[0, k], bounds[1, k]
        for i in range(weight.shape[1]):
            row, factor = rows[k, i], row_factors[k, i]
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                step = row + columns[k, j] + factor * column_factors[k, j] * abs(value)
                step = least if step < least else (most if step > most else step)
                weight[k, i, j] = value - signed(step, value)


@jit
def _shrink_affine(
    weight: Array,
    rows: Array,
    columns: Array,
    row_factors: Array,
    column_factors: Array,
    bounds: Array,
) -> None:
    for k in range(weight.shape[0]):
        least, most = bounds[0, k], bounds[1, k]
        for i in range(weight.shape[1]):
            row, factor = rows[k, i], row_factors[k, i]
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                step = row + columns[k, j] + factor * column_factors[k, j] * abs(value)
                step = least if step < least else (most if step > most else step)
                weight[k, i, j] = shrunk(value, step)


@jit
def _scale(weight: Array, amount: Array, rows: Array, columns: Array) -> None:
    for k in range(weight.shape[0]):
        step = amount[k]
        for i in range(weight.shape[1]):
            row = rows[k, i]
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                moved = shrunk(value, step)
                weight[k, i, j] = moved * (row * columns[k, j])


Loop = Callable[..., None]
ADDING: tuple[Loop, ...] = (_add, _add_affine, log_loops.add_log, log_loops.add_power)
DESCENDING: tuple[Loop, ...] = (
    _descend, _descend_affine, log_loops.descend_log, log_loops.descend_power,
)  # fmt: skip
SHRINKING: tuple[Loop, ...] = (
    _shrink, _shrink_affine, log_loops.shrink_log, log_loops.shrink_power,
)  # fmt: skip
"""For a slope for each weight, and for each kind of small one."""


def scale_(weight: Tensor, scaled: ThresholdAndScale) -> None:
    """Move weights towards zero and multiply them by a factor of their row and column, in place.

    weight [pack, out, in] in float32 on a CPU.
    """
    sides = [part.flatten(1).contiguous().numpy() for part in (scaled.rows, scaled.columns)]
    _scale(weight.numpy(), as_pack_array(scaled.amount, len(weight)), *sides)


def add_(gradient: Tensor, weight: Tensor, slope: Slope, factor: Tensor) -> None:
    """Add factor x sign(w) x slope to a gradient in place: a term of the loss.

    All [pack, out, in], factor [pack]; the slope broadcasts.
    """
    if supports_jit(weight):
        _run(ADDING, (gradient, weight), slope, factor)
        return
    step = weight.sign().mul_(spread(slope, weight))
    gradient.addcmul_(step, factor.view(-1, 1, 1))


def descend_(weight: Tensor, slope: Slope, factor: Tensor) -> None:
    """Take factor x sign(w) x slope from the weights in place; shapes as in `add_`."""
    if supports_jit(weight):
        _run(DESCENDING, (weight,), slope, factor)
        return
    step = weight.sign().mul_(spread(slope, weight))
    weight.addcmul_(step, factor.view(-1, 1, 1), value=-1)


def shrink_(weight: Tensor, slope: Slope, factor: Tensor) -> None:
    """Move weights by factor x max(0, slope) towards zero in place, and stop there."""
    if supports_jit(weight):
        _run(SHRINKING, (weight,), slope, factor)
        return
    amount = (spread(slope, weight) * factor.view(-1, 1, 1)).clamp_min_(0)
    weight.sub_(torch.maximum(torch.minimum(weight, amount), -amount))


def _run(
    loops: tuple[Loop, ...], tensors: tuple[Tensor, ...], slope: Slope, factor: Tensor
) -> None:
    """Run the loop for the slope's kind over the tensors, the last of which are the weights."""
    full, affine, log, power = loops
    arrays = [tensor.numpy() for tensor in tensors]
    if isinstance(slope, Tensor):
        spread = slope.expand_as(tensors[0]).contiguous()
        full(*arrays, spread.numpy(), factor.contiguous().numpy())
        return
    own = slope.times(factor)
    # Contiguous, so that there is one compiled version only.
    if isinstance(own, Affine):
        small = (own.rows, own.columns, own.row_factors, own.column_factors)
        bounds = torch.stack((own.least, own.most))
        affine(*arrays, *(part.flatten(1).contiguous().numpy() for part in (*small, bounds)))
    elif isinstance(own, Logarithmic):
        sides = [part.flatten(1).contiguous().numpy() for part in (own.rows, own.columns)]
        log(*arrays, *sides, own.factor.contiguous().numpy(), own.scale.contiguous().numpy())
    else:
        numbers = (own.constant, own.factor, own.scale, own.exponent, own.near)
        power(*arrays, *(part.contiguous().numpy() for part in numbers))
