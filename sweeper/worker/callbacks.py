"""What training calls at every step: leases end it in time, and the desk is heard beside it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sweeper.errors import SweeperError
from sweeper.worker.lease import Lease
from sweeper.worker.pack_pipeline import PackPipeline


def step_callback(
    lease: Lease, ticks: int, packs: PackPipeline, *, last: bool
) -> Callable[[], None]:
    """Return what to call at each of `ticks` steps; `last` if a new pack is taken after them.

    The call raises LeaseLost, Interrupted, and what the background thread met; see
    `reraise_background_error` for that.
    """
    steps = 0
    began = 0.0

    def tick() -> None:
        nonlocal steps, began
        lease.check()
        now = time.monotonic()
        # From the first tick on, for what comes before it is not a step: compiling, moving.
        began = began or now
        left = (ticks - steps) * (now - began) / steps if last and steps else float("inf")
        try:
            packs.on_step(left)
        except SweeperError:
            raise
        except Exception as error:
            raise _Beside from error
        steps += 1
        # Training ticks while it judges, too: the last percents are slow ones.
        lease.progress = min(steps / ticks, 0.99)

    return tick


class _Beside(SweeperError):
    """What the desk met while this thread trained: no arm in training is to blame for it."""


@contextmanager
def reraise_background_error() -> Iterator[None]:
    """Raise what the desk met from a `with` block in which is trained."""
    try:
        yield
    except _Beside as error:
        raise error.__cause__ or error from None
