"""A worker waits for a database that is away, says so now and then, and still hears signals."""

import time
from collections.abc import Callable

from sweeper.patience import SERVICE, Patience
from sweeper.worker.lease import Stop

DEAF = 3.0
"""Seconds in which even a worker that leaves tries again: what it holds is given back at once."""
SAY_AFTER = 2.0
SAY_EVERY = 60.0


def patience(stop: Stop, tell: Callable[[str], None]) -> Patience:
    """Return a patience that raises Interrupted after a signal."""
    said_at = float("-inf")

    def waiting(line: str, seconds: float) -> None:
        nonlocal said_at
        now = time.monotonic()
        if seconds >= DEAF:
            stop.check()
        if seconds >= SAY_AFTER and now - said_at >= SAY_EVERY:
            said_at = now
            tell(f"waiting for the database, for {seconds:.0f} s now: {line}")

    return Patience(SERVICE, waiting)
