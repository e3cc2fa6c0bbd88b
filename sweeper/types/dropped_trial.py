"""Dropped trial: one that is on record, and that a person left out of fronts and tables."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sweeper.types.trial_record import NetworkPlace, Place, TrialRecord


@dataclass(frozen=True, slots=True)
class DroppedTrial:
    """Networks of one slot that were dropped for one reason."""

    arm: str
    repeat: int
    slot: int
    networks: tuple[int, ...]
    """Their numbers within the slot."""
    is_whole: bool
    """Whether those are all of the slot."""
    why: str
    at: float
    """Seconds since 1970 by the database's clock."""

    @property
    def place(self) -> Place:
        """Place of its slot within the sweep."""
        return self.arm, self.repeat, self.slot

    @property
    def places(self) -> tuple[NetworkPlace, ...]:
        """Places of its networks."""
        return tuple((*self.place, network) for network in self.networks)

    @property
    def name(self) -> str:
        """Its name, such as `l1/0/17`, or `l1/0/17, network 3`."""
        name = f"{self.arm}/{self.repeat}/{self.slot}"
        if self.is_whole:
            return name
        numbers = ", ".join(map(str, self.networks))
        return f"{name}, network{'s' if len(self.networks) > 1 else ''} {numbers}"

    @property
    def day(self) -> str:
        """The day on which it was dropped, UTC."""
        return f"{datetime.fromtimestamp(self.at, UTC):%Y-%m-%d}"

    def __str__(self) -> str:
        return f"{self.name} on {self.day}: {self.why}"


def dropped_lines(dropped: Sequence[DroppedTrial], most: int) -> tuple[str, ...]:
    """Return a line for each of the first dropped trials, and one that counts the others."""
    more = len(dropped) - most
    lines = tuple(str(trial) for trial in dropped[:most])
    return (*lines, f"and {more} more") if more > 0 else lines


def without_dropped(
    records: Iterable[TrialRecord], dropped: Collection[DroppedTrial]
) -> tuple[TrialRecord, ...]:
    """Return the records that are not of dropped networks."""
    if not dropped:
        return tuple(records)
    gone = {place for trial in dropped for place in trial.places}
    return tuple(record for record in records if record.place not in gone)
