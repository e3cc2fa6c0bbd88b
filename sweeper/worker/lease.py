"""What a worker watches beside its training: its lease, its sweep, signals and its launcher."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from sweeper.errors import Interrupted, LeaseLost, StorageError, UnknownSweepError
from sweeper.retry import RetryPolicy
from sweeper.store import Store
from sweeper.worker import interrupts

PARENT = "SWEEPER_PARENT"
"""Process id of the launcher: when it is gone, however it went, its workers stop."""

PROGRESS_SECONDS = 5.0
"""Between two renewals at the most: people watch the progress that goes with them."""

BRIEF_SECONDS = 2.0
"""For which a renewal is tried again before the launcher and the lease are looked at."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopFlag:
    """Why the worker should stop, as a flag that signals and threads set.

    Not an Event: a signal that arrives while its own thread is inside of one locks up.
    """

    def __init__(self) -> None:
        self._reason = ""
        self._raises = False

    @property
    def asked(self) -> bool:
        """Whether the worker was asked to stop."""
        return bool(self._reason)

    def set(self, reason: str) -> None:
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
    """Turn the first SIGTERM, Ctrl-C or SIGHUP into a Stop; the second one acts as before."""
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


class Lease:
    """A worker's lease, renewed by a thread with connections of its own while training goes on."""

    def __init__(self, store: Store, name: str, device: str, stop: StopFlag) -> None:
        self.worker = store.join(name, device=device)
        self.stopped = threading.Event()
        """Set once the sweep was seen to be stopped, or given up."""
        self.progress = 0.0
        """Share of the present pack that is trained; shown with every renewal."""
        self._store, self._name, self._stop = store, name, stop
        self._lost = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sweeper-lease", daemon=True)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join(timeout=5.0)  # it may be waiting for a database that is away
        with suppress(StorageError, Interrupted):  # the lease runs out by itself
            self._store.leave(self.worker)

    def check(self) -> None:
        """Raise LeaseLost or Interrupted if training should end."""
        self._stop.check()
        if self._lost:
            raise LeaseLost(self._lost)
        if self.stopped.is_set():
            raise Interrupted(f"{self._name} was stopped")

    def _watch(self) -> None:
        own = self._store.reconnect(RetryPolicy(BRIEF_SECONDS))
        every = min(own.lease_seconds / 4, PROGRESS_SECONDS)
        waited = 0.0
        try:
            while not self._over.wait(min(every, 1.0)):
                waited += min(every, 1.0)
                if orphaned():
                    self._stop.set("the launcher is gone")
                try:
                    if waited >= every:
                        waited = 0.0
                        own.renew(self.worker, progress=self.progress)
                    if own.state(self._name) != "open":
                        self.stopped.set()
                except (LeaseLost, UnknownSweepError) as error:
                    self._lost = str(error)
                    return
                except StorageError:
                    continue  # the database decides by its own clock whether that was too long
        finally:
            own.close()


def orphaned() -> bool:
    """Tell whether the launcher that started this process has ended."""
    parent = os.environ.get(PARENT)
    return parent is not None and os.getppid() != int(parent)
