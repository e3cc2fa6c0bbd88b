"""Worker timings: what the time of one worker went into."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkerTimings:
    """Sums over all that one worker did, in seconds."""

    training: float
    """Wall time of packs and probes."""
    waiting: float
    """Wall time in which nothing was trained because the database was waited for."""
    bookkeeping: float
    """CPU time of the thread that works beside training: claims, asks, records, tells, draws."""

    def __str__(self) -> str:
        return (
            f"trained for {self.training:.1f} s; waited {self.waiting:.1f} s for the database; "
            f"{self.bookkeeping:.1f} s of CPU for it beside training"
        )
