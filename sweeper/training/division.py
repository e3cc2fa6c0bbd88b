"""Division of a raw dataset: split into its parts, scaled over the training examples, hashed."""

import hashlib
import json

import numpy as np
import torch
from torch import Tensor

from sweeper.config.dataset import held_out
from sweeper.errors import DataError
from sweeper.training.loaded_data import Data, DataSplit
from sweeper.training.raw_dataset import Array, RawDataset, RawPart
from sweeper.training.stratified_split import SPLIT_SEED, stratified_split
from sweeper.types import Normalisation, SplitConfig

SHARE = 0.2
"""Share of the examples that is held out, where neither dataset nor study file says another."""
_PIXEL_BLOCK = 1000
"""Images whose pixels are counted at once: NumPy takes eight bytes for each pixel meanwhile."""
AS_PUBLISHED = SplitConfig()
"""The split unless a study file says another."""


def divide(
    raw: RawDataset, split: SplitConfig = AS_PUBLISHED, device: str | torch.device = "cpu"
) -> Data:
    """Split a dataset, scale it over its training examples, and bring it onto a device.

    Each class gives its share. The test part is never another one. Raises DataError.
    """
    _check_split(raw, split)
    notes = [*raw.notes]
    train, validation, test = raw.train, raw.validation, raw.test
    sizes = [0, 0]
    """Numbers of examples that are held out for validation and test."""
    if test is None:
        _check_classes(raw, train, 2 if validation else 3)
        sizes[1] = held_out(SHARE if split.test is None else split.test, len(train))
        train, test = _held_out(raw, train, sizes[1], SPLIT_SEED, "test", notes)
    if validation is None:
        _check_classes(raw, train, 2)
        sizes[0] = _validation_size(raw, split, len(train))
        train, validation = _held_out(raw, train, sizes[0], split.seed, "validation", notes)
    normalisation = _normalisation(raw, train.examples)
    kind = np.float32 if raw.has_values else np.int64
    loaded_train, loaded_validation, loaded_test = (
        DataSplit(
            _scaled(raw, part.examples, normalisation).to(device),
            torch.from_numpy(part.labels.astype(kind)).to(device),
        )
        for part in (train, validation, test)
    )
    if raw.entry and raw.entry.hash_of_parts and split == AS_PUBLISHED:
        digest = _hash_of_parts(raw.name, normalisation, (train, validation, test))
    else:
        seed = "repeat" if split.by_repeat else split.seed
        rule = json.dumps([raw.digest, *sizes, seed if sizes[0] else None])
        digest = hashlib.sha256(rule.encode()).hexdigest()
    return Data(
        raw.name,
        raw.classes,
        loaded_train,
        loaded_validation,
        loaded_test,
        hash=digest,
        labels=raw.labels,
        features=raw.features,
        normalisation=normalisation,
        notes=tuple(notes),
    )


def _check_split(raw: RawDataset, split: SplitConfig) -> None:
    """Raise DataError for a split of parts that a dataset brings."""
    if raw.test is not None and split.test is not None:
        text = f"split.test: {raw.name} has a test part of its own; leave it out"
        raise DataError(f"{text}, got {split.test:g}")
    if raw.validation is None:
        return
    choice = {
        "validation": None if split.validation is None else f"{split.validation:g}",
        "seed": "repeat" if split.by_repeat else split.seed or None,
    }
    for key, value in choice.items():
        if value is not None:
            text = f"split.{key}: {raw.name} has a validation part of its own; leave it out"
            raise DataError(f"{text}, got {value}")


def _check_classes(raw: RawDataset, part: RawPart, least: int) -> None:
    """Raise DataError for a class that has too few examples to be split."""
    if raw.has_values:
        if len(part) < least:
            text = f"{raw.name}: has too few examples to split: {len(part)}, needs {least}"
            raise DataError(text)
        return
    counts = np.bincount(part.labels, minlength=raw.classes)
    if counts.min() < least:
        rarest = int(counts.argmin())
        text = f"{raw.name}: class {raw.class_name(rarest)} has too few examples to split"
        raise DataError(f"{text}: {counts[rarest]}, needs {least}")


