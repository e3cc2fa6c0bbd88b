"""Loaded data: the parts of a dataset as tensors on a device, and how they were scaled."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sweeper.types import Normalisation


@dataclass(frozen=True, slots=True, eq=False)
class DataSplit:
    """One part of a dataset: examples [n, *shape], as [n, channels, height, width]; labels [n].

    Or values [n, outputs], float32, in place of labels.

    Examples are float32, but for token ids, which are int64. Pixels have mean 0 and deviation 1
    over the training images. Without taking off the mean, L1 prox at 4,000 weights on MNIST lost
    0.1 % of validation accuracy (three of four settings).
    """

    examples: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return self.labels.shape[0]

    def at(self, index: Tensor | slice) -> "DataSplit":
        """Return the examples at some places, in their order."""
        return DataSplit(self.examples[index], self.labels[index])


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """A dataset on a device.

    `hash` covers examples, labels and the rule of the split, so that repeats that each draw a split
    have one; of digits, mnist and fashion-mnist, unless their split is chosen, the drawn parts.
    """

    name: str
    classes: int
    """Outputs of a network: one for each class, or for each target value."""
    train: DataSplit
    validation: DataSplit
    test: DataSplit
    hash: str
    labels: tuple[str, ...] = ()
    """Names of the classes, where they have any."""
    features: tuple[str, ...] = ()
    """Names of the columns of a table, categories spread out."""
    normalisation: Normalisation | None = None
    """None where examples are as they were read."""
    notes: tuple[str, ...] = ()
    """What was done to the data beyond reading them, a sentence each."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example, such as channels, height and width of an image."""
        return tuple(self.train.examples.shape[1:])

    @property
    def has_values(self) -> bool:
        """Whether its targets are numbers, and no labels."""
        return self.train.labels.is_floating_point()

    @property
    def device(self) -> torch.device:
        return self.train.examples.device
