"""Compiled loops kept for the next process, in a folder that nobody else can write.

They are code: what another user may have put there is never read. And they only save time:
whatever is wrong with the folder or a file in it, loops are compiled again, with a line of warning.
Of processes that begin together one compiles a loop, and the others wait for what it keeps.
"""

import hashlib
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_cache_dir

from sweeper.atomic_write import atomic_write
from sweeper.errors import SweeperError
from sweeper.settings import LOOPS_VARIABLE

_log = logging.getLogger("sweeper.loops")
ENDING = ".nbc"
LONGEST_WAIT = 60.0
"""Seconds after which a loop is compiled although another process has not finished with it."""
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def folders() -> list[Path]:
    """Return where loops may be kept, the first choice first."""
    package = Path(__file__).resolve().parent
    installed = hashlib.sha256(os.fsencode(package)).hexdigest()[:8]
    name = f"sweeper-{os.geteuid()}-{installed}"
    if chosen := os.environ.get(LOOPS_VARIABLE):
        return [Path(chosen).absolute() / name]
    cache = Path(user_cache_dir("sweeper"))
    # Without a home there is no such folder: what is returned begins with ~.
    return [package / "__pycache__" / name, *([cache / name] if cache.is_absolute() else [])]


def refusal(folder: Path) -> str:
    """Return why no loops are kept in a folder, '' if they are. Makes nothing."""
    try:
        known = folder.stat()
    except FileNotFoundError:
        nearest = next(each for each in folder.parents if each.exists())
        if not nearest.is_dir():
            return f"{nearest} is no folder"
        return "" if os.access(nearest, os.W_OK | os.X_OK) else f"{nearest} cannot be written"
    except OSError as error:
        return error.strerror or "cannot be read"
    if not stat.S_ISDIR(known.st_mode):
        return "is no folder"
    if others := _others(known):
        return others
    return "" if os.access(folder, os.W_OK | os.X_OK) else "cannot be written"


def any_kept() -> bool:
    """Tell whether loops of this installation are kept on this machine. Makes nothing."""
    return any(
        next(folder.glob(f"*{ENDING}"), None) is not None
        for folder in folders()
        if folder.is_dir() and not refusal(folder)
    )


def damaged(folder: Path) -> list[Path]:
    """Return the files in a folder that would not be read. Raises OSError."""
    files = sorted(folder.glob(f"*{ENDING}")) if folder.is_dir() else []
    return [file for file in files if _content(file) is None]


class LoopCache:
    """The loops of this installation, as files with a checksum."""

    def __init__(self) -> None:
        self._warned = False
        self._full = False
        self._lock: FileLock | None = None

    @cached_property
    def folder(self) -> Path | None:
        """Where loops are kept; None, after a line of warning, if nowhere."""
        reasons = []
        for folder in folders():
            reason = refusal(folder)
            if not reason:
                try:
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                except OSError as error:
                    reason = error.strerror or "cannot be made"
                else:
                    return folder
            reasons.append(f"{folder}: {reason}")
        self.warn(f"not kept: {'; '.join(reasons)}; {LOOPS_VARIABLE} may name a folder of your own")
        return None

    def read(self, name: str) -> bytes | None:
        """Return what was kept under a name; None if nothing was, or nothing to rely on."""
        if self.folder is None:
            return None
        path = self.folder / name
        try:
            content = _content(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.warn(f"compiled again: {path}: {error.strerror}; empty {self.folder}")
            return None
        if content is None:
            self.warn(f"compiled again: {path} is damaged; empty {self.folder} if it is said again")
        return content

    def begin(self) -> None:
        """Wait until no other process compiles, and keep others waiting until `end`.

        One that dies keeps nobody waiting: the system takes its lock back. Calls may be nested.
        """
        if self.folder is None or self._full:
            return
        if self._lock is None:
            self._lock = FileLock(self.folder / ".lock", timeout=LONGEST_WAIT, mode=0o600)
        with suppress(Timeout, OSError):  # only time is lost
            self._lock.acquire()

    def end(self) -> None:
        """Let other processes compile."""
        if self._lock is not None:
            self._lock.release()

    def write(self, name: str, content: bytes) -> None:
        """Keep something under a name, which begins as names of its older versions do."""
        if self.folder is None or self._full:
            return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            atomic_write(self.folder / name, hashlib.sha256(content).digest() + content)
        except (SweeperError, OSError) as error:
            self._full = True  # what was kept before is still read
            self.warn(
                f"not kept: {error}; empty {self.folder}, or name another by {LOOPS_VARIABLE}"
            )
            return
        with suppress(OSError):
            for old in self._older(name):
                old.unlink()

    def warn(self, reason: str) -> None:
        """Say once in this process why loops are compiled again."""
        if not self._warned:
            self._warned = True
            _log.warning("loops are %s", reason)

    def _older(self, name: str) -> Iterator[Path]:
        """Yield files of the same function from other sources: NAME-SOURCES-SIGNATURE.nbc."""
        function, sources, _ = name.rsplit("-", 2)
        if self.folder is not None:
            for file in self.folder.glob(f"{function}-*{ENDING}"):
                if not file.name.startswith(f"{function}-{sources}-"):
                    yield file


def _content(path: Path) -> bytes | None:
    """Return what a file holds, None if it is damaged or may be another user's. Raises OSError."""
    with path.open("rb") as file:
        if _others(os.fstat(file.fileno())):
            return None
        digest, content = file.read(hashlib.sha256().digest_size), file.read()
    return content if hashlib.sha256(content).digest() == digest else None


def _others(known: os.stat_result) -> str:
    """Return by whom something could have been written beside this user, '' if by nobody."""
    if known.st_uid != os.geteuid():
        return "belongs to another user"
    return "others can write it" if known.st_mode & _OTHERS else ""