def _validation_size(raw: RawDataset, split: SplitConfig, examples: int) -> int:
    if split.validation is not None:
        return held_out(split.validation, examples)
    return raw.entry.validation if raw.entry else held_out(SHARE, examples)


def _held_out(
    raw: RawDataset, part: RawPart, size: int, seed: int, purpose: str, notes: list[str]
) -> tuple[RawPart, RawPart]:
    """Return what stays for training and what is held out. Raises DataError."""
    if raw.has_values:
        # Of one class: a plain draw.
        stays, held = stratified_split(np.zeros(len(part), np.int64), size, seed)
        return part.subset(stays), part.subset(held)
    if size < raw.classes:
        text = f"split.{purpose}: {size} of {len(part):,} examples of {raw.name} are too few"
        raise DataError(f"{text} to judge {raw.classes} classes by")
    stays, held = stratified_split(part.labels, size, seed)
    remaining, taken = part.subset(stays), part.subset(held)
    _check_classes(raw, remaining, 1)
    absent = np.setdiff1d(np.arange(raw.classes), taken.labels)
    if len(absent):
        names = ", ".join(raw.class_name(int(label)) for label in absent[:3])
        more = f" and {len(absent) - 3} more" if len(absent) > 3 else ""
        notes.append(f"{purpose} has no example of {names}{more}, of which there are few")
    return remaining, taken


def _normalisation(raw: RawDataset, examples: Array) -> Normalisation | None:
    """Return the scale of training examples; constant entries of their first axis move to 0."""
    if not any(raw.standardised):
        return None
    if examples.dtype == np.uint8:
        moments = [_pixel_moments(examples[:, channel]) for channel in range(examples.shape[1])]
    else:
        moments = [
            _moments(examples[:, entry]) if scaled else (0.0, 1.0)
            for entry, scaled in enumerate(raw.standardised)
        ]
    means, deviations = zip(*moments, strict=True)
    return Normalisation(means, deviations)


def _pixel_moments(images: Array) -> tuple[float, float]:
    """Return mean and deviation of all pixels, from whole sums: the same on any machine."""
    counts = np.zeros(256, dtype=np.int64)
    for start in range(0, len(images), _PIXEL_BLOCK):
        counts += np.bincount(images[start : start + _PIXEL_BLOCK].ravel(), minlength=256)
    values = np.arange(256)
    mean = int(counts @ values) / images.size
    return mean, float((int(counts @ values**2) / images.size - mean**2) ** 0.5) or 1.0


def _moments(values: Array) -> tuple[float, float]:
    """Return mean and deviation of numbers; the deviation of equal ones is 1."""
    if values.min() == values.max():
        return float(values.flat[0]), 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        return float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64)) or 1.0


def _scaled(raw: RawDataset, examples: Array, scale: Normalisation | None) -> Tensor:
    """Return examples as tensors: float32, token ids int64. Raises DataError beyond float32."""
    if examples.dtype == np.int64:
        return torch.from_numpy(examples)
    # Numbers of a table may need more digits than float32 has, until their mean is taken off.
    exact = np.float64 if examples.dtype == np.float64 and scale else np.float32
    with np.errstate(over="ignore", invalid="ignore"):
        values = examples.astype(exact)
        if scale:
            axes = (len(scale.mean), *[1] * (values.ndim - 2))
            mean, deviation = (
                np.asarray(numbers, dtype=exact).reshape(axes)
                for numbers in (scale.mean, scale.deviation)
            )
            np.subtract(values, mean, out=values)
            np.divide(values, deviation, out=values)
        values = values.astype(np.float32, copy=False)
    if examples.dtype != np.uint8 and not np.isfinite(values).all():
        raise DataError(f"{raw.name}: its numbers are too large for float32")
    return torch.from_numpy(values)


def _hash_of_parts(name: str, scale: Normalisation | None, parts: tuple[RawPart, ...]) -> str:
    """Return the hash of drawn parts, as results on record have it."""
    moments = f" {scale.mean[0]!r} {scale.deviation[0]!r}" if scale else ""
    digest = hashlib.sha256(f"{name}{moments}".encode())
    for part in parts:
        digest.update(np.ascontiguousarray(part.examples).data)
        digest.update(np.ascontiguousarray(part.labels, dtype=np.int64).data)
    return digest.hexdigest()
