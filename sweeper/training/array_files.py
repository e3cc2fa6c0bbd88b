"""Array files: a dataset of one's own in an .npz file of arrays, or in a table."""

import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from sweeper.errors import DataError, first_line
from sweeper.training.data_path import data_path
from sweeper.training.raw_dataset import Array, RawDataset
from sweeper.training.table_files import read_table
from sweeper.training.user_dataset import checked
from sweeper.types import Dataset
from sweeper.types.array_dataset import Part

_PARTS = {"train": ("train", ""), "validation": ("validation", "val"), "test": ("test",)}
"""Part -> the endings of its two arrays' names, `x_train` and `y_train`, as they may be."""
_WANTED = "x_train, y_train, x_validation, y_validation, x_test, y_test; or x, y"


def read_arrays(
    folder: str | Path | None,
    on_progress: Callable[[str], None],
    /,
    *,
    file: str,
    test_file: str | None = None,
    target: str | None = None,
    standardise: bool | None = None,
    values: bool = False,
) -> RawDataset:
    """Read an .npz file of arrays, or a .csv or .parquet table. Raises DataError.

    An .npz file holds `x_train` and `y_train`, and may hold `x_validation` and `y_validation`,
    `x_test` and `y_test`; or `x` and `y` alone, large or small letters. Arrays are as of
    `sweeper.Dataset`. `test_file` is a further file with `x` and `y`, or of a table's columns.
    Nothing is said to `on_progress`: one file is soon read.
    """
    path = data_path(file, folder, "file")
    test_path = data_path(test_file, folder, "test_file") if test_file else None
    if path.suffix != ".npz":
        if target is None:
            raise DataError(f"{file}: target: required for tables, but not given")
        scaled = standardise is not False
        return read_table(path, test_path, target=target, standardise=scaled, values=values)
    return _read_npz(path, test_path, standardise, values)


def _read_npz(
    path: Path, test_path: Path | None, standardise: bool | None, values: bool
) -> RawDataset:
    parts, unused = _parts(_arrays(path), path)
    if test_path:
        if "test" in parts:
            raise DataError(f"test_file: {path.name} has a test part of its own; leave one out")
        if test_path.suffix != ".npz":
            raise DataError(f"test_file: {test_path.name}: must be an .npz file as {path.name}")
        others, more = _parts(_arrays(test_path), test_path)
        if set(others) not in ({"test"}, {"train"}):
            text = f"test_file: {test_path.name}: must hold x and y, or x_test and y_test"
            raise DataError(f"{text}, got {', '.join(sorted(others))}")
        [parts["test"]] = others.values()
        unused += more
    if standardise is False and getattr(parts["train"][0], "dtype", None) == np.uint8:
        text = f"standardise: {path.name}: images of whole numbers (uint8) always are"
        raise DataError(f"{text}; leave it out, or make them float32")
    notes = (f"not used: {', '.join(unused)}",) if unused else ()
    dataset = Dataset(
        parts["train"],
        parts.get("test"),
        parts.get("validation"),
        standardise=bool(standardise),
        values=values,
    )
    return checked(dataset, path.name, notes=notes)


def _arrays(path: Path) -> dict[str, Array]:
    """Return the arrays of an .npz file by their names. Raises DataError."""
    try:
        with path.open("rb") as opened:  # NumPy leaves one that is damaged open
            arrays = np.load(opened, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise DataError(f"{path}: is a single array and no .npz file")
            return {key: arrays[key] for key in arrays.files}
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError, KeyError) as error:
        reason = first_line(error)
        if reason.startswith("Object arrays"):
            reason = "it holds objects of Python, which are not loaded; store numbers or text"
        elif "allow_pickle" in reason or "pickled" in reason:
            reason = "it is no file of this kind"
        raise DataError(f"{path}: cannot be read as .npz: {reason}") from error


def _parts(arrays: Mapping[str, Array], path: Path) -> tuple[dict[str, Part], list[str]]:
    """Return inputs and targets of each part, and the names of arrays that are of none."""
    names = {key.lower(): key for key in arrays}
    parts: dict[str, Part] = {}
    used: set[str] = set()
    for part, endings in _PARTS.items():
        for ending in endings:
            pair = [f"{letter}_{ending}".rstrip("_") for letter in "xy"]
            there = [name for name in pair if name in names]
            if len(there) == 1:
                [absent] = set(pair) - set(there)
                raise DataError(f"{path}: has {names[there[0]]}, but no {absent}")
            if there and part in parts:
                text = f"{path}: has two arrays each for {part}: leave out {' and '.join(there)}"
                raise DataError(text)
            if there:
                parts[part] = (arrays[names[pair[0]]], arrays[names[pair[1]]])
                used |= {names[name] for name in pair}
    if "train" not in parts and set(parts) != {"test"}:
        text = f"{path}: must hold {_WANTED}"
        raise DataError(f"{text}, got {', '.join(arrays) or 'nothing'}")
    return parts, sorted(set(arrays) - used)
