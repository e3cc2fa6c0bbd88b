"""Loops for slopes that need a logarithm or a power of each weight, and for their sums."""

import numpy as np

from sweeper.kernels.fast_math import exp_less, log_of, shrunk, signed
from sweeper.kernels.jit import Array, jit


@jit
def sum_logs(weight: Array, rows: Array, columns: Array, logs: Array) -> None:
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
def sum_powers(weight: Array, scale: Array, exponent: Array, near: Array, sums: Array) -> None:
    """Sum q (q^exponent - near) by row, q = scale x |w|."""
    for k in range(weight.shape[0]):
        own, power, less = scale[k], exponent[k], near[k]
        for i in range(weight.shape[1]):
            summed = np.float32(0)
            for j in range(weight.shape[2]):
                value = abs(weight[k, i, j]) * own
                summed += value * exp_less(power * log_of(value), less)
            sums[k, i] = summed


@jit
def add_log(
    gradient: Array, weight: Array, rows: Array, columns: Array, factor: Array, scale: Array
) -> None:
    for k in range(weight.shape[0]):
        own, size = factor[k], scale[k]
        for i in range(weight.shape[1]):
            row = rows[k, i]
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                step = row + columns[k, j] + own * log_of(abs(value) * size)
                gradient[k, i, j] += signed(step, value)


@jit
def descend_log(weight: Array, rows: Array, columns: Array, factor: Array, scale: Array) -> None:
    for k in range(weight.shape[0]):
        own, size = factor[k], scale[k]
        for i in range(weight.shape[1]):
            row = rows[k, i]
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                step = row + columns[k, j] + own * log_of(abs(value) * size)
                weight[k, i, j] = value - signed(step, value)


@jit
def shrink_log(weight: Array, rows: Array, columns: Array, factor: Array, scale: Array) -> None:
    for k in range(weight.shape[0]):
        own, size = factor[k], scale[k]
        for i in range(weight.shape[1]):
            row = rows[k, i]
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                step = row + columns[k, j] + own * log_of(abs(value) * size)
                weight[k, i, j] = shrunk(value, step)


@jit
def add_power(
    gradient: Array,
    weight: Array,
    constant: Array,
    factor: Array,
    scale: Array,
    exponent: Array,
    near: Array,
) -> None:
    for k in range(weight.shape[0]):
        least, own, size, power, less = constant[k], factor[k], scale[k], exponent[k], near[k]
        for i in range(weight.shape[1]):
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                step = least + own * exp_less(power * log_of(abs(value) * size), less)
                gradient[k, i, j] += signed(step, value)


@jit
def descend_power(
    weight: Array, constant: Array, factor: Array, scale: Array, exponent: Array, near: Array
) -> None:
    for k in range(weight.shape[0]):
        least, own, size, power, less = constant[k], factor[k], scale[k], exponent[k], near[k]
        for i in range(weight.shape[1]):
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                step = least + own * exp_less(power * log_of(abs(value) * size), less)
                weight[k, i, j] = value - signed(step, value)


@jit
def shrink_power(
    weight: Array, constant: Array, factor: Array, scale: Array, exponent: Array, near: Array
) -> None:
    for k in range(weight.shape[0]):
        least, own, size, power, less = constant[k], factor[k], scale[k], exponent[k], near[k]
        for i in range(weight.shape[1]):
            for j in range(weight.shape[2]):
                value = weight[k, i, j]
                step = least + own * exp_less(power * log_of(abs(value) * size), less)
                weight[k, i, j] = shrunk(value, step)
