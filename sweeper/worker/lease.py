"""Lease of a worker: its right to hold slots, renewed by a thread while training goes on."""

import threading
from contextlib import suppress

from sweeper.errors import Interrupted, LeaseLost, StorageError, UnknownSweepError
from sweeper.retry import RetryPolicy
from sweeper.store import Store
from sweeper.worker.stop_signals import StopFlag, stop_if_orphaned

PROGRESS_SECONDS = 5.0
"""Between two renewals at the most: people watch the progress that goes with them."""
RETRY_SECONDS = 2.0
"""For which a renewal is tried again before the launcher and the lease are looked at."""


class Lease:
    """A lease in a `with` block, renewed by a thread that has connections of its own.

    It expires if it is not renewed in time, by the clock of the database. Others may then claim
    the slots that it held.
    """

    def __init__(self, store: Store, name: str, device: str, stop: StopFlag) -> None:
        self.worker_id = store.join(name, device=device)
        """The id of the lease, in whose name slots are held."""
        self.progress = 0.0
        """Share of the present pack that is trained, from 0 to 1; goes with every renewal."""
        self._store, self._name, self._stop = store, name, stop
        self._expired = ""
        self._sweep_stopped = False
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="sweeper-lease", daemon=True)

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._left.set()
        self._thread.join(timeout=5.0)  # it may be waiting for a database that is away
        with suppress(StorageError, Interrupted):  # the lease expires by itself
            self._store.leave(self.worker_id)

    def check(self) -> None:
        """Raise LeaseLost if it expired, Interrupted if the worker or the sweep was stopped."""
        self._stop.check()
        if self._expired:
            raise LeaseLost(self._expired)
        if self._sweep_stopped:
            raise Interrupted(f"{self._name} was stopped")

    def _renew(self) -> None:
        store = self._store.reconnect(RetryPolicy(RETRY_SECONDS))
        every = min(store.lease_seconds / 4, PROGRESS_SECONDS)
        waited = 0.0
        try:
            while not self._left.wait(min(every, 1.0)):
                waited += min(every, 1.0)
                stop_if_orphaned(self._stop)
                try:
                    if waited >= every:
                        waited = 0.0
                        store.renew(self.worker_id, progress=self.progress)
                    if store.state(self._name) != "open":
                        self._sweep_stopped = True
                except (LeaseLost, UnknownSweepError) as error:
                    self._expired = str(error)
                    return
                except StorageError:
                    continue  # the database decides by its own clock whether that was too long
        finally:
            store.close()
