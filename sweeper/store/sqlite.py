"""SQLite file of a storage: opened to be written, or read-only where it cannot be written."""

import errno
import os
import sqlite3
from functools import partial
from pathlib import Path

from sqlalchemy.exc import DisconnectionError

from sweeper.errors import StorageError

_WAL_VERSION = b"\x02\x02"  # bytes 18 and 19 of the file's header, where it keeps a log


class _Still(sqlite3.Connection):
    """A file that nobody writes, read without locks and without files beside it."""

    file: Path
    seen: tuple[int, ...]


def is_there(file: Path) -> bool:
    """Tell whether there is such a file. Raises StorageError if this account may not read it."""
    try:
        file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StorageError(f"storage {file}: cannot be read: {error.strerror}") from error
    if not os.access(file, os.R_OK):
        raise StorageError(f"storage {file}: cannot be read: {os.strerror(errno.EACCES)}")
    return True


def unwritable(file: Path) -> str:
    """Return the path that keeps SQLite from writing a file, or from making it; '' if none does."""
    file = Path(os.path.realpath(file))  # beside which SQLite makes two more, not beside a link
    folder = file.parent
    if not os.path.lexists(file):
        nearest = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
        bars = nearest.is_dir() and not os.access(nearest, os.W_OK | os.X_OK)
        return str(nearest) if bars else ""
    if not os.access(file, os.W_OK):
        return str(file)
    log = all(os.access(beside, os.W_OK) for beside in (_beside(file, "wal"), _beside(file, "shm")))
    return "" if log or os.access(folder, os.W_OK | os.X_OK) else str(folder)


def refuse_unwritable(file: Path) -> None:
    """Raise StorageError if this account cannot write a file, or make it."""
    if path := unwritable(file):
        raise StorageError(_refusal(file, path))


def connect(file: Path, timeout: float) -> sqlite3.Connection:
    """Open a file, one that cannot be written for reading alone."""
    open_ = partial(sqlite3.connect, timeout=timeout, check_same_thread=False)
    if not unwritable(file):
        return open_(file)
    file = Path(os.path.realpath(file))
    uri = f"{file.as_uri()}?mode=ro"
    if _keeps_a_log(file) and not _is_in_use(file):
        # SQLite would make a log and its index to read the file: it cannot, or would leave files
        # behind that whoever may write it cannot.
        seen = _signs(file)
        still: _Still = sqlite3.connect(
            f"{uri}&immutable=1", timeout, check_same_thread=False, factory=_Still, uri=True
        )
        still.file, still.seen = file, seen
        return still
    return open_(uri, uri=True)


def refuse_changed(connection: sqlite3.Connection, *_: object) -> None:
    """Have the pool open a file anew that somebody has begun to write. An event of pools."""
    if isinstance(connection, _Still) and (
        _is_in_use(connection.file) or _signs(connection.file) != connection.seen
    ):
        raise DisconnectionError("the file has changed")


def explained(file: Path, error: str) -> str:
    """Return the cause of SQLite's error where this account cannot write a file; '' otherwise."""
    if not (path := unwritable(file)):
        return ""
    if "readonly" in error:
        return _refusal(file, path)
    if _has_log(Path(os.path.realpath(file))):
        return (
            f"storage {file}: was not closed, and SQLite cannot read {file.name}-wal beside it "
            "without writing: copy all of its files to a folder of your own"
        )
    return ""


def _refusal(file: Path, path: str) -> str:
    return (
        f"storage {file}: {path} cannot be written by this account: use a file in a folder that "
        "it may write to"
    )


def _keeps_a_log(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(20)[18:] == _WAL_VERSION


def _has_log(file: Path) -> bool:
    try:
        return _beside(file, "wal").stat().st_size > 0
    except OSError:
        return False


def _is_in_use(file: Path) -> bool:
    """Tell whether somebody has opened a file, or left a log with something in it."""
    return _has_log(file) or all(_beside(file, kind).exists() for kind in ("wal", "shm"))


def _signs(file: Path) -> tuple[int, ...]:
    stat = file.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _beside(file: Path, kind: str) -> Path:
    return file.with_name(f"{file.name}-{kind}")
