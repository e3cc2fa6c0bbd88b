"""Labels of a user's own: whole numbers or text, which become 0 to k - 1 in sorted order."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from sweeper.errors import DataError, shown
from sweeper.training.raw_dataset import Array

_LISTED = 6
"""Most labels that a note lists one by one."""
_EXACT = 2.0**53
"""Floats from here on stand for several whole numbers."""


def label_array(array: Array, place: str, part: str) -> Array:
    """Return labels [n] as int64 or as text. Raises DataError for what is neither."""
    where = f"{place}: {part} targets"
    if array.ndim != 1:
        text = f"{where}: must be one label for each example, shape [n]"
        raise DataError(f"{text}, got {list(array.shape)}")
    if not len(array):
        raise DataError(f"{where}: are empty")
    if array.dtype.kind == "O":
        return _objects(array, where)
    if array.dtype.kind == "S":
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: text must be UTF-8: {error.reason}") from error
    if array.dtype.kind in "UT":
        return array.astype(str)
    if array.dtype.kind == "f":
        _check_whole(array, where)
    elif array.dtype.kind not in "bui":
        raise DataError(f"{where}: must be whole numbers or text, got {array.dtype}")
    return array.astype(np.int64)


def _check_whole(array: Array, where: str) -> None:
    odd = np.flatnonzero(~np.isfinite(array) | (array != np.trunc(array)) | (abs(array) > _EXACT))
    if len(odd):
        text = f"{where}: must be whole numbers or text, got {array[odd[0]]:g}"
        raise DataError(f"{text} in example {odd[0]}")


def _objects(array: Array, where: str) -> Array:
    """Return labels that came as Python's objects, all of one kind."""
    import pandas  # a third of a second, in each worker

    missing = np.flatnonzero(pandas.isna(array))
    if len(missing):
        raise DataError(f"{where}: the label of example {missing[0]} is missing")
    if all(isinstance(value, str) for value in array):
        return array.astype(str)
    if all(isinstance(value, bool | int | np.integer | np.bool_) for value in array):
        return array.astype(np.int64)
    kinds = sorted({type(value).__name__ for value in array})
    text = f"{where}: must be whole numbers alone or text alone"
    raise DataError(f"{text}, got {' and '.join(kinds)}")


@dataclass(frozen=True, slots=True, eq=False)
class LabelCodes:
    """Codes of the labels that the training examples have: their places in sorted order."""

    values: Array

    @classmethod
    def of(cls, labels: Array, place: str) -> Self:
        """Return the codes of labels [n]. Raises DataError for a single class."""
        values = np.unique(labels)
        if len(values) < 2:
            text = f"{place}: train targets: all are {shown(values[0].item())}"
            raise DataError(f"{text}, a classifier needs two classes")
        return cls(values)

    @property
    def classes(self) -> int:
        return len(self.values)

    @property
    def is_mapped(self) -> bool:
        """Whether labels are other ones than 0 to k - 1."""
        is_text = self.values.dtype.kind == "U"
        return is_text or not np.array_equal(self.values, np.arange(self.classes))

    @property
    def names(self) -> tuple[str, ...]:
        """Labels as text, in the order of their codes; none where they are the codes."""
        return tuple(str(value) for value in self.values) if self.is_mapped else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What became of the labels, if anything."""
        if not self.is_mapped:
            return ()
        texts = [shown(value) for value in self.values.tolist()]
        if len(texts) <= _LISTED:
            codes = ", ".join(map(str, range(len(texts))))
            return (f"labels {', '.join(texts)} became {codes}",)
        ends = f"{', '.join(texts[:3])}, ..., {texts[-1]}"
        return (f"labels {ends} became 0 to {len(texts) - 1}",)

    def encode(self, labels: Array, where: str) -> Array:
        """Return the codes of labels, int64 [n]. Raises DataError for one without a code."""
        if (labels.dtype.kind == "U") != (self.values.dtype.kind == "U"):
            kinds = ("whole numbers", "text")
            got, wanted = (kinds[array.dtype.kind == "U"] for array in (labels, self.values))
            raise DataError(f"{where}: must be {wanted} as in train, got {got}")
        unknown = np.setdiff1d(labels, self.values)
        if len(unknown):
            text = f"{where}: label {shown(unknown[0].item())} is that of no training example"
            raise DataError(text)
        return np.searchsorted(self.values, labels).astype(np.int64)
