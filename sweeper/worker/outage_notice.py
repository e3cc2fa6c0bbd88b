"""A worker waits for a database that is away, says so now and then, and still hears signals."""

from collections.abc import Callable

from sweeper.retry import SERVICE, RetryPolicy, throttled_notice
from sweeper.worker.lease import StopFlag

DEAF = 3.0
"""Seconds in which even a worker that leaves tries again: what it holds is given back at once."""


def stoppable_policy(stop: StopFlag, tell: Callable[[str], None]) -> RetryPolicy:
    """Return a patience that raises Interrupted after a signal."""
    say = throttled_notice(tell)

    def waiting(line: str, seconds: float) -> None:
        if seconds >= DEAF:
            stop.check()
        say(line, seconds)

    return RetryPolicy(SERVICE, waiting)
