"""Sums over rows and columns of a stack in one pass, for slopes that need no more than those."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sweeper.kernels import log_loops
from sweeper.kernels.jit import Array, as_pack_array, jit, supports_jit
from sweeper.kernels.slopes import Power, log_of


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


def magnitudes(weight: Tensor) -> Sums:
    """Return the sums of |w|."""
    if supports_jit(weight):
        return _summed(weight, lambda rows, columns: _magnitudes(weight.numpy(), rows, columns))
    values = weight.abs()
    return Sums(values.sum(-1, keepdim=True), values.sum(-2, keepdim=True))


def squares(weight: Tensor, *, amount: Tensor | None = None, factor: Tensor | None = None) -> Sums:
    """Return the sums of squares of factor x max(|w| - amount, 0); both [pack, 1, 1] or [1]."""
    none = weight.new_zeros(1) if amount is None else amount
    scale = weight.new_ones(1) if factor is None else factor
    if supports_jit(weight):
        pack = len(weight)
        given = as_pack_array(none, pack), as_pack_array(scale, pack)
        return _summed(
            weight, lambda rows, columns: _squares(weight.numpy(), *given, rows, columns)
        )
    values = ((weight.abs() - none.view(-1, 1, 1)).clamp_min_(0) * scale.view(-1, 1, 1)).square_()
    return Sums(values.sum(-1, keepdim=True), values.sum(-2, keepdim=True))


def largest(weight: Tensor) -> Tensor:
    """Return the largest magnitude of each network, [pack, 1, 1]."""
    if supports_jit(weight):
        columns = weight.new_zeros(len(weight), weight.shape[-1])
        _largest(weight.numpy(), columns.numpy())
        return columns.amax(-1)[:, None, None]
    return weight.abs().amax((-2, -1), keepdim=True)


def with_logs(weight: Tensor) -> tuple[Sums, Tensor]:
    """Return the sums of |w|, and those of |w| log |w| by row, [pack, out, 1]."""
    if supports_jit(weight):
        logs = weight.new_empty(weight.shape[:2])
        sums = _summed(
            weight,
            lambda rows, columns: log_loops.sum_logs(weight.numpy(), rows, columns, logs.numpy()),
        )
        return sums, logs[:, :, None]
    products = log_of(weight, weight.new_ones(1)).mul_(weight.abs())
    return magnitudes(weight), products.sum(-1, keepdim=True)


def powers(weight: Tensor, *, scale: Tensor, exponent: Tensor, near: Tensor) -> Tensor:
    """Return the sum of q (q^exponent - near), q = scale x |w|; all [pack]."""
    if supports_jit(weight):
        sums = weight.new_empty(weight.shape[:2])
        own, power, less = (as_pack_array(part, len(weight)) for part in (scale, exponent, near))
        log_loops.sum_powers(weight.numpy(), own, power, less, sums.numpy())
        return sums.sum(-1)
    unit = weight.abs().mul_(scale.view(-1, 1, 1))
    found = Power(torch.zeros_like(scale), torch.ones_like(scale), scale, exponent, near)
    return unit.mul_(found.over(weight)).sum(-1).sum(-1)


def _summed(weight: Tensor, run: Callable[[Array, Array], None]) -> Sums:
    pack, out, inputs = weight.shape
    rows, columns = weight.new_empty(pack, out), weight.new_zeros(pack, inputs)
    run(rows.numpy(), columns.numpy())
    return Sums(rows[:, :, None], columns[:, None, :])
