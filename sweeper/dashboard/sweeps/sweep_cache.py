"""Cache of the records of sweeps between requests: only new records are read.

Records are never updated, and deleted with their sweep alone. So the number of them tells of new
ones, and a sweep that was deleted and made again has another time of creation.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from sweeper.config import Sweep, confirmation_name
from sweeper.store import Store, SweepVersion
from sweeper.types import TrialRecord

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
    """By arm in the order of the file, repeat and slot."""

    @property
    def version(self) -> str:
        """Equal for equal records of the same sweep."""
        return f"{self.mark.digest[:16]}-{self.mark.created_at!r}-{len(self.records)}"


class SweepCache:
    """Snapshots of sweeps, for many requests. Raises UnknownSweepError, StorageError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: OrderedDict[str, SweepSnapshot] = OrderedDict()
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def snapshot(self, name: str) -> SweepSnapshot:
        """Return a sweep with its records: nothing of it is older than the call."""
        with self._lock(name):
            mark, sweep = self._store.version(name), self._store.sweep(name)
            before = self._snapshots.get(name)
            if mark is None:  # registered between the two
                mark = SweepVersion(name, sweep.digest, "open", 0.0, 0)
                return SweepSnapshot(mark, sweep, ())
            if before is not None and before.mark == mark:
                return self._put(name, before)
            records = self._with_new(before, mark) or self._store.records(name)
            order = {arm: index for index, arm in enumerate(sweep.arms)}
            # An arm that was appended since the sweep was read is left for the next time.
            records = tuple(
                sorted(
                    (record for record in records if record.slot.arm in order),
                    key=lambda record: (order[record.slot.arm], *record.slot.place[1:]),
                )
            )
            return self._put(name, SweepSnapshot(mark, sweep, records))

    def confirmation(self, name: str) -> SweepSnapshot | None:
        """Return the confirmation of a sweep; None if there is none."""
        confirmation = confirmation_name(name)
        if self._store.version(confirmation) is None:
            return None
        return self.snapshot(confirmation)

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

    def _put(self, name: str, snapshot: SweepSnapshot) -> SweepSnapshot:
        with self._guard:
            self._snapshots[name] = snapshot
            self._snapshots.move_to_end(name)
            while len(self._snapshots) > MOST:
                self._snapshots.popitem(last=False)
        return snapshot

    def _lock(self, name: str) -> threading.Lock:
        with self._guard:
            if len(self._locks) > 8 * MOST:  # names of sweeps that are long gone
                self._locks = {held: lock for held, lock in self._locks.items() if lock.locked()}
            return self._locks.setdefault(name, threading.Lock())
