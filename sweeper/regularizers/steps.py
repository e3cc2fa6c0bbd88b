"""What all compiled loops do to one weight: a step along its sign, or towards zero."""

import numpy as np

from sweeper.compiled import inlined


@inlined
def signed(step: np.float32, value: np.float32) -> np.float32:
    """Return the step with the sign of a weight, 0 for a weight of 0 or NaN."""
    return step if value > 0 else (-step if value < 0 else np.float32(0))


@inlined
def shrunk(value: np.float32, step: np.float32) -> np.float32:
    """Return a weight moved by max(0, step) towards zero, or 0. NaN and infinity stay."""
    amount = np.float32(0) if step < np.float32(0) else step
    return value - (value if abs(value) < amount else np.copysign(amount, value))
