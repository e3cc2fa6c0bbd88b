"""Picture files: PNG and JPEG files in folders of classes, listed and decoded."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sweeper.errors import DataError, first_line
from sweeper.training.raw_dataset import Array

_ENDINGS = (".png", ".jpg", ".jpeg")
_PARTS = {"train": ("train",), "validation": ("validation", "val"), "test": ("test",)}
_GREY = frozenset({"1", "L", "LA", "La"})
_HIDDEN = (".", "__")
"""Beginnings of names that no one gave to a class, such as __MACOSX."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A file of a class, as its folder lists it."""

    path: str  # a Path took half of the time that a cached folder takes
    label: str
    bytes: int
    modified: int
    """Nanoseconds since 1970."""


def listed(folder: Path) -> tuple[dict[str, list[Picture]], tuple[str, ...]]:
    """Return the pictures of each part, and notes on what is left out. Raises DataError.

    They come in the order of their classes and names, whatever the file system's is.
    """
    if not folder.is_dir():
        raise DataError(f"folder: {folder}: is a file")
    there = {entry.name: Path(entry.path) for entry in _entries(folder) if _is_folder(entry)}
    strays: list[str] = []
    notes: list[str] = []
    if "train" in there:
        parts = {}
        for part, names in _PARTS.items():
            if both := [name for name in names if name in there][1:]:
                raise DataError(f"folder: {folder}: has {part}/ and {both[0]}/: one is enough")
            for name in names:
                if name in there:
                    parts[part] = _classes(there.pop(name), strays)
        if there:
            notes.append(f"left out beside train: {', '.join(sorted(there))}")
    else:
        parts = {"train": _classes(folder, strays)}
    if strays:
        notes.append(
            f"left out: {len(strays):,} beside the PNG and JPEG files, such as {strays[0]}"
        )
    return parts, tuple(notes)


def _classes(folder: Path, strays: list[str]) -> list[Picture]:
    """Return the pictures of the classes of a folder; names of other files go to `strays`."""
    pictures: list[Picture] = []
    classes = 0
    for entry in _entries(folder):
        if not _is_folder(entry):
            strays.append(entry.name)
            continue
        classes += 1
        before = len(pictures)
        for file in _entries(Path(entry.path)):
            if not file.name.lower().endswith(_ENDINGS) or file.is_dir():
                strays.append(file.name)
                continue
            try:
                status = file.stat()
            except OSError as error:
                raise DataError(f"{file.path}: cannot be read: {error.strerror}") from error
            pictures.append(Picture(file.path, entry.name, status.st_size, status.st_mtime_ns))
        if len(pictures) == before:
            raise DataError(f"folder: {entry.path}: class {entry.name!r} has no PNG or JPEG files")
    if not classes:
        raise DataError(f"folder: {folder}: has no folders of pictures, one for each class")
    return pictures


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    """Return what a folder holds, by name, hidden files apart. Raises DataError."""
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(_HIDDEN)]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from error
    return sorted(visible, key=lambda entry: entry.name)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to a place that this account may not look into
        return False


def decoded(picture: Picture, size: int | None, channels: int | None) -> Array:
    """Return a picture as [channels, height, width], uint8. Raises DataError with its path."""
    try:
        with Image.open(picture.path, formats=("PNG", "JPEG")) as image:
            return _pixels(image, picture.path, size, channels)
    except (DataError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        reason = "is empty" if not picture.bytes else "is no PNG or JPEG picture"
        raise DataError(f"{picture.path}: {reason}") from error
    except Exception as error:  # Pillow's readers of damaged files raise many kinds
        reason = getattr(error, "strerror", None) or first_line(error)
        text = f"{picture.path}: cannot be read as a picture"
        raise DataError(f"{text}: {reason}") from error


def _pixels(image: Image.Image, path: str, size: int | None, channels: int | None) -> Array:
    if image.mode.startswith(("I", "F")):  # Pillow would cut them off at 255
        raise DataError(f"{path}: has more than 8 bits for each pixel and channel: reduce them")
    turned = ImageOps.exif_transpose(image) if "exif" in image.info else image
    if turned.mode == "P" and "transparency" in turned.info:
        turned = turned.convert("RGBA")
    grey = channels == 1 or (channels is None and turned.mode in _GREY)
    plain = turned.convert("L" if grey else "RGB")
    if size and plain.size != (size, size):
        plain = plain.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(plain)
    return pixels[None] if grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))
