"""Dataset of a user's own: arrays of inputs and targets, as a function outside the package has it.

Loads no torch: arrays are whatever becomes a NumPy array, and tensors.
"""

from dataclasses import dataclass
from typing import Any

Part = tuple[Any, Any]
"""Inputs [n, *shape] and targets [n] or [n, k] of a part of a dataset."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Inputs and targets for training and, where there are such parts, for test and validation.

    A study file names the function that returns one: `dataset: package.module:function`. It is
    called with the folder of datasets, and the options of the file as keywords. Parts that are
    missing are held out of the training examples, each class by its share. All is checked where
    it is loaded, and wrong data are a DataError of one line.

    Inputs are arrays or tensors [n, *shape], by type:
    - uint8: images, [n, height, width] or with 1 or 3 channels first or last. Each channel gets
      mean 0 and deviation 1 over the training examples.
    - other whole numbers: token ids from 0 on, which stay as they are.
    - floats: numbers, which stay as they are but for float64, which becomes float32.
    - bool: numbers 0 and 1.

    Targets are labels [n]: whole numbers (1.0 is one) or text. Those that are not 0 to k - 1 are
    mapped, in sorted order. With `values` they are numbers [n] or [n, k] instead, an output of the
    network for each, as they are: scale them where they are made.
    """

    train: Part
    test: Part | None = None
    validation: Part | None = None
    standardise: bool = False
    """Give numbers mean 0 and deviation 1 over the training examples, along the first axis of an
    example: each column of a table, each channel. Whole numbers other than uint8 are numbers then,
    no token ids. A column of one value is moved to 0."""
    values: bool = False
    """Whether targets are numbers, for the losses mse and binary_cross_entropy, and no labels."""
