"""Fronts and their statistics: dominance, attainment, sizes at an accuracy, intervals."""

from sweeper.analysis.attainment import LEVELS, Surface, attainment
from sweeper.analysis.front import (
    Front,
    fronts,
    fronts_by_repeat,
    fronts_to_pandas,
    non_dominated,
    other_accuracy,
    reference_corner,
    selection_metrics,
)
from sweeper.analysis.front_point import FrontPoint, describe_point, network_params
from sweeper.analysis.interpolation import WIDEST, Bracket, Curve, CurveValue
from sweeper.analysis.intervals import FEWEST, ONE_SIDED, Estimate, mean, paired_ratio

__all__ = [
    "FEWEST",
    "LEVELS",
    "ONE_SIDED",
    "WIDEST",
    "Bracket",
    "Curve",
    "CurveValue",
    "Estimate",
    "Front",
    "FrontPoint",
    "Surface",
    "attainment",
    "describe_point",
    "fronts",
    "fronts_by_repeat",
    "fronts_to_pandas",
    "mean",
    "network_params",
    "non_dominated",
    "other_accuracy",
    "paired_ratio",
    "reference_corner",
    "selection_metrics",
]
