"""Fast float32 functions for compiled loops: logarithm, exponential, steps of one weight.

Numba calls the C library for each weight by itself, 1.5 ms for 266,200; PyTorch's log takes 0.08
but needs a pass to write its argument and one to read what it gave. These take 0.1 ms together
with the sum or the step that they are part of. Polynomials: least squares at Chebyshev nodes,
errors below 1e-7 of the result. They are compiled into the code that uses them.
"""

import numpy as np

from sweeper.kernels.jit import jit_inline

TINY = np.float32(np.finfo(np.float32).tiny)
LOG_2 = np.float32(0.6931472)
LOG_2_HIGH, LOG_2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
# The first has few digits, so that its multiples by whole numbers are exact.
LOG2_E = np.float32(1.442695)
LEAST, MOST = np.float32(-87.0), np.float32(88.0)
"""Between them exp is a normal number."""
ROUNDING = np.float32(12582912.0)
"""1.5 x 2^23: a small number added to it is rounded to a whole one, in its last bits."""
TWO_THIRDS = np.int32(0x3F2AAAAB)
"""The bits of 2/3."""
ONE = np.int32(127)
"""The exponent of 1."""
DIGITS = np.int32(23)

L0, L1, L2 = np.float32(-0.5), np.float32(0.333332714), np.float32(-0.249998387)
L3, L4, L5 = np.float32(0.200073221), np.float32(-0.166780941), np.float32(0.140542183)
L6, L7, L8 = np.float32(-0.122196175), np.float32(0.137565388), np.float32(-0.127341521)

E1, E2, E3 = np.float32(0.5), np.float32(0.166664987), np.float32(0.0416663401)
E4, E5 = np.float32(0.00836987235), np.float32(0.00139421624)


@jit_inline
def log_of(value: np.float32) -> np.float32:
    """Return log(value), that of the smallest normal number for less; NaN for NaN."""
    held = TINY if value < TINY else value
    # held = 2^exponent x (1 + part), 1 + part in [2/3, 4/3).
    bits = np.float32(held).view(np.int32)
    exponent = np.int32(np.int32(bits - TWO_THIRDS) >> DIGITS)
    part = np.int32(bits - np.int32(exponent << DIGITS)).view(np.float32) - np.float32(1)
    high = L4 + part * (L5 + part * (L6 + part * (L7 + part * L8)))
    series = L0 + part * (L1 + part * (L2 + part * (L3 + part * high)))
    log = np.float32(exponent) * LOG_2 + (part + part * part * series)
    # Infinity and NaN have bits like other numbers: NaN - NaN, infinity - infinity.
    return log + (held - held)


@jit_inline
def exp_less(value: np.float32, near: np.float32) -> np.float32:
    """Return exp(value) - near: for 1 no digits are lost next to 0, for 0 nowhere."""
    held = LEAST if value < LEAST else (MOST if value > MOST else value)
    rounded = held * LOG2_E + ROUNDING
    whole = np.float32(rounded - ROUNDING)
    rest = (held - whole * LOG_2_HIGH) - whole * LOG_2_LOW
    series = np.float32(1) + rest * (E1 + rest * (E2 + rest * (E3 + rest * (E4 + rest * E5))))
    power = np.int32(np.int32(np.int32(whole) + ONE) << DIGITS).view(np.float32)
    return power * (rest * series) + (power - near) + (value - value)


@jit_inline
def signed(step: np.float32, value: np.float32) -> np.float32:
    """Return the step with the sign of a weight, 0 for a weight of 0 or NaN."""
    return step if value > 0 else (-step if value < 0 else np.float32(0))


@jit_inline
def shrunk(value: np.float32, step: np.float32) -> np.float32:
    """Return a weight moved by max(0, step) towards zero, or 0. NaN and infinity stay."""
    amount = np.float32(0) if step < np.float32(0) else step
    return value - (value if abs(value) < amount else np.copysign(amount, value))
