"""Loops over all weights of a stack that add, descend or shrink by a slope, made by one factory.

A slope is two functions: `row` reads what is the same in one row of a network, `at` gives the slope
at a weight. An action is one: what is done with it. All three are compiled into the loop itself, so
that it is the loop one would write by hand: the same bits, the same time. Without `row` what it
reads is read again for each weight, as the weights that are written might lie there: 0.45 ms for
940,800 weights and an affine slope, instead of 0.15.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sweeper.kernels.fast_math import exp_less, log_of, shrunk, signed
from sweeper.kernels.jit import Array, jit, jit_template

Arrays = tuple[Array, ...]
"""Arrays [pack, out, in]: the first is changed, the last are the weights."""
Parts = tuple[Array, ...]
"""The small arrays of a slope, in the order that its functions read them."""
Numbers = tuple[np.float32, ...]
Row = Callable[[Parts, int, int], Numbers]
"""(parts, network, row) -> what `At` needs of them."""
At = Callable[[Parts, Numbers, int, int, int, np.float32], np.float32]
"""(parts, numbers of the row, network, row, column, weight) -> the slope at the weight."""
Action = Callable[[Arrays, int, int, int, np.float32, np.float32], None]
"""(arrays, network, row, column, weight, step): change one element."""
Loop = Callable[[Arrays, Parts], None]


class Loops(NamedTuple):
    """The loops of one kind of slope."""

    add: Loop
    descend: Loop
    shrink: Loop


@jit_template
def _add(arrays: Arrays, k: int, i: int, j: int, value: np.float32, step: np.float32) -> None:
    arrays[0][k, i, j] += signed(step, value)


@jit_template
def _descend(arrays: Arrays, k: int, i: int, j: int, value: np.float32, step: np.float32) -> None:
    arrays[0][k, i, j] = value - signed(step, value)


@jit_template
def _shrink(arrays: Arrays, k: int, i: int, j: int, value: np.float32, step: np.float32) -> None:
    arrays[0][k, i, j] = shrunk(value, step)


def _loops(kind: str, row: Row, at: At) -> Loops:
    """Return the loops of a kind of slope."""
    actions = {"add": _add, "descend": _descend, "shrink": _shrink}
    return Loops(*(_loop(f"{name}_{kind}", row, at, act) for name, act in actions.items()))


def _loop(name: str, row: Row, at: At, act: Action) -> Loop:
    """Compile one loop. Its name is that of its file in the cache."""

    def loop(arrays: Arrays, parts: Parts) -> None:
        weight = arrays[-1]
        for k in range(weight.shape[0]):
            for i in range(weight.shape[1]):
                numbers = row(parts, k, i)
                for j in range(weight.shape[2]):
                    value = weight[k, i, j]
                    act(arrays, k, i, j, value, at(parts, numbers, k, i, j, value))

    loop.__name__ = loop.__qualname__ = name
    # Counting references to arrays in the innermost loop took 10 to 60 ms instead of 0.15.
    return jit(loop, allocates=False)


@jit_template
def _full_row(parts: Parts, k: int, i: int) -> Numbers:
    return (parts[1][k],)


@jit_template
def _full_at(parts: Parts, row: Numbers, k: int, i: int, j: int, value: np.float32) -> np.float32:
    (factor,) = row
    slope: np.float32 = parts[0][k, i, j]
    return factor * slope


FULL = _loops("full", _full_row, _full_at)
"""Parts: the slope at each weight [pack, out, in], factor [pack]."""


@jit_template
def _affine_row(parts: Parts, k: int, i: int) -> Numbers:
    rows, _, row_factors, _, bounds = parts
    return rows[k, i], row_factors[k, i], bounds[0, k], bounds[1, k]


@jit_template
def _affine_at(parts: Parts, row: Numbers, k: int, i: int, j: int, value: np.float32) -> np.float32:
    _, columns, _, column_factors, _ = parts
    constant, factor, least, most = row
    step: np.float32 = constant + columns[k, j] + factor * column_factors[k, j] * abs(value)
    return least if step < least else (most if step > most else step)


AFFINE = _loops("affine", _affine_row, _affine_at)
"""Parts: rows, columns, row factors, column factors [pack, n], bounds [2, pack]."""


@jit_template
def _log_row(parts: Parts, k: int, i: int) -> Numbers:
    rows, _, factor, scale = parts
    return rows[k, i], factor[k], scale[k]


@jit_template
def _log_at(parts: Parts, row: Numbers, k: int, i: int, j: int, value: np.float32) -> np.float32:
    constant, factor, scale = row
    slope: np.float32 = constant + parts[1][k, j] + factor * log_of(abs(value) * scale)
    return slope


LOGARITHMIC = _loops("log", _log_row, _log_at)
"""Parts: rows, columns [pack, n], factor, scale [pack]."""


@jit_template
def _power_row(parts: Parts, k: int, i: int) -> Numbers:
    constant, factor, scale, exponent, near = parts
    return constant[k], factor[k], scale[k], exponent[k], near[k]


@jit_template
def _power_at(parts: Parts, row: Numbers, k: int, i: int, j: int, value: np.float32) -> np.float32:
    constant, factor, scale, exponent, near = row
    return constant + factor * exp_less(exponent * log_of(abs(value) * scale), near)


POWER = _loops("power", _power_row, _power_at)
"""Parts: constant, factor, scale, exponent, near [pack]."""
