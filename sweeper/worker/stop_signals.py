"""Stop signals of a worker: the flag that they set, and the end by force where nobody looks at it.

A worker stops after SIGTERM, Ctrl-C or SIGHUP, and when its launcher is gone. It has ten seconds.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from sweeper.errors import Interrupted
from sweeper.retry import SERVICE, RetryPolicy, throttled_notice
from sweeper.settings import PARENT_VARIABLE
from sweeper.store import Store
from sweeper.worker import interrupts

FIRST_SECONDS = 3.0
"""In which even a worker that stops tries a database again: what it holds is given back at once."""
ORDERLY_SECONDS = 8.5
"""For a worker to stop in good order, of its ten."""
RELEASE_SECONDS = 1.0
"""For what is done in its place then."""
_LOOK_SECONDS = 0.25
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopFlag:
    """A flag with the reason to stop, which signals and threads set.

    Not an Event: a signal that arrives while its own thread is inside of one locks up.
    """

    def __init__(self) -> None:
        self._reason = ""
        self._raises = False

    @property
    def is_set(self) -> bool:
        """True once the worker was asked to stop."""
        return bool(self._reason)

    def set(self, reason: str) -> None:
        """Ask to stop; the first reason stays."""
        self._reason = self._reason or reason

    def check(self) -> None:
        """Raise Interrupted once the worker was asked to stop."""
        if self._reason:
            raise Interrupted(self._reason)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Have a signal raise Interrupted wherever it arrives in a `with` block: in an import, say.

        For what holds nothing that is to be given back.
        """
        self.check()
        self._raises = True
        try:
            yield
        except Exception:
            self.check()  # what is raised by a signal may come out as another error, or as none
            raise
        finally:
            self._raises = False
        self.check()

    def receive(self, number: int) -> None:
        """Take a signal."""
        self.set(f"stopped by {signal.Signals(number).name}")
        if self._raises:
            self.check()

    def wait(self, seconds: float) -> None:
        """Sleep, but not on after a signal."""
        until = time.monotonic() + seconds
        while not self._reason and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))


@contextmanager
def handle_signals() -> Iterator[StopFlag]:
    """Turn the first SIGTERM, Ctrl-C or SIGHUP into a StopFlag; the second one acts as before."""
    stop = StopFlag()
    before: dict[signal.Signals, Any] = {}

    def restore() -> None:
        while before:
            signal.signal(*before.popitem())

    def receive(number: int, frame: FrameType | None) -> None:
        restore()
        stop.receive(number)

    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is signal.SIG_IGN and number != signal.SIGTERM:
                continue  # started in the background of a script, or by nohup: not for it
            before[number] = signal.signal(number, receive)
    if interrupts.came():  # and was lost on its way here
        stop.set(f"stopped by {signal.SIGINT.name}")
    try:
        yield stop
    finally:
        restore()


def stop_if_orphaned(stop: StopFlag) -> None:
    """Set the flag if the launcher that started this process has ended."""
    parent = os.environ.get(PARENT_VARIABLE)
    if parent is not None and os.getppid() != int(parent):
        stop.set("the launcher is gone")


def stoppable_policy(stop: StopFlag, on_event: Callable[[str], None]) -> RetryPolicy:
    """Return the retry policy of a worker: it tells of outages, and raises Interrupted on a stop.

    It waits for a database that is away as long as a service does.
    """
    notice = throttled_notice(on_event)

    def on_wait(line: str, seconds: float) -> None:
        if seconds >= FIRST_SECONDS:
            stop.check()
        notice(line, seconds)

    return RetryPolicy(SERVICE, on_wait)


@contextmanager
def exit_in_time(stop: StopFlag, store: Store, worker_id: Callable[[], str]) -> Iterator[None]:
    """End this process if a `with` block goes on for too long after it was asked to stop.

    Loops are compiled, libraries loaded and functions of a user's called for as long as they take,
    and none of them looks at a flag. The slots of the worker `worker_id()` are given back: its
    lease ends, and others recover what Optuna has of it.
    """
    left = threading.Event()
    thread = threading.Thread(
        target=_exit_when_late,
        args=(stop, store, worker_id, left),
        name="sweeper-leaving",
        daemon=True,
    )
    thread.start()
    try:
        yield
    finally:
        left.set()


def _exit_when_late(
    stop: StopFlag, store: Store, worker_id: Callable[[], str], left: threading.Event
) -> None:
    asked_at: float | None = None
    while not left.wait(_LOOK_SECONDS):
        stop_if_orphaned(stop)
        if not stop.is_set:
            continue
        asked_at = asked_at or time.monotonic()
        if time.monotonic() - asked_at >= ORDERLY_SECONDS:
            _end_lease(store, worker_id())
            with suppress(OSError):
                print("error: asked to stop while busy, and ended", file=sys.stderr, flush=True)
            os._exit(Interrupted.exit_code)


def _end_lease(store: Store, worker_id: str) -> None:
    """End a lease, if the database answers at once; else it expires by itself."""

    def leave() -> None:
        with suppress(Exception):
            store.reconnect(RetryPolicy(RELEASE_SECONDS)).leave(worker_id)

    if worker_id:
        thread = threading.Thread(target=leave, name="sweeper-giving-back", daemon=True)
        thread.start()
        thread.join(RELEASE_SECONDS)
