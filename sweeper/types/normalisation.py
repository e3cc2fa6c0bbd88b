"""Normalisation of a dataset: the numbers by which raw values became a network's inputs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Means and deviations over the training examples: examples = (raw - mean) / deviation.

    One number of each for all values, one for each channel of images, or one for each column of a
    table, broadcast over the first axis of an example.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    """Above 0; 1 where all raw values are equal."""
