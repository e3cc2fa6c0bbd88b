"""Fronts and their statistics: dominance, attainment, sizes at an accuracy, intervals."""

from sweeper.fronts.attainment import LEVELS, Surface, attainment
from sweeper.fronts.front import (
    Front,
    FrontPoint,
    describe,
    fronts,
    reference_corner,
    repeats,
    selection,
    undominated,
)
from sweeper.fronts.intervals import FEWEST, ONE_SIDED, Estimate, mean, paired_ratio
from sweeper.fronts.levels import Curve, Reading

__all__ = [
    "FEWEST",
    "LEVELS",
    "ONE_SIDED",
    "Curve",
    "Estimate",
    "Front",
    "FrontPoint",
    "Reading",
    "Surface",
    "attainment",
    "describe",
    "fronts",
    "mean",
    "paired_ratio",
    "reference_corner",
    "repeats",
    "selection",
    "undominated",
]
