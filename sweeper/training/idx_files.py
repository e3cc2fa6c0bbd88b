"""Files in the format of MNIST, read without torchvision, whose import takes 1.5 s.

Any file that is not exactly what it should be is left to torchvision and to what it says of it.
"""

import struct
from pathlib import Path

import numpy as np

from sweeper.config.registry import DatasetEntry, dataset_files
from sweeper.training.raw_dataset import Array, RawPart

CLASSES = {
    "MNIST": tuple(
        f"{number} - {word}"
        for number, word in enumerate(
            ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
        )
    ),
    "FashionMNIST": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "KMNIST": ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
}
"""Names of classes as torchvision has them, of the datasets that are read here."""
_BYTES = 8
"""Code of unsigned bytes."""


def read_parts(entry: DatasetEntry, raw: Path) -> tuple[RawPart, RawPart] | None:
    """Return the training and the test part of a dataset; None if they are not to be read here."""
    if entry.torchvision not in CLASSES:
        return None
    arrays = [_read(raw / file, shape) for file, shape in dataset_files.shapes(entry).items()]
    whole = [array for array in arrays if array is not None]
    if len(whole) < len(arrays):
        return None
    images, labels, test_images, test_labels = whole
    return (
        RawPart(images[:, None], labels.astype(np.int64)),
        RawPart(test_images[:, None], test_labels.astype(np.int64)),
    )


def _read(path: Path, shape: tuple[int, ...]) -> Array | None:
    """Return the array [*shape] of a file, of unsigned bytes."""
    header = struct.pack(f">4B{len(shape)}I", 0, 0, _BYTES, len(shape), *shape)
    try:
        with path.open("rb") as file:
            if file.read(len(header)) != header:
                return None
            array: Array = np.fromfile(file, dtype=np.uint8)
    except OSError:
        return None
    return array.reshape(shape) if array.size == np.prod(shape) else None
