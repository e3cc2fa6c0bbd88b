"""Raw datasets: examples and labels as they were read, before they are split and scaled."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sweeper.config.registry import DatasetEntry

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class RawPart:
    """Examples [n, *shape] of one part of a dataset, and their labels [n], 0 to classes - 1.

    Or values [n, classes], float32, in place of labels.

    Images are uint8 [n, channels, height, width], token ids int64, numbers float32 or float64.
    """

    examples: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Array) -> "RawPart":
        """Return some of the examples, in the order of `indices`."""
        return RawPart(self.examples[indices], self.labels[indices])


@dataclass(frozen=True, eq=False)
class RawDataset:
    """A dataset as it was read; parts that it has not are held out of `train`."""

    name: str
    """By which errors call it: of the registry, of a function, of a file or folder."""
    classes: int
    train: RawPart
    test: RawPart | None = None
    validation: RawPart | None = None
    standardised: tuple[bool, ...] = ()
    """For each entry of an example's first axis (a channel, a column): whether it gets mean 0 and
    deviation 1. One for all that are scaled alike; empty: nothing is scaled."""
    labels: tuple[str, ...] = ()
    """Names of the classes, where they have any."""
    features: tuple[str, ...] = ()
    """Names of the columns of a table, categories spread out."""
    notes: tuple[str, ...] = ()
    """What was done to the data beyond reading them, a sentence each."""
    entry: DatasetEntry | None = None
    """Of the registry."""

    def class_name(self, label: int) -> str:
        """Return the name of a class as error lines show it."""
        return repr(self.labels[label]) if self.labels else str(label)

    @property
    def has_values(self) -> bool:
        """Whether its targets are numbers, and no labels."""
        return self.train.labels.ndim == 2

    @property
    def parts(self) -> dict[str, RawPart]:
        """The parts that it brings, by name."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}

    @cached_property
    def digest(self) -> str:
        """sha256 of all examples and labels, their types and shapes, and what is scaled."""
        shapes = {
            name: [part.examples.dtype.str, *part.examples.shape]
            for name, part in self.parts.items()
        }
        head = [self.classes, list(self.standardised), shapes]
        digest = hashlib.sha256(json.dumps(head).encode())
        for part in self.parts.values():
            digest.update(np.ascontiguousarray(part.examples).data)
            kind = np.float32 if self.has_values else np.int64
            digest.update(np.ascontiguousarray(part.labels, dtype=kind).data)
        return digest.hexdigest()
