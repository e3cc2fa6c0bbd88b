"""Reaper of the dashboard: a thread that ends expired leases; no sweep waits for a dead worker."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from sweeper.dashboard.server.telemetry import Telemetry
from sweeper.errors import StorageError, UnknownSweepError
from sweeper.store import Store
from sweeper.worker.stall_watch import StallWatch

EVERY = 15.0
"""Seconds between two looks."""
BRIEF = 2.0
"""Seconds of patience with a database that is away: the next look comes soon enough."""


@contextmanager
def reap_periodically(store: Store, telemetry: Telemetry, every: float = EVERY) -> Iterator[None]:
    """Reap all sweeps of a storage every so many seconds in a `with` block, in a thread."""
    stop = threading.Event()
    thread = threading.Thread(target=_reap, args=(store, telemetry, every, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=1.0)


def _reap(store: Store, telemetry: Telemetry, every: float, stop: threading.Event) -> None:
    brief = store.reconnect(replace(store.patience, seconds=BRIEF))
    watch = StallWatch()
    sweep_names = telemetry.observed(brief.names)
    try:
        while not stop.wait(every):
            # Who may only read, or sees nothing there, has nothing to reap.
            with suppress(StorageError, UnknownSweepError):
                for name in sweep_names():
                    telemetry.reaped(name, brief.reap(name))
                    watch.look(brief, name)
    finally:
        brief.close()
