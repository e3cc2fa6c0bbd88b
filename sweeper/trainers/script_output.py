"""Script output: what a user's script prints, read as it comes, kept in a file within bounds.

A script may print a gigabyte, and its worker must neither block it nor fill the disk.
"""

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FIRST, LAST = 5_000_000, 64_000
"""Bytes that are kept of the beginning of an output, and of its end."""
LONGEST_LINE = 1_000_000
_PIECE = 65_536
_LOOK_MILLISECONDS = 500
_BEHIND_SECONDS = 2.0
"""For which the file may lack the end of an output that goes on and on."""


class BoundedLog:
    """A file with the beginning of an output and its end; what lies between is counted."""

    def __init__(self, path: Path, first: int = FIRST, last: int = LAST) -> None:
        self._file = path.open("wb", buffering=0)
        self._first, self._last = first, last
        self._written = 0
        """Bytes of the beginning that are in the file."""
        self._left_out = 0
        self._end = b""
        self._is_behind = False
        self.last_line = ""
        """The last line that is not empty."""

    def write(self, piece: bytes) -> None:
        """Take a piece of the output."""
        lines = [line for line in piece.splitlines() if line.strip()]
        if lines:
            self.last_line = lines[-1].decode(errors="replace").strip()
        beginning = piece[: self._first - self._written]
        with suppress(OSError):  # of a full disk: no reason to end a training
            self._file.write(beginning)
        self._written += len(beginning)
        if rest := piece[len(beginning) :]:
            end = self._end + rest
            self._end = end[-self._last :]
            self._left_out += len(end) - len(self._end)
            self._is_behind = True

    def catch_up(self) -> None:
        """Bring the end into the file."""
        if not self._is_behind:
            return
        self._is_behind = False
        note = f"\n[{self._left_out:,} bytes left out here]\n" if self._left_out else ""
        with suppress(OSError):
            self._file.seek(self._written)
            self._file.truncate()
            self._file.write(note.encode() + self._end)

    def close(self) -> None:
        """Bring the end into the file, and close it."""
        self.catch_up()
        self._file.close()


class _Lines:
    """Lines out of pieces; one that is longer than all that is of interest is dropped."""

    def __init__(self) -> None:
        self._rest = b""

    def of(self, piece: bytes) -> Iterator[bytes]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        self._rest = self._rest[: LONGEST_LINE + 1]
        yield from lines

    def rest(self) -> bytes:
        return self._rest


class ScriptOutput:
    """The pipes of a program's standard output and standard error, read by a thread."""

    def __init__(self) -> None:
        self._reading, self.writing = zip(os.pipe(), os.pipe(), strict=True)
        """`writing`: the ends for the program, to be closed by `started`."""
        self._lock = threading.Lock()
        self._log: BoundedLog | None = None
        self._on_line: Callable[[bytes], None] | None = None
        self._lines = _Lines()
        self._open = set(self._reading)
        for number in self._reading:
            os.set_blocking(number, False)
        self._thread = threading.Thread(target=self._read, name="sweeper-output", daemon=True)
        self._closing = False

    def started(self) -> None:
        """Read from now on: the program has its ends."""
        for number in self.writing:
            os.close(number)
        self._thread.start()

    @contextmanager
    def kept_in(
        self, log: BoundedLog, on_line: Callable[[bytes], None] | None = None
    ) -> Iterator[None]:
        """Keep what is printed in a `with` block; lines of standard output go to `on_line`."""
        with self._lock:
            self._log, self._on_line, self._lines = log, on_line, _Lines()
        try:
            yield
        finally:
            with self._lock:
                if on_line and (rest := self._lines.rest()):
                    on_line(rest)
                self._log = self._on_line = None
                log.close()

    def settle(self, seconds: float) -> None:
        """Wait until all that was printed so far is read."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with self._lock:
                if not self._open or not self._poll(0):
                    return
            time.sleep(0.001)

    def close(self) -> None:
        """Read no more."""
        self._closing = True
        if self._thread.ident is not None:
            self._thread.join(2 * _LOOK_MILLISECONDS / 1000)
        with self._lock:
            for number in self._reading:
                os.close(number)
            self._open.clear()

    def _poll(self, milliseconds: int) -> list[int]:
        poll = select.poll()
        for number in self._open:
            poll.register(number, select.POLLIN)
        return [number for number, _ in poll.poll(milliseconds)]

    def _read(self) -> None:
        caught_up = time.monotonic()
        while self._open and not self._closing:
            ready = self._poll(_LOOK_MILLISECONDS)
            with self._lock:
                for number in ready:
                    self._take(number)
                if not ready or time.monotonic() - caught_up > _BEHIND_SECONDS:
                    caught_up = time.monotonic()
                    if self._log:
                        self._log.catch_up()

    def _take(self, number: int) -> None:
        try:
            piece = os.read(number, _PIECE)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._open.discard(number)
            return
        if self._log:
            self._log.write(piece)
        if self._on_line and number == self._reading[0]:
            for line in self._lines.of(piece):
                self._on_line(line)
