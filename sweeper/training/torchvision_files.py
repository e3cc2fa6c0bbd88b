"""Files of torchvision's datasets: fetched by it, read by it, and held against what they must be.

They lie where torchvision has them, so that files of other programs are used as they are.
"""

from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from sweeper.config.registry import DATASETS, DatasetEntry, dataset_files
from sweeper.errors import DataError
from sweeper.settings import DATA_VARIABLE
from sweeper.training import idx_files
from sweeper.training.raw_dataset import Array, RawDataset, RawPart

_BLANK = 0.1
"""Share of images of a single value from which on a dataset is damaged."""


def read_mnist(folder: Path) -> RawDataset:
    """Read MNIST from `folder`/MNIST/raw."""
    return _read("mnist", folder)


def read_fashion_mnist(folder: Path) -> RawDataset:
    """Read Fashion-MNIST from `folder`/FashionMNIST/raw."""
    return _read("fashion-mnist", folder)


def read_kmnist(folder: Path) -> RawDataset:
    """Read Kuzushiji-MNIST from `folder`/KMNIST/raw."""
    return _read("kmnist", folder)


def read_emnist(folder: Path) -> RawDataset:
    """Read the part `balanced` of EMNIST from `folder`/EMNIST/raw."""
    return _read("emnist", folder)


def read_cifar10(folder: Path) -> RawDataset:
    """Read CIFAR-10 from `folder`/cifar-10-batches-py."""
    return _read("cifar10", folder)


def read_cifar100(folder: Path) -> RawDataset:
    """Read CIFAR-100, its 100 fine classes, from `folder`/cifar-100-python."""
    return _read("cifar100", folder)


def read_svhn(folder: Path) -> RawDataset:
    """Read SVHN, its parts train and test, from `folder`."""
    return _read("svhn", folder)


def _read(name: str, folder: Path) -> RawDataset:
    """Read a dataset, downloading it first if need be. Raises DataError."""
    entry = DATASETS[name]
    kind = entry.torchvision
    raw = dataset_files.raw_folder(folder, entry)
    if unreadable := dataset_files.unreadable(raw, entry):
        advice = f"set {DATA_VARIABLE} or --data to a folder that this account may read"
        raise DataError(f"{name}: {unreadable}; {advice}")
    try:
        if not dataset_files.are_there(raw, entry):
            folder.mkdir(parents=True, exist_ok=True)
            # One process downloads; the others wait here and then find the files.
            with FileLock(folder / f".{kind}.lock"):
                _torchvisions(entry, folder, download=True)
        parts = idx_files.read_parts(entry, raw)
        labels = idx_files.CLASSES.get(entry.torchvision, ())
        if parts is None:
            train, test = _torchvisions(entry, folder, download=False)
            parts, labels = (_part(train), _part(test)), tuple(getattr(train, "classes", ()))
    except (OSError, RuntimeError, ValueError, AssertionError, EOFError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        if dataset_files.damage(raw, entry) or dataset_files.are_there(raw, entry):
            raise damaged(name, folder, reason) from error
        raise DataError(
            f"{kind}: not found and not downloaded ({reason}); expected in {raw}: "
            f"{', '.join(dataset_files.names(entry))}; set {DATA_VARIABLE} or --data to a folder "
            "that has them"
        ) from error
    channels = (True,) * entry.shape[0]
    dataset = RawDataset(
        name,
        entry.classes,
        *parts,
        standardised=channels,
        labels=labels,
    )
    _check_labels(name, dataset, folder)
    return dataset


def _torchvisions(entry: DatasetEntry, folder: Path, *, download: bool) -> tuple[Any, Any]:
    """Return the training and the test part of a dataset as torchvision has them."""
    from torchvision import datasets  # two seconds

    dataset = getattr(datasets, entry.torchvision)
    if entry.torchvision == "SVHN":
        chosen: tuple[dict[str, Any], ...] = ({"split": "train"}, {"split": "test"})
    else:
        chosen = ({"train": True}, {"train": False})
    subset = {"split": entry.subset} if entry.subset else {}
    train, test = (dataset(str(folder), **subset, **part, download=download) for part in chosen)
    return train, test


def _part(dataset: Any) -> RawPart:
    """Return images [n, channels, height, width] and labels of one of torchvision's datasets."""
    images, targets = np.asarray(dataset.data), getattr(dataset, "targets", None)
    labels = np.asarray(dataset.labels if targets is None else targets)
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[-1] == 3 and images.shape[1] != 3:  # CIFAR's
        images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return RawPart(np.ascontiguousarray(images), labels)


def _check_labels(name: str, raw: RawDataset, folder: Path) -> None:
    """Raise DataError for images and labels that cannot be those of a dataset."""
    entry = DATASETS[name]
    expected = {"training": entry.train + entry.validation, "test": entry.test}
    for part, count in expected.items():
        arrays = raw.parts["train" if part == "training" else part]
        images, labels = arrays.examples, arrays.labels
        problem = ""
        if images.shape != (count, *entry.shape) or labels.shape != (count,):
            shape = f"{' x '.join(map(str, images.shape))} and {len(labels)} labels"
            wanted = " x ".join(map(str, (count, *entry.shape)))
            problem = f"its {part} images are {shape}, expected {wanted}"
        elif images.dtype != np.uint8 or labels.dtype.kind not in "ui":
            problem = f"its {part} images or labels are not whole numbers from 0 on"
        elif len(outside := labels[(labels < 0) | (labels >= entry.classes)]):
            allowed = f"0 to {entry.classes - 1}, such as {outside[0]}"
            problem = f"{len(outside):,} of its {part} labels are not {allowed}"
        elif len(absent := np.setdiff1d(np.arange(entry.classes), labels)):
            problem = f"none of its {part} labels is {absent[0]}"
        if problem:
            raise damaged(name, folder, problem)


def check_files(name: str, raw: RawDataset, folder: Path) -> None:
    """Raise DataError for files or images that nobody has published."""
    entry = DATASETS[name]
    faults = dataset_files.damage(dataset_files.raw_folder(folder, entry), entry)
    if faults:
        raise damaged(name, folder, next(iter(faults.values())))
    for name_of_part, part in raw.parts.items():
        images = "training images" if name_of_part == "train" else f"{name_of_part} images"
        flat: Array = part.examples.reshape(len(part), -1)
        blank = int((flat.min(axis=1) == flat.max(axis=1)).sum())
        if blank > _BLANK * len(flat):
            problem = f"{blank:,} of its {len(flat):,} {images} are of a single value"
            raise damaged(name, folder, problem)
        if (flat == flat[0]).all():
            raise damaged(name, folder, f"all of its {images} are equal")


def damaged(name: str, folder: Path, problem: str) -> DataError:
    """Return the error for a damaged dataset; it names the files at fault, if these tell."""
    entry = DATASETS[name]
    raw = dataset_files.raw_folder(folder, entry)
    files = [f"{raw / file} {why}" for file, why in dataset_files.damage(raw, entry).items()]
    mend = f"; delete them, and sweeper data {name} fetches them again" if entry.torchvision else ""
    return DataError(f"{name}: damaged: {'; '.join(files) or problem}{mend}")
