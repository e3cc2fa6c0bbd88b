"""Measures of a network's quality, by name; the larger, the better, and 1 is perfect."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeasureEntry:
    """A measure of a network."""

    label: str
    """Its name as people write it, for axes and tables."""
    summary: str
    chance: float | None = None
    """What a guess is worth; 1 / classes unless said."""
    of_values: bool = False
    """Whether it is of targets that are numbers, not labels."""


MEASURES: Mapping[str, MeasureEntry] = {
    "accuracy": MeasureEntry("accuracy", "share of the examples that get their label"),
    "balanced_accuracy": MeasureEntry(
        "balanced accuracy", "mean over the classes of the share that gets its label"
    ),
    "f1": MeasureEntry("F1", "mean over the classes of 2 precision recall / (precision + recall)"),
    "auroc": MeasureEntry(
        "AUROC",
        "probability that an example of a class has a larger output for it than one of another "
        "class, mean over the classes",
        chance=0.5,
    ),
    "r2": MeasureEntry(
        "R²",
        "share of the variance of the values that is predicted, mean over them; 0 for less than "
        "nothing",
        chance=0.0,
        of_values=True,
    ),
}
