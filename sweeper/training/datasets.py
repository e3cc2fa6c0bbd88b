"""Datasets: training, validation and test examples as tensors, split the same way for everybody.

A dataset is read (`read`) and then split and scaled (`divide`): who needs another split of the
same examples need not read them again.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sweeper.config import registry
from sweeper.config.registry import DATASET_FORMS, DATASETS, dataset_files, dataset_plugins
from sweeper.errors import DataError, SweeperError, choices, first_line, typed_line
from sweeper.settings import data_folder
from sweeper.training import torchvision_files
from sweeper.training.division import AS_PUBLISHED, divide
from sweeper.training.loaded_data import Data, DataSplit
from sweeper.training.raw_dataset import RawDataset
from sweeper.training.target_values import check_range
from sweeper.training.user_dataset import checked
from sweeper.types import Normalisation, Options, SharedConfig, SplitConfig

_log = logging.getLogger("sweeper.datasets")

__all__ = [
    "Data",
    "DataSplit",
    "Normalisation",
    "divide",
    "fetch",
    "images_like",
    "is_here",
    "load",
    "load_for",
    "read",
]


def load(
    name: str,
    folder: str | Path | None = None,
    device: str | torch.device = "cpu",
    *,
    options: Options = (),
    split: SplitConfig = AS_PUBLISHED,
    on_progress: Callable[[str], None] = _log.info,
) -> Data:
    """Load a dataset onto a device, downloading it first if need be. Raises DataError.

    `name` and `options` as of a study file: a name from the registry, `arrays` or `images` with
    their keys, or a function of one's own with its arguments. `on_progress` is told a line now and
    then where reading takes long.
    """
    entry = DATASETS.get(name)
    if entry and entry.hash and split == AS_PUBLISHED:
        data = divide(_read_entry(name, folder), split, device)
        if data.hash != entry.hash:
            problem = "its images are not those that were published"
            raise torchvision_files.damaged(name, data_folder(folder), problem)
        return data
    return divide(read(name, folder, options=options, on_progress=on_progress), split, device)


def load_for(
    recipe: SharedConfig,
    folder: str | Path | None = None,
    device: str | torch.device = "cpu",
    *,
    on_progress: Callable[[str], None] = _log.info,
) -> Data:
    """Load the dataset of a recipe with its split. Raises DataError."""
    data = load(
        recipe.dataset,
        folder,
        device,
        options=recipe.dataset_options,
        split=recipe.split,
        on_progress=on_progress,
    )
    check_range(data, recipe.loss)
    return data


def read(
    name: str,
    folder: str | Path | None = None,
    *,
    options: Options = (),
    on_progress: Callable[[str], None] = _log.info,
) -> RawDataset:
    """Read the examples of a dataset, as `load` does, before they are split. Raises DataError."""
    target = dataset_plugins().get(name, name)
    arguments = dict(options)
    if name in DATASETS:
        raw = _read_entry(name, folder)
        if DATASETS[name].torchvision:
            torchvision_files.check_files(name, raw, data_folder(folder))
        return raw
    if name in DATASET_FORMS:
        reader: Callable[..., RawDataset] = registry.load(DATASET_FORMS[name].loader)
        return reader(folder, on_progress, **arguments)
    if registry.PLUGIN.fullmatch(target):
        return _call(target, data_folder(folder), arguments)
    known = [*DATASETS, *DATASET_FORMS, *dataset_plugins(), "package.module:function"]
    raise DataError(f"no such dataset: {choices(name, known)}")


def fetch(name: str, folder: str | Path | None = None) -> Path | None:
    """Fetch a dataset unless it is there and whole; return its folder. Raises DataError.

    None for one that comes with a package.
    """
    load(name, folder)
    return None if _entry(name).bundled else data_folder(folder)


def is_here(name: str, folder: str | Path | None = None) -> bool:
    """Return True if a dataset of the registry can be loaded without a download."""
    entry = _entry(name)
    if entry.bundled:
        return True
    return dataset_files.are_there(dataset_files.raw_folder(data_folder(folder), entry), entry)


def images_like(name: str, count: int = 64) -> Data:
    """Return random examples of the shape and about the values of a dataset of the registry.

    Images have many dark pixels; the columns of a table have mean 0 and deviation 1.
    """
    entry = _entry(name)
    random = np.random.default_rng(0)
    if len(entry.shape) == 1:
        examples = torch.from_numpy(random.standard_normal((count, *entry.shape))).float()
    else:
        pixels = random.integers(0, 256, (count, *entry.shape)) * random.integers(0, 2, entry.shape)
        examples = torch.from_numpy((pixels - pixels.mean()) / pixels.std()).float()
    part = DataSplit(examples, torch.from_numpy(random.integers(0, entry.classes, count)))
    return Data(name, entry.classes, part, part, part, hash="")


def _read_entry(name: str, folder: str | Path | None) -> RawDataset:
    """Read a dataset of the registry."""
    entry = DATASETS[name]
    reader: Callable[[Path], RawDataset] = registry.load(entry.loader)
    raw = reader(Path() if entry.bundled else data_folder(folder))
    return replace(raw, name=name, entry=entry)


def _call(function: str, folder: Path, arguments: dict[str, Any]) -> RawDataset:
    """Return what a function of a user's own makes. Raises DataError, whatever it raises."""
    make = registry.load(function)
    try:
        dataset = make(folder, **arguments)
    except (Exception, SystemExit) as error:
        reason = (first_line if isinstance(error, SweeperError) else typed_line)(error)
        raise DataError(f"{function}: {reason}") from error
    return checked(dataset, function)


def _entry(name: str) -> registry.DatasetEntry:
    try:
        return DATASETS[name]
    except KeyError:
        raise DataError(f"no such dataset: {choices(name, DATASETS)}") from None
