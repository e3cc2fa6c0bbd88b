"""Target values: numbers that a network is to give, in place of labels."""

import numpy as np

from sweeper.errors import DataError
from sweeper.training.loaded_data import Data
from sweeper.training.raw_dataset import Array
from sweeper.types import LossConfig

_MEAN, _DEVIATION = 10.0, (0.01, 100.0)
"""Bounds, in deviations and as they are, beyond which a network hardly learns values."""


def value_array(array: Array, where: str) -> Array:
    """Return targets [n] or [n, k] as float32 [n, k]. Raises DataError for what are no numbers."""
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"{where}: must be numbers, as `values` says: {error}") from error
    if array.dtype.kind not in "buif":
        raise DataError(f"{where}: must be numbers, as `values` says, got {array.dtype}")
    if array.ndim not in (1, 2) or not array.size:
        text = f"{where}: must be numbers [n] or [n, k], got shape {list(array.shape)}"
        raise DataError(text)
    with np.errstate(over="ignore"):
        numbers = array.reshape(len(array), -1).astype(np.float32)
    if not np.isfinite(numbers).all():
        row, column = np.argwhere(~np.isfinite(numbers))[0]
        given = array.reshape(len(array), -1)[row, column]
        raise DataError(f"{where}: must be finite and fit float32, got {given:g} in example {row}")
    return numbers


def check_range(data: Data, loss: LossConfig) -> None:
    """Raise DataError for values outside of [0, 1] that are to be probabilities."""
    if loss.name != "binary_cross_entropy" or not data.has_values:
        return
    for name, part in (("train", data.train), ("validation", data.validation), ("test", data.test)):
        outside = ((part.labels < 0) | (part.labels > 1)).any(1).nonzero()
        if len(outside):
            row = int(outside[0])
            text = f"{data.name}: {name} targets: must lie in [0, 1] for binary_cross_entropy"
            raise DataError(f"{text}, got {part.labels[row].tolist()} in example {row}")


def scale_notes(values: Array) -> tuple[str, ...]:
    """Return a sentence if values [n, k] have a scale that networks hardly learn."""
    means, deviations = values.mean(0, dtype=np.float64), values.std(0, dtype=np.float64)
    low, high = _DEVIATION
    for column, (mean, deviation) in enumerate(zip(means, deviations, strict=True)):
        if abs(mean) > _MEAN * max(deviation, 1.0) or not low <= deviation <= high:
            which = f" {column}" if len(means) > 1 else ""
            return (
                f"target{which} has mean {mean:.3g} and deviation {deviation:.3g}: networks learn "
                "values near 0 and 1 best; scale them where they are made",
            )
    return ()
