"""A worker: claim slots, ask, train, record, tell; until the sweep is finished or stopped."""

from sweeper.worker.loop import work

__all__ = ["work"]
