"""Picture cache: decoded pictures of a folder, kept as one file for the next worker.

The file lies in `.cache` of the folder of datasets, or in the user's cache where that cannot be
written to. Its name holds what the pictures are known by; others of the same folder are removed.
"""

import logging
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from filelock import FileLock

from sweeper.atomic_write import atomic_writer
from sweeper.errors import InputError, SweeperError
from sweeper.settings import cache_folders
from sweeper.training.raw_dataset import Array

_log = logging.getLogger("sweeper.datasets")
Arrays = dict[str, Array]


def cached(folder: str | Path | None, source: str, key: str, read: Callable[[], Arrays]) -> Arrays:
    """Return arrays as `read` does, from the cache where they are in it.

    `source` names the pictures' folder, `key` what is in it. One process reads, others wait for
    it. A damaged file counts as none. Without a folder to write to, the arrays are read each time.
    """
    places = cache_folders(folder)
    for place in places:
        if (arrays := _load(_file(place, source, key))) is not None:
            return arrays
    for place in places:
        with _locked(place, source) as may_write:
            if not may_write:
                continue
            file = _file(place, source, key)
            arrays = _load(file)  # somebody else's, while this one waited
            if arrays is None:
                arrays = read()
                _store(file, source, arrays)
            return arrays
    return read()


def _file(place: Path, source: str, key: str) -> Path:
    return place / f"images-{source}-{key}.npz"


@contextmanager
def _locked(place: Path, source: str) -> Iterator[bool]:
    """Hold the lock of a folder's pictures in a `with` block; False where none can be had."""
    lock = FileLock(place / f".images-{source}.lock")
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _load(file: Path) -> Arrays | None:
    """Return the arrays of a file, or None where there is none that is whole."""
    try:
        with file.open("rb") as opened:  # NumPy leaves one that is damaged open
            arrays = np.load(opened, allow_pickle=False)
            return {key: arrays[key] for key in arrays.files}  # checksums are compared here
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, AttributeError) as error:
        _log.warning("%s: cannot be used, pictures are read anew: %s", file, error)
        return None


def _store(file: Path, source: str, arrays: Arrays) -> None:
    """Write arrays, and remove older ones of the same pictures."""
    try:
        with atomic_writer(file) as writer:
            np.savez(writer, allow_pickle=False, **arrays)
    except (InputError, SweeperError) as error:
        _log.warning("pictures are not kept for the next time: %s", error)
        return
    for other in file.parent.glob(f"images-{source}-*.npz"):
        if other.name != file.name:
            with suppress(OSError):
                other.unlink()
