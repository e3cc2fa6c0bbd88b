"""Reductions over rows and columns of a stack in one pass, for slopes that need no more.

Shapes: weight [pack, out, in] in float32 on a CPU.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from torch import Tensor

from sweeper.kernels.fast_math import exp_less, log_of
from sweeper.kernels.jit import Array, as_pack_array, jit


class Sums(NamedTuple):
    """Sums by row, [pack, out, 1], and by column, [pack, 1, in]."""

    rows: Tensor
    columns: Tensor


@jit
def _magnitudes(weight: Array, rows: Array, columns: Array) -> None:
    for k in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            summed = np.float32(0)
            for j in range(weight.shape[2]):
                value = abs(weight[k, i, j])
                summed += value
                columns[k, j] += value
            rows[k, i] = summed


@jit
def _squares(weight: Array, amount: Array, factor: Array, rows: Array, columns: Array) -> None:
    zero = np.float32(0)
    for k in range(weight.shape[0]):
        least, scale = amount[k], factor[k]
        for i in range(weight.shape[1]):
            summed = np.float32(0)
            for j in range(weight.shape[2]):
                value = abs(weight[k, i, j]) - least
                value = zero if value < zero else value * scale
                summed += value * value
                columns[k, j] += value * value
            rows[k, i] = summed


@jit
def _largest(weight: Array, columns: Array) -> None:
    # By column: one running maximum is not done a vector at a time, and took 0.5 ms, not 0.05.
    for k in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            for j in range(weight.shape[2]):
                value, most = abs(weight[k, i, j]), columns[k, j]
                columns[k, j] = value if value > most else most


@jit
def _logs(weight: Array, rows: Array, columns: Array, logs: Array) -> None:
    """Sum |w| by row and by column, and |w| log |w| by row."""
    for k in range(weight.shape[0]):
        for i in range(weight.shape[1]):
            summed, with_log = np.float32(0), np.float32(0)
            for j in range(weight.shape[2]):
                value = abs(weight[k, i, j])
                summed += value
                with_log += value * log_of(value)
                columns[k, j] += value
            rows[k, i] = summed
            logs[k, i] = with_log


@jit
def _powers(weight: Array, scale: Array, exponent: Array, near: Array, sums: Array) -> None:
    """Sum q (q^exponent - near) by row, q = scale x |w|."""
    for k in range(weight.shape[0]):
        unit, power, less = scale[k], exponent[k], near[k]
        for i in range(weight.shape[1]):
            summed = np.float32(0)
            for j in range(weight.shape[2]):
                value = abs(weight[k, i, j]) * unit
                summed += value * exp_less(power * log_of(value), less)
            sums[k, i] = summed


def magnitudes(weight: Tensor) -> Sums:
    """Return the sums of |w|."""
    return _summed(weight, lambda rows, columns: _magnitudes(weight.numpy(), rows, columns))


def squares(weight: Tensor, *, amount: Tensor | None = None, factor: Tensor | None = None) -> Sums:
    """Return the sums of squares of factor x max(|w| - amount, 0); both [pack, 1, 1] or [1]."""
    none = weight.new_zeros(1) if amount is None else amount
    scale = weight.new_ones(1) if factor is None else factor
    numbers = as_pack_array(none, len(weight)), as_pack_array(scale, len(weight))
    return _summed(weight, lambda rows, columns: _squares(weight.numpy(), *numbers, rows, columns))


def largest(weight: Tensor) -> Tensor:
    """Return the largest magnitude of each network, [pack, 1, 1]."""
    columns = weight.new_zeros(len(weight), weight.shape[-1])
    _largest(weight.numpy(), columns.numpy())
    return columns.amax(-1)[:, None, None]


def with_logs(weight: Tensor) -> tuple[Sums, Tensor]:
    """Return the sums of |w|, and those of |w| log |w| by row, [pack, out, 1]."""
    logs = weight.new_empty(weight.shape[:2])
    sums = _summed(weight, lambda rows, columns: _logs(weight.numpy(), rows, columns, logs.numpy()))
    return sums, logs[:, :, None]


def powers(weight: Tensor, *, scale: Tensor, exponent: Tensor, near: Tensor) -> Tensor:
    """Return the sum of q (q^exponent - near), q = scale x |w|; all [pack]."""
    sums = weight.new_empty(weight.shape[:2])
    unit, power, less = (as_pack_array(part, len(weight)) for part in (scale, exponent, near))
    _powers(weight.numpy(), unit, power, less, sums.numpy())
    return sums.sum(-1)


def _summed(weight: Tensor, run: Callable[[Array, Array], None]) -> Sums:
    pack, out, inputs = weight.shape
    rows, columns = weight.new_empty(pack, out), weight.new_zeros(pack, inputs)
    run(rows.numpy(), columns.numpy())
    return Sums(rows[:, :, None], columns[:, None, :])
