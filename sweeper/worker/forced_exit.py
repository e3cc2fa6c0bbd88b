"""The end of a worker that was asked to stop, but is deep in what hears nothing.

Loops are compiled, libraries loaded and functions of a user's called for as long as they take.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from sweeper.errors import Interrupted
from sweeper.retry import RetryPolicy
from sweeper.store import Store
from sweeper.worker.lease import StopFlag, orphaned

LIMIT = 8.5
"""Seconds for a worker to leave in good order. It has ten in all."""
GIVING_BACK = 1.0
"""Seconds for what is done in its place then."""
_EVERY = 0.25


@contextmanager
def exit_in_time(stop: StopFlag, store: Store, worker: Callable[[], str]) -> Iterator[None]:
    """End this process if a `with` block goes on for too long after it was asked to stop.

    What `worker()` holds is given back: its lease ends, and others mend what Optuna has of it.
    """
    over = threading.Event()
    watch = threading.Thread(
        target=_watch, args=(stop, store, worker, over), name="sweeper-leaving", daemon=True
    )
    watch.start()
    try:
        yield
    finally:
        over.set()


def _watch(stop: StopFlag, store: Store, worker: Callable[[], str], over: threading.Event) -> None:
    asked_at: float | None = None
    while not over.wait(_EVERY):
        if orphaned():
            stop.set("the launcher is gone")
        if not stop.asked:
            continue
        asked_at = asked_at or time.monotonic()
        if time.monotonic() - asked_at >= LIMIT:
            _give_back(store, worker())
            with suppress(OSError):
                print("error: asked to stop while busy, and ended", file=sys.stderr, flush=True)
            os._exit(Interrupted.exit_code)


def _give_back(store: Store, worker: str) -> None:
    """End a lease, if the database answers at once; else it runs out by itself."""

    def leave() -> None:
        with suppress(Exception):
            own = store.reconnect(RetryPolicy(GIVING_BACK))
            own.leave(worker)

    if worker:
        last = threading.Thread(target=leave, name="sweeper-giving-back", daemon=True)
        last.start()
        last.join(GIVING_BACK)
