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
ROOM = 128 * 1024 * 1024
"""Bytes of them."""
SHORT = 1024
"""Bytes under which compression is not worth its header."""


@dataclass(frozen=True, slots=True)
class ResponseBody:
    """The bytes of an answer, as they are and compressed."""

    plain: bytes
    packed: bytes | None
    tag: str
    """For the ETag header: equal for equal bytes."""

    @classmethod
    def of(cls, content: bytes) -> "ResponseBody":
        """Pack what is worth it."""
        small = len(content) < SHORT
        packed = None if small else gzip.compress(content, compresslevel=5, mtime=0)
        return cls(content, packed, f'"{hashlib.sha256(content).hexdigest()[:24]}"')

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.plain) + len(self.packed or b"")


@dataclass(slots=True)
class _Entry:
    version: str
    made: float
    body: ResponseBody


_Good = Callable[[_Entry, float], bool]
"""Whether an answer may be given to somebody who asked at a moment."""


class ResponseCache:
    """A cache by key. Of several who ask at once for the same, one makes it and all get it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._making: dict[str, threading.Lock] = {}
        self._size = 0
        self._guard = threading.Lock()

    def get(self, key: str, version: str, make: Callable[[], bytes]) -> ResponseBody:
        """Return what `make` gives, made again when the version is another one."""
        return self._get(key, lambda entry, _: entry.version == version, version, make)

    def recent(self, key: str, seconds: float, make: Callable[[], bytes]) -> ResponseBody:
        """Return what `make` gave at most so many seconds ago, or was asked for since the call."""

        def good(entry: _Entry, asked: float) -> bool:
            return entry.made >= asked or self._clock() - entry.made <= seconds

        return self._get(key, good, "", make)

    def _get(self, key: str, good: _Good, version: str, make: Callable[[], bytes]) -> ResponseBody:
        asked = self._clock()
        found = self._found(key, good, asked)
        if found is None:
            with self._lock(key):
                found = self._found(key, good, asked)
                if found is None:
                    made = self._clock()  # before it is read: never older than it says
                    found = _Entry(version, made, ResponseBody.of(self._made(key, make)))
                    self._put(key, found)
        return found.body

    def _made(self, key: str, make: Callable[[], bytes]) -> bytes:
        try:
            return make()
        except BaseException:
            with self._guard:
                self._making.pop(key, None)  # names that are none would stay for ever
            raise

    def _found(self, key: str, good: _Good, asked: float) -> _Entry | None:
        with self._guard:
            entry = self._entries.get(key)
            if entry is None or not good(entry, asked):
                return None
            self._entries.move_to_end(key)
            return entry

    def _put(self, key: str, entry: _Entry) -> None:
        with self._guard:
            before = self._entries.pop(key, None)
            self._entries[key] = entry
            self._size += entry.body.size - (before.body.size if before else 0)
            while len(self._entries) > MOST or (self._size > ROOM and len(self._entries) > 1):
                gone, old = self._entries.popitem(last=False)
                self._size -= old.body.size
                self._making.pop(gone, None)

    def _lock(self, key: str) -> threading.Lock:
        with self._guard:
            return self._making.setdefault(key, threading.Lock())
