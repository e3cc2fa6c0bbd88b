"""Checks of a dataset of a user's own, which becomes a raw one: a line for what is wrong."""

import numpy as np
import torch

from sweeper.errors import DataError, first_line, shown
from sweeper.training.raw_dataset import Array, RawDataset, RawPart
from sweeper.training.target_values import scale_notes, value_array
from sweeper.training.user_labels import LabelCodes, label_array
from sweeper.types import Dataset

_LARGEST = float(np.finfo(np.float32).max)
_CHANNELS = (1, 3)


def checked(
    dataset: object,
    place: str,
    *,
    standardised: tuple[bool, ...] = (),
    features: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> RawDataset:
    """Return the raw dataset. Raises DataError.

    `place` is the function or the file that it comes from; `standardised` says which columns of a
    table are, where not all are treated alike.
    """
    if not isinstance(dataset, Dataset):
        raise DataError(f"{place}: must return a sweeper.Dataset, got {type(dataset).__name__}")
    pairs = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    examples: dict[str, Array] = {}
    targets: dict[str, Array] = {}
    scales = dataset.standardise or any(standardised)
    for name, pair in pairs.items():
        if pair is None and name != "train":
            continue
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            text = f"{place}: {name}: must be a pair, inputs and targets"
            raise DataError(f"{text}, got {_described(pair)}")
        examples[name] = _inputs(pair[0], f"{place}: {name} inputs", scales=scales)
        array = as_array(pair[1], f"{place}: {name} targets")
        if dataset.values:
            targets[name] = value_array(array, f"{place}: {name} targets")
            _check_alike(targets[name], targets["train"], f"{place}: {name} targets")
        else:
            targets[name] = label_array(array, place, name)
        _check_lengths(examples[name], targets[name], f"{place}: {name}")
        _check_alike(examples[name], examples["train"], f"{place}: {name} inputs")
    train = examples["train"]
    if not any((row != train[0]).any() for row in train[1:]):
        raise DataError(f"{place}: train inputs: all {len(train):,} are equal")
    if dataset.values:
        outputs, names = targets["train"].shape[1], tuple[str, ...]()
        parts = {name: RawPart(examples[name], targets[name]) for name in examples}
        notes = (*notes, *scale_notes(targets["train"]))
    else:
        codes = LabelCodes.of(targets["train"], place)
        outputs, names = codes.classes, codes.names
        parts = {
            name: RawPart(examples[name], codes.encode(targets[name], f"{place}: {name} targets"))
            for name in examples
        }
        notes = (*notes, *codes.notes)
    if train.dtype == np.uint8 or (dataset.standardise and not standardised):
        standardised = (True,) * train.shape[1]
    return RawDataset(
        place,
        outputs,
        parts["train"],
        parts.get("test"),
        parts.get("validation"),
        standardised=standardised,
        labels=names,
        features=features,
        notes=notes,
    )


def as_array(value: object, where: str) -> Array:
    """Return an array or tensor as an array in memory. Raises DataError."""
    try:
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu()
            if value.dtype in (torch.bfloat16, torch.float16):
                value = value.float()
            value = value.numpy()
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = first_line(error)
        raise DataError(f"{where}: must be one array, got {_described(value)}: {reason}") from error
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _inputs(value: object, where: str, *, scales: bool) -> Array:
    """Return inputs as the raw dataset has them: uint8 images, int64 token ids, or floats."""
    array = as_array(value, where)
    if array.dtype.kind not in "buif":
        raise DataError(f"{where}: must be numbers, got {_described(value)} of {array.dtype}")
    if array.ndim and not len(array):
        raise DataError(f"{where}: are empty")
    if array.ndim < 2 or not array.size:
        raise DataError(f"{where}: must have shape [n, ...], got {list(array.shape)}")
    if array.dtype == np.uint8:
        return _images(array, where)
    if array.dtype.kind in "ui" and not scales:
        ids = array.astype(np.int64)
        if (least := ids.min()) < 0:
            text = f"{where}: whole numbers are token ids and must be >= 0, got {least}"
            raise DataError(f"{text}; numbers of another kind must be floats")
        return ids
    numbers = array.astype(np.float64 if array.dtype.itemsize >= 8 else np.float32, copy=False)
    if not np.isfinite(numbers).all():
        first = np.argwhere(~np.isfinite(numbers))[0]
        at = f"example {first[0]}, position {first[1:].tolist()}"
        raise DataError(f"{where}: must be finite, got {numbers[tuple(first)]} in {at}")
    if not scales and (extreme := float(np.abs(numbers).max())) > _LARGEST:
        raise DataError(f"{where}: must fit float32, got {extreme:g}")
    return numbers if scales else numbers.astype(np.float32, copy=False)


def _images(array: Array, where: str) -> Array:
    """Return images [n, channels, height, width]. Raises DataError where no one can tell."""
    if array.ndim == 3:
        return array[:, None]
    shape = list(array.shape)
    if array.ndim != 4:
        text = f"{where}: uint8 is for images, [n, height, width] or with channels, got {shape}"
        raise DataError(f"{text}; make token ids int64, other numbers float32")
    first, last = shape[1] in _CHANNELS, shape[3] in _CHANNELS
    if first and last:
        text = f"{where}: of images {shape}, channels may be the second or the last axis"
        raise DataError(f"{text}; make them float32 [n, channels, height, width]")
    if not first and not last:
        raise DataError(f"{where}: images must have 1 or 3 channels, got {shape}")
    return array if first else np.ascontiguousarray(array.transpose(0, 3, 1, 2))


def _check_lengths(examples: Array, targets: Array, where: str) -> None:
    if len(examples) != len(targets):
        raise DataError(f"{where}: {len(examples):,} inputs, but {len(targets):,} targets")


def _check_alike(examples: Array, train: Array, where: str) -> None:
    """Raise DataError for inputs of another shape or type than those of training."""
    for what, value, wanted in (
        ("shape", list(examples.shape[1:]), list(train.shape[1:])),
        ("type", examples.dtype, train.dtype),
    ):
        if value != wanted:
            raise DataError(f"{where}: must have {what} {wanted} as in train, got {value}")


def _described(value: object) -> str:
    """Return what a value is, in a few words."""
    if isinstance(value, int | float | str | None):
        return shown(value)
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return type(value).__name__
