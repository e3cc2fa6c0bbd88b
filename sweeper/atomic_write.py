"""Atomic file writes: write a temporary file, fsync, rename; a reader sees the old or the new."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sweeper.errors import InputError, SweeperError


def atomic_write(path: Path, content: bytes) -> Path:
    """Write a file and return its path; its folder is made.

    Raises InputError where the path cannot be written to, SweeperError where writing fails.
    """
    with atomic_writer(path) as file:
        file.write(content)
    return path


@contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """Write a file piece by piece in a `with` block, as `atomic_write` does."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except (PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    except OSError as error:
        raise SweeperError(f"{path}: writing failed: {error.strerror or error}") from error
