"""Work meter of a pack: the share of its work that is done, in forward passes of one example."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sweeper.types import Tick

Advance = Callable[[float], None]
"""Told of each piece of work before it begins, in forward passes of one example; it may raise."""


@dataclass(slots=True, eq=False)
class WorkMeter:
    """Counts the work of a pack and calls its tick before each piece, which may raise."""

    tick: Tick
    total: float
    """Forward passes of one example through one network, training and judging together."""
    _done: float = field(default=0.0, init=False)

    def __call__(self, passes: float) -> None:
        """Say that a piece of work begins, of this many passes of each network of the pack."""
        self.tick(min(1.0, self._done / self.total) if self.total else None)
        self._done += passes

    def finish(self) -> None:
        """Say that all work is done."""
        self.tick(1.0)
