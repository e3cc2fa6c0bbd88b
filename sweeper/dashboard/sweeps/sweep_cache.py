"""Cache of the records of sweeps between requests: only new records are read.

Records are never updated, and deleted with their sweep alone. So the number of them tells of new
ones, and a sweep that was deleted and made again has another time of creation.
"""

import gc
from bisect import insort
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from sweeper.config import Sweep, confirmation_name
from sweeper.dashboard.cache import Cache
from sweeper.store import Store, SweepVersion
from sweeper.types import DroppedTrial, NetworkPlace, TrialRecord, without_dropped

MOST = 32
"""Sweeps whose records are cached; a record takes some 10 kB."""
OVERLAP = 60.0
"""Seconds: a transaction may end after a later one, so that new records are not all at the end."""


@dataclass(frozen=True)
class SweepSnapshot:
    """Records of one sweep, as of one moment."""

    mark: SweepVersion
    sweep: Sweep
    records: tuple[TrialRecord, ...]
    """By arm in the order of the file, repeat, slot and network; those of dropped trials too."""
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

    @cached_property
    def places(self) -> frozenset[NetworkPlace]:
        """Places of the records."""
        return frozenset(record.place for record in self.records)

    @cached_property
    def newest(self) -> float:
        """The time of the last record."""
        return max((record.recorded_at for record in self.records), default=0.0)

    def with_new(
        self, mark: SweepVersion, new: Sequence[TrialRecord], dropped: tuple[DroppedTrial, ...]
    ) -> "SweepSnapshot | None":
        """Return it with new records, in their places; None if some are still missing."""
        missing = {record.place: record for record in new if record.place not in self.places}
        if len(self.records) + len(missing) < mark.facts:
            return None
        order = {arm: index for index, arm in enumerate(self.sweep.arms)}
        records = list(self.records)
        for record in missing.values():
            insort(records, record, key=lambda each: (order[each.slot.arm], *each.place[1:]))
        whole = SweepSnapshot(mark, self.sweep, tuple(records), dropped)
        # Of 10,000 places few are new: told, not computed again.
        vars(whole)["places"] = self.places | missing.keys()
        vars(whole)["newest"] = max([self.newest, *(each.recorded_at for each in missing.values())])
        return whole


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
        return self._with_new(before, mark, sweep) or self._read_all(mark, sweep)

    def _with_new(
        self, before: SweepSnapshot | None, mark: SweepVersion, sweep: Sweep
    ) -> SweepSnapshot | None:
        """Return the snapshot before with the new records; None if it is of no use."""
        if before is None or not before.records or before.sweep != sweep:
            return None
        if before.mark.created_at != mark.created_at:
            return None
        new: Sequence[TrialRecord] = ()
        if mark.facts != len(before.records):
            new = self._store.records_since(mark.name, before.newest - OVERLAP)
        return before.with_new(mark, new, self._dropped(mark))

    def _read_all(self, mark: SweepVersion, sweep: Sweep) -> SweepSnapshot:
        with _uncollected():
            records = self._store.records(mark.name)
        order = {arm: index for index, arm in enumerate(sweep.arms)}
        # An arm that was appended since the sweep was read is left for the next time.
        of_arms = (record for record in records if record.slot.arm in order)
        by_place = sorted(of_arms, key=lambda each: (order[each.slot.arm], *each.place[1:]))
        return SweepSnapshot(mark, sweep, tuple(by_place), self._dropped(mark))

    def _dropped(self, mark: SweepVersion) -> tuple[DroppedTrial, ...]:
        return self._store.interventions.dropped(mark.name) if mark.dropped else ()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Have the garbage collector look through nothing that is made in a `with` block, nor later.

    Records hold no cycles. Of reading 10,000 it took half the time, and a quarter of a second each
    time that it looked through all of them.
    """
    gc.collect()
    is_usual = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if is_usual:
            gc.enable()
