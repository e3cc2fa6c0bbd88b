"""Answers kept until what they say is no longer true: many viewers cost as much as one."""

import gzip
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST = 512
"""Answers that are kept."""
SHORT = 1024
"""Bytes under which compression is not worth its header."""


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of an answer, as they are and compressed."""

    plain: bytes
    packed: bytes | None
    tag: str
    """For the ETag header: equal for equal bytes."""

    @classmethod
    def of(cls, content: bytes) -> "Body":
        small = len(content) < SHORT
        packed = None if small else gzip.compress(content, compresslevel=5, mtime=0)
        return cls(content, packed, f'"{hashlib.sha256(content).hexdigest()[:24]}"')


@dataclass(slots=True)
class _Entry:
    version: str
    made: float
    body: Body


class Kept:
    """A cache by key. Of several who ask at once for the same, one makes it and all get it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._making: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def get(self, key: str, version: str, make: Callable[[], bytes]) -> Body:
        """Return what `make` gives, made again when the version is another one."""
        return self._get(key, lambda entry: entry.version == version, version, make)

    def recent(self, key: str, seconds: float, make: Callable[[], bytes]) -> Body:
        """Return what `make` gave at most so many seconds ago."""
        return self._get(key, lambda entry: self._clock() - entry.made <= seconds, "", make)

    def _get(
        self, key: str, good: Callable[[_Entry], bool], version: str, make: Callable[[], bytes]
    ) -> Body:
        found = self._found(key, good)
        if found is None:
            with self._lock(key):
                found = self._found(key, good)
                if found is None:
                    made = self._clock()  # before it is read: never older than it says
                    found = _Entry(version, made, Body.of(make()))
                    self._put(key, found)
        return found.body

    def _found(self, key: str, good: Callable[[_Entry], bool]) -> _Entry | None:
        with self._guard:
            entry = self._entries.get(key)
            if entry is None or not good(entry):
                return None
            self._entries.move_to_end(key)
            return entry

    def _put(self, key: str, entry: _Entry) -> None:
        with self._guard:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            while len(self._entries) > MOST:
                gone, _ = self._entries.popitem(last=False)
                self._making.pop(gone, None)

    def _lock(self, key: str) -> threading.Lock:
        with self._guard:
            return self._making.setdefault(key, threading.Lock())
