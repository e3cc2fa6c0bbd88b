"""While somebody looks, leases that are over are ended: no sweep waits for a dead worker."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from sweeper.dashboard.server.telemetry import Telemetry
from sweeper.errors import StorageError, UnknownSweepError
from sweeper.store import Store

EVERY = 15.0
"""Seconds between two looks."""
BRIEF = 2.0
"""Seconds of patience with a database that is away: the next look comes soon enough."""


@contextmanager
def reap_periodically(store: Store, watch: Telemetry, every: float = EVERY) -> Iterator[None]:
    """Reap all sweeps of a storage now and then in a `with` block, in a thread of its own."""
    over = threading.Event()
    thread = threading.Thread(target=_reap, args=(store, watch, every, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=1.0)


def _reap(store: Store, watch: Telemetry, every: float, over: threading.Event) -> None:
    own = store.reconnect(replace(store.patience, seconds=BRIEF))
    names = watch.asking(own.names)
    try:
        while not over.wait(every):
            # Who may only read, or finds nothing there, has nothing to reap.
            with suppress(StorageError, UnknownSweepError):
                for name in names():
                    watch.reaped(name, own.reap(name))
    finally:
        own.close()
