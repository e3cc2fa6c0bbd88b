"""Triton kernels of optimizer steps: only `fused_steps` loads them, on a GPU.

A program takes a block of the weights of one network, whose numbers it reads once.
"""

import triton
from triton import language as tl

from sweeper.kernels.penalty_columns import (
    COLUMNS,
    DECOUPLED_CONSTANT,
    DECOUPLED_FACTOR,
    LOSS_CONSTANT,
    LOSS_FACTOR,
    PROX_CONSTANT,
    PROX_FACTOR,
    SHRINK_CONSTANT,
    SHRINK_FACTOR,
)

# Kernels see no other globals than these.
_INSIDE, _SLOPE = tl.constexpr(LOSS_CONSTANT), tl.constexpr(LOSS_FACTOR)
_BESIDE, _PULL = tl.constexpr(DECOUPLED_CONSTANT), tl.constexpr(DECOUPLED_FACTOR)
_SOFT, _RIDGE = tl.constexpr(PROX_CONSTANT), tl.constexpr(PROX_FACTOR)
_AMOUNT, _SHARE = tl.constexpr(SHRINK_CONSTANT), tl.constexpr(SHRINK_FACTOR)
_WIDTH = tl.constexpr(2 * len(COLUMNS))
RATE, KEEP, NEW, SCALE, ROOT = (tl.constexpr(column) for column in range(5))
"""Columns of what Adam knows of each network."""


@triton.jit
def _towards_zero(value, step):
    held = tl.where(value < step, value, step)
    return value - tl.where(held > -step, held, -step)


@triton.jit
def _along(value, constant, factor):
    slope = tl.where(value > 0, constant, tl.where(value < 0, -constant, 0.0))
    return slope + factor * value


@triton.jit
def _penalised(value, line, rate):
    """Apply what acts after the optimizer's step."""
    moved = value - _along(value, rate * tl.load(line + _BESIDE), rate * tl.load(line + _PULL))
    step = rate * tl.load(line + _AMOUNT) + rate * tl.load(line + _SHARE) * tl.abs(moved)
    moved = _towards_zero(moved, tl.where(step < 0, 0.0, step))
    moved = _towards_zero(moved, rate * tl.load(line + _SOFT))
    return tl.div_rn(moved, 1.0 + rate * tl.load(line + _RIDGE))


@triton.jit
def sgd(
    weight,
    buffer,
    rates,
    lines,
    outside,
    size,
    in_loss: tl.constexpr,
    cut: tl.constexpr,
    block: tl.constexpr,
):
    network = tl.program_id(1).to(tl.int64)  # a pack may have more weights than 2^31
    place = tl.program_id(0) * block + tl.arange(0, block)
    inside, at = place < size, network * size + place
    line, rate = lines + network * _WIDTH, tl.load(rates + network)
    value, moment = tl.load(weight + at, mask=inside), tl.load(buffer + at, mask=inside)
    if in_loss:
        moment += _along(value, tl.load(line + _INSIDE), tl.load(line + _SLOPE))
        tl.store(buffer + at, moment, mask=inside)
    moved = _penalised(value - rate * moment, line, rate)
    if cut:
        moved = tl.where(tl.load(outside + at, mask=inside), 0.0, moved)
    tl.store(weight + at, moved, mask=inside)


@triton.jit
def adam(
    weight,
    gradient,
    first,
    second,
    columns,
    lines,
    outside,
    size,
    beta2,
    eps,
    cut: tl.constexpr,
    block: tl.constexpr,
):
    network = tl.program_id(1).to(tl.int64)
    place = tl.program_id(0) * block + tl.arange(0, block)
    inside, at = place < size, network * size + place
    line, column = lines + network * _WIDTH, columns + network * 5
    rate = tl.load(column + RATE)
    value, mean = tl.load(weight + at, mask=inside), tl.load(first + at, mask=inside)
    change = tl.load(gradient + at, mask=inside)
    change += _along(value, tl.load(line + _INSIDE), tl.load(line + _SLOPE))
    moment = mean + tl.load(column + NEW) * (change - mean)
    spread = beta2 * tl.load(second + at, mask=inside) + (1.0 - beta2) * (change * change)
    tl.store(first + at, moment, mask=inside)
    tl.store(second + at, spread, mask=inside)
    deviation = tl.div_rn(tl.sqrt_rn(spread), tl.load(column + ROOT)) + eps
    change = tl.div_rn(tl.load(column + SCALE) * moment, deviation)
    moved = value * tl.load(column + KEEP) - change
    moved = _penalised(moved, line, rate)
    if cut:
        moved = tl.where(tl.load(outside + at, mask=inside), 0.0, moved)
    tl.store(weight + at, moved, mask=inside)
