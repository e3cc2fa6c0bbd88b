"""Cache of the records of sweeps between requests: only new records are read.

Records are never updated, and deleted with their sweep alone. So the number of them tells of new
ones, and a sweep that was deleted and made again has another time of creation.
"""

from dataclasses import dataclass

from sweeper.config import Sweep, confirmation_name
from sweeper.dashboard.cache import Cache
from sweeper.store import Store, SweepVersion
from sweeper.types import DroppedTrial, TrialRecord, without_dropped

MOST = 32
"""Sweeps whose records are cached; a record takes some 10 kB."""
OVERLAP = 60.0
"""Seconds: a transaction may end after a later one, so that new records are not all at the end."""


@dataclass(frozen=True, slots=True)
class SweepSnapshot:
    """Records of one sweep, as of one moment."""

    mark: SweepVersion
    sweep: Sweep
    records: tuple[TrialRecord, ...]
    """By arm in the order of the file, repeat and slot; those of dropped trials too."""
    dropped: tuple[DroppedTrial, ...] = ()

    @property
    def version(self) -> str:
        """Equal for equal records of the same sweep."""
        counts = f"{len(self.records)}-{self.mark.dropped}"
        return f"{self.mark.digest[:16]}-{self.mark.created_at!r}-{counts}"

    @property
    def counted(self) -> tuple[TrialRecord, ...]:
        """The records of trials that were not dropped."""
        return without_dropped(self.records, self.dropped)


class SweepCache:
    """Snapshots of sweeps, for many requests. Raises UnknownSweepError, StorageError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: Cache[str, SweepSnapshot] = Cache(most=MOST)

    def snapshot(self, name: str) -> SweepSnapshot:
        """Return a sweep with its records: nothing of it is older than the call."""
        mark, sweep = self._store.version(name), self._store.sweep(name)
        if mark is None:  # registered between the two
            return SweepSnapshot(SweepVersion(name, sweep.digest, "open", 0.0, 0), sweep, ())
        return self._snapshots.versioned(name, repr(mark), lambda: self._read(mark, sweep))

    def confirmation(self, name: str) -> SweepSnapshot | None:
        """Return the confirmation of a sweep; None if there is none."""
        confirmation = confirmation_name(name)
        if self._store.version(confirmation) is None:
            return None
        return self.snapshot(confirmation)

    def _read(self, mark: SweepVersion, sweep: Sweep) -> SweepSnapshot:
        before = self._snapshots.latest(mark.name)
        records = self._with_new(before, mark) or self._store.records(mark.name)
        order = {arm: index for index, arm in enumerate(sweep.arms)}
        # An arm that was appended since the sweep was read is left for the next time.
        of_arms = (record for record in records if record.slot.arm in order)
        by_place = sorted(
            of_arms, key=lambda record: (order[record.slot.arm], *record.slot.place[1:])
        )
        dropped = self._store.interventions.dropped(mark.name) if mark.dropped else ()
        return SweepSnapshot(mark, sweep, tuple(by_place), dropped)

    def _with_new(
        self, before: SweepSnapshot | None, mark: SweepVersion
    ) -> tuple[TrialRecord, ...] | None:
        """Return the records of before with the new ones; None if some are still missing."""
        if before is None or not before.records or before.mark.created_at != mark.created_at:
            return None
        since = max(record.recorded_at for record in before.records) - OVERLAP
        new = self._store.records_since(mark.name, since)
        records = {record.slot.place: record for record in (*before.records, *new)}
        return tuple(records.values()) if len(records) >= mark.facts else None
