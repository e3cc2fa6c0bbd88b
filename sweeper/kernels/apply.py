"""Application of slopes to weights and gradients, in one pass over memory on a CPU.

Compiled by numba: in eager PyTorch a shrinking step with a slope at hand took 0.5 ms for
266,200 weights on one thread, here 0.08; a step of training takes 1.7. (torch.compile took 11 s
before the first step, and needs a C++ compiler.) On other devices the same in PyTorch.

NaN and infinity pass through, so that a network that diverges is seen to.
"""

import torch
from torch import Tensor

from sweeper.kernels import slope_loops
from sweeper.kernels.fast_math import shrunk
from sweeper.kernels.jit import Array, as_pack_array, jit, supports_jit
from sweeper.kernels.slope_loops import Loop, Loops
from sweeper.kernels.slopes import Affine, Logarithmic, Slope, ThresholdAndScale, spread


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
        _run("add", (gradient, weight), slope, factor)
        return
    step = weight.sign().mul_(spread(slope, weight))
    gradient.addcmul_(step, factor.view(-1, 1, 1))


def descend_(weight: Tensor, slope: Slope, factor: Tensor) -> None:
    """Take factor x sign(w) x slope from the weights in place; shapes as in `add_`."""
    if supports_jit(weight):
        _run("descend", (weight,), slope, factor)
        return
    step = weight.sign().mul_(spread(slope, weight))
    weight.addcmul_(step, factor.view(-1, 1, 1), value=-1)


def shrink_(weight: Tensor, slope: Slope, factor: Tensor) -> None:
    """Move weights by factor x max(0, slope) towards zero in place, and stop there."""
    if supports_jit(weight):
        _run("shrink", (weight,), slope, factor)
        return
    amount = (spread(slope, weight) * factor.view(-1, 1, 1)).clamp_min_(0)
    weight.sub_(torch.maximum(torch.minimum(weight, amount), -amount))


def _run(action: str, arrays: tuple[Tensor, ...], slope: Slope, factor: Tensor) -> None:
    """Run the loop of an action for the slope's kind over arrays, the last of which are weights."""
    loops, parts = _loops_and_parts(slope, arrays[-1], factor)
    # Contiguous, so that there is one compiled version only.
    loop: Loop = getattr(loops, action)
    loop(
        tuple(array.numpy() for array in arrays), tuple(part.contiguous().numpy() for part in parts)
    )


def _loops_and_parts(
    slope: Slope, weight: Tensor, factor: Tensor
) -> tuple[Loops, tuple[Tensor, ...]]:
    """Return the loops for factor x slope, and the small tensors that they read."""
    if isinstance(slope, Tensor):
        return slope_loops.FULL, (slope.expand_as(weight), factor)
    scaled = slope.times(factor)
    if isinstance(scaled, Affine):
        sides = (scaled.rows, scaled.columns, scaled.row_factors, scaled.column_factors)
        bounds = torch.stack((scaled.least, scaled.most))
        return slope_loops.AFFINE, (*(side.flatten(1) for side in sides), bounds)
    if isinstance(scaled, Logarithmic):
        rows, columns = scaled.rows.flatten(1), scaled.columns.flatten(1)
        return slope_loops.LOGARITHMIC, (rows, columns, scaled.factor, scaled.scale)
    numbers = (scaled.constant, scaled.factor, scaled.scale, scaled.exponent, scaled.near)
    return slope_loops.POWER, numbers
