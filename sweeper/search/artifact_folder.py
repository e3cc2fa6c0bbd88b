"""Artifact folder: files of trials under paths that people can read, found by Optuna's ids.

tiny/l1/confirmed/l1-0-trial-0012-1843-nonzero.safetensors    a network, below its study's name
.ids/3f2a9c1e-...                                             its path, for whoever has the id
7d0c55b2-...                                                  a file without a path, as Optuna
                                                              alone keeps all of them
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from optuna.artifacts import FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from sweeper.atomic_write import atomic_write

_IDS = ".ids"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
"""Part of a path, or an id, that no file system reads as anything but a name."""


class ArtifactFolder(FileSystemArtifactStore):
    """Optuna's artifact store in a folder, which can also give its files paths.

    Whatever Optuna or its dashboard write or have written there is read as ever. Reading changes
    nothing, so that the folder may be mounted read-only.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder

    def write_at(self, artifact_id: str, path: str, content: bytes) -> None:
        """Write a file at a path below the folder, or near it where another's is; again, it stays.

        A file is seen whole or not at all, at any moment. Raises OSError, and ValueError for a path
        or an id that is no safe name.
        """
        parts = path.split("/")
        if not all(map(_PART.fullmatch, (artifact_id, *parts))):
            raise ValueError(f"artifacts: {path}: not a path of safe names")
        wanted = self._folder.joinpath(*parts)
        wanted.parent.mkdir(parents=True, exist_ok=True)
        beside = wanted.with_name(f".{uuid4().hex}.tmp")
        try:
            with beside.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            place = _placed(beside, wanted, artifact_id, content)
        finally:
            beside.unlink(missing_ok=True)
        # The file comes first: an id that has a path has a file.
        atomic_write(self._folder / _IDS / artifact_id, self._relative(place).encode())

    def replace(self, artifact_id: str, file: BinaryIO) -> None:
        """Write a file without a path, in place of what has that id; seen whole or not at all."""
        if not _PART.fullmatch(artifact_id):
            raise ValueError(f"artifacts: {artifact_id}: not a safe name")
        beside = self._folder / f".{uuid4().hex}.tmp"
        try:
            with beside.open("xb") as copy:
                shutil.copyfileobj(file, copy)
                copy.flush()
                os.fsync(copy.fileno())
            beside.replace(self._folder / artifact_id)
        finally:
            beside.unlink(missing_ok=True)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open a file by its id. Raises ArtifactNotFound."""
        place = self._place(artifact_id)
        if place is None:
            return super().open_reader(artifact_id)
        try:
            return place.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            raise ArtifactNotFound("not found") from None

    def remove(self, artifact_id: str) -> None:
        """Remove a file by its id. Raises ArtifactNotFound."""
        place = self._place(artifact_id)
        if place is None:
            super().remove(artifact_id)
            return
        try:
            place.unlink()
        except (FileNotFoundError, NotADirectoryError):
            raise ArtifactNotFound("not found") from None
        (self._folder / _IDS / artifact_id).unlink(missing_ok=True)

    def _relative(self, place: Path) -> str:
        return place.relative_to(self._folder).as_posix()

    def _place(self, artifact_id: str) -> Path | None:
        """Return the path of an id; None if it has none, or one that leads out of the folder."""
        if not _PART.fullmatch(artifact_id):
            return None
        try:
            path = (self._folder / _IDS / artifact_id).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        parts = path.split("/")
        return self._folder.joinpath(*parts) if all(map(_PART.fullmatch, parts)) else None


def _placed(beside: Path, wanted: Path, artifact_id: str, content: bytes) -> Path:
    """Give a written file its name, never one that another file has; return its path.

    Another sweep of this name, in another database, may keep its networks in the same folder.
    """
    for place in _candidates(wanted, artifact_id):
        try:
            os.link(beside, place)  # unlike a renaming it fails where there is a file already
        except FileExistsError:
            if place.read_bytes() != content:
                continue
        except OSError:  # a file system without links: a name with the id is nobody else's
            break
        return place
    place = wanted.with_stem(f"{wanted.stem}-{artifact_id}")
    beside.replace(place)
    return place


def _candidates(wanted: Path, artifact_id: str) -> Iterator[Path]:
    yield wanted
    yield wanted.with_stem(f"{wanted.stem}-{artifact_id[:8]}")
