"""Single-flight cache: callers who ask for the same at the same time share one computation.

Many viewers cost as much as one, and nobody gets a value that is older than the call allows.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(eq=False, slots=True)
class _Entry(Generic[Value]):
    """A value that is being computed, or was computed."""

    began: float
    """Before anything was read: the value is never older than this says."""
    expires: float
    version: str
    previous: Value | None = None
    """The value before, until there is one."""
    future: "Future[Value]" = field(default_factory=Future)
    size: int = 0


class Cache(Generic[Key, Value]):
    """Values by key; beyond `most` entries or `room` bytes the least recently used are dropped.

    An error reaches everybody who waits for that computation, and is not stored. A caller for whom
    the computation under way is too old waits until it ends and shares the next one, so that there
    is one of a key at a time; with `overlap` it starts another at once.
    """

    def __init__(
        self,
        *,
        most: int = 512,
        room: float = math.inf,
        size: Callable[[Value], int] = lambda _: 0,
        storable: Callable[[Value], bool] = lambda _: True,
        overlap: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`size` gives the bytes of a value; one that is not `storable` is shared, not stored."""
        self._most, self._room, self._size, self._storable = most, room, size, storable
        self._overlap, self._clock = overlap, clock
        self._entries: OrderedDict[Key, _Entry[Value]] = OrderedDict()
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def total_size(self) -> int:
        """Bytes of all values, as `size` tells them."""
        return sum(entry.size for entry in self._entries.values())

    def recent(self, key: Key, seconds: float, compute: Callable[[], Value]) -> Value:
        """Return a value whose computation began less than `seconds` before this call, or since."""
        return self._get(key, seconds, "", compute)

    def versioned(self, key: Key, version: str, compute: Callable[[], Value]) -> Value:
        """Return the value of a version, however old; another version is computed anew."""
        return self._get(key, math.inf, version, compute)

    def latest(self, key: Key) -> Value | None:
        """Return the last value of a key, of whatever version; None without any."""
        with self._guard:
            entry = self._entries.get(key)
            return _latest(entry) if entry else None

    def join(self, key: Key, compute: Callable[[], Value], *, limit: float) -> Value:
        """Return the value of the computation under way, started now if there is none.

        Nothing is stored. Raises TimeoutError after `limit` seconds; the computation goes on.
        """
        with self._guard:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._insert(key, 0.0, "")
                task = threading.Thread(target=self._run, args=(key, entry, compute), daemon=True)
                # Not in the thread of the caller: it must be able to give up.
                try:
                    task.start()
                except RuntimeError:  # no room for one more thread
                    del self._entries[key]
                    raise
        return entry.future.result(timeout=limit)

    def clear(self) -> None:
        """Forget all values; one under way reaches only those who wait for it already."""
        with self._guard:
            self._entries.clear()

    def _get(self, key: Key, seconds: float, version: str, compute: Callable[[], Value]) -> Value:
        called = self._clock()
        while True:
            with self._guard:
                entry = self._entries.get(key)
                if entry and entry.version == version and called - entry.began < seconds:
                    self._entries.move_to_end(key)
                    is_new = False
                    break
                if entry is None or self._overlap or entry.future.done():
                    entry = self._insert(key, seconds, version)
                    is_new = True
                    break
            wait((entry.future,))
        if is_new:
            self._run(key, entry, compute)
        return entry.future.result()

    def _insert(self, key: Key, seconds: float, version: str) -> _Entry[Value]:
        """Add an entry, under the guard, and drop those that nobody can be given any more."""
        began = self._clock()
        for old in [old for old, entry in self._entries.items() if entry.expires <= began]:
            if self._entries[old].future.done():
                del self._entries[old]
        before = self._entries.pop(key, None)
        previous = _latest(before) if before else None
        entry: _Entry[Value] = _Entry(began, began + seconds, version, previous)
        self._entries[key] = entry
        self._shrink()
        return entry

    def _run(self, key: Key, entry: _Entry[Value], compute: Callable[[], Value]) -> None:
        try:
            value = compute()
        except BaseException as error:
            self._settle(key, entry, stored=False)
            entry.future.set_exception(error)
        else:
            entry.size = self._size(value)
            self._settle(key, entry, stored=self._storable(value))
            entry.future.set_result(value)

    def _settle(self, key: Key, entry: _Entry[Value], *, stored: bool) -> None:
        with self._guard:
            if self._entries.get(key) is not entry:
                return  # forgotten meanwhile, or another one took its place
            entry.previous = None
            if not stored or entry.expires <= entry.began:
                del self._entries[key]
            self._shrink()

    def _shrink(self) -> None:
        while len(self._entries) > self._most or (
            self.total_size > self._room and len(self._entries) > 1
        ):
            self._entries.popitem(last=False)


def _latest(entry: _Entry[Value]) -> Value | None:
    """Return the value of an entry that is stored, or the one before it."""
    return entry.future.result() if entry.future.done() else entry.previous
