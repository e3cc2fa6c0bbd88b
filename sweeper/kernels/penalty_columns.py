"""Columns of linear penalties: the places of their numbers in [pack, 8]."""

from collections.abc import Mapping

from sweeper.types import ApplyMode

LOSS_CONSTANT, LOSS_FACTOR = 0, 1
DECOUPLED_CONSTANT, DECOUPLED_FACTOR = 2, 3
PROX_CONSTANT, PROX_FACTOR = 4, 5
SHRINK_CONSTANT, SHRINK_FACTOR = 6, 7
COLUMNS: Mapping[ApplyMode, tuple[int, int]] = {
    "loss": (LOSS_CONSTANT, LOSS_FACTOR),
    "decoupled": (DECOUPLED_CONSTANT, DECOUPLED_FACTOR),
    "prox": (PROX_CONSTANT, PROX_FACTOR),
    "shrink": (SHRINK_CONSTANT, SHRINK_FACTOR),
}
"""Mode -> the columns of its constant and of its factor in the values of `LinearPenalties`."""
