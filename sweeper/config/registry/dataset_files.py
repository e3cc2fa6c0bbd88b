"""Dataset files as torchvision expects them: their names, and the faults of one.

Those in the format of MNIST are known by their shapes, others by their checksums. Whether MNIST is
whole is seen by its hash, which every worker takes anyway; its files are looked at when that is
another one.
"""

import errno
import hashlib
import math
import os
import zlib
from pathlib import Path

from sweeper.config.registry import DatasetEntry

_UNSIGNED_BYTES = 8
_GZIP = b"\x1f\x8b"


def shapes(dataset: DatasetEntry) -> dict[str, tuple[int, ...]]:
    """Return the shape of what each file in the format of MNIST holds; none for other formats."""
    if not dataset.torchvision or dataset.files:
        return {}
    train, test = dataset.train + dataset.validation, dataset.test
    _, height, width = dataset.shape
    collection = f"emnist-{dataset.subset}-" if dataset.subset else ""
    learned, judged = f"{collection}train", f"{collection}test" if collection else "t10k"
    return {
        f"{learned}-images-idx3-ubyte": (train, height, width),
        f"{learned}-labels-idx1-ubyte": (train,),
        f"{judged}-images-idx3-ubyte": (test, height, width),
        f"{judged}-labels-idx1-ubyte": (test,),
    }


def names(dataset: DatasetEntry) -> tuple[str, ...]:
    """Return the names of a dataset's files; none for one that comes with a package."""
    return tuple(dataset.files or shapes(dataset))


def raw_folder(folder: Path, dataset: DatasetEntry) -> Path:
    """Return the folder of a dataset's files within the folder of datasets."""
    return folder / dataset.folder


def are_there(raw: Path, dataset: DatasetEntry) -> bool:
    """Tell whether all files of a dataset are there; one that comes with a package always is."""
    return all(_is_there(raw / file) for file in names(dataset))


def unreadable(raw: Path, dataset: DatasetEntry) -> str:
    """Return a file that this account may not read, and the reason; '' if it may read all there.

    Nothing is wrong with such a file, which may be somebody else's.
    """
    for file in names(dataset):
        path = raw / file
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            return f"{path}: cannot be read: {error.strerror}"
        if not os.access(path, os.R_OK):
            return f"{path}: cannot be read: {os.strerror(errno.EACCES)}"
    return ""


def damage(raw: Path, dataset: DatasetEntry) -> dict[str, str]:
    """Return the faults of the files that are there: file -> fault in a few words."""
    damage_of_file = {}
    shape_of_file = shapes(dataset)
    for file in names(dataset):
        path = raw / file
        if not _is_there(path):
            continue
        try:
            if file in shape_of_file:
                fault = _damage(path, shape_of_file[file], dataset)
            else:
                fault = _another_checksum(path, dataset.files[file])
        except OSError as error:
            fault = f"cannot be read: {error.strerror}"
        if fault:
            damage_of_file[file] = fault
    return damage_of_file


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # this account may not look into its folder
        return False


def _another_checksum(path: Path, checksum: str) -> str:
    """Return the fault of a file of which only the MD5 is known, or ''."""
    if not path.stat().st_size:
        return "is empty"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return "" if digest.hexdigest() == checksum else "has another checksum"


def _damage(path: Path, shape: tuple[int, ...], dataset: DatasetEntry) -> str:
    content = path.read_bytes()
    head = _head(shape)
    size = len(head) + math.prod(shape)
    if not content:
        return "is empty"
    if content[: len(head)] != head:
        others = (path.with_name(other) for other in shapes(dataset) if other != path.name)
        copied = next((other.name for other in others if _equal(other, content)), "")
        return f"is a copy of {copied}" if copied else _begins_otherwise(content, shape)
    if len(content) != size:
        word = "cut off" if len(content) < size else "too long"
        return f"is {word}: {len(content):,} bytes, expected {size:,}"
    if len(shape) == 1:
        outside = [label for label in content[len(head) :] if label >= dataset.classes]
        if outside:
            allowed = f"0 to {dataset.classes - 1}"
            return f"holds {len(outside):,} labels that are not {allowed}, as {outside[0]}"
    if checksum := dataset.checksums.get(path.name):
        return "" if hashlib.sha256(content).hexdigest() == checksum else "has another checksum"
    return _against_download(path, content, dataset)


def _head(shape: tuple[int, ...]) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in shape)
    return bytes((0, 0, _UNSIGNED_BYTES, len(shape))) + sizes


def _begins_otherwise(content: bytes, shape: tuple[int, ...]) -> str:
    if content.startswith(_GZIP):
        return "is compressed: gunzip it"
    if content[:4] != _head(shape)[:4] or len(content) < len(_head(shape)):
        return "is no file of this kind"
    sizes = [int.from_bytes(content[at : at + 4], "big") for at in range(4, len(_head(shape)), 4)]
    return f"holds {_times(sizes)}, expected {_times(shape)}"


def _against_download(path: Path, content: bytes, dataset: DatasetEntry) -> str:
    """Compare a file with what it was unpacked from, if that is there and as it was published."""
    packed = path.with_name(f"{path.name}.gz")
    checksum = dataset.downloads.get(packed.name)
    if not checksum or not packed.is_file():
        return ""
    download = packed.read_bytes()
    if hashlib.md5(download, usedforsecurity=False).hexdigest() != checksum:
        return ""
    unpacked = int.from_bytes(download[-8:-4], "little")  # gzip ends with a checksum and the size
    return "" if zlib.crc32(content) == unpacked else f"is not what {packed.name} holds"


def _equal(path: Path, content: bytes) -> bool:
    if not path.is_file() or path.stat().st_size != len(content):
        return False
    return path.read_bytes() == content


def _times(sizes: tuple[int, ...] | list[int]) -> str:
    return " x ".join(f"{size:,}" for size in sizes)
