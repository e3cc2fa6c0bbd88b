"""Facts of sweeps, kept between requests: only what is new is read again.

Facts are never updated, and deleted with their sweep alone. So the number of them tells whether
there are new ones, and a sweep that was deleted and made again has another time of creation.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from sweeper.config import Sweep, confirmation_name
from sweeper.store import Store, SweepVersion
from sweeper.types import RecordedRange, TrialRecord

MOST = 32
"""Sweeps whose facts are kept; a fact takes some 10 kB."""
OVERLAP = 60.0
"""Seconds: a transaction may end after a later one, so that what is new is not all at the end."""


@dataclass(frozen=True, slots=True)
class SweepSnapshot:
    """What is on record of one sweep, as of one moment."""

    mark: SweepVersion
    sweep: Sweep
    facts: tuple[TrialRecord, ...]
    """By arm in the order of the file, repeat and slot."""
    ranges: tuple[RecordedRange, ...]

    @property
    def version(self) -> str:
        """Equal for equal facts of the same sweep."""
        return f"{self.mark.digest[:16]}-{self.mark.created_at!r}-{len(self.facts)}"


class SweepCache:
    """Reads sweeps for many requests at once. Raises UnknownSweepError, StorageError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[str, SweepSnapshot] = OrderedDict()
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def known(self, name: str) -> SweepSnapshot:
        """Return a sweep with its facts: nothing of it is older than the call."""
        with self._lock(name):
            mark, sweep = self._store.version(name), self._store.sweep(name)
            before = self._known.get(name)
            if mark is None:  # registered between the two
                return SweepSnapshot(
                    SweepVersion(name, sweep.digest, "open", 0.0, 0), sweep, (), ()
                )
            if before is not None and before.mark == mark:
                return self._keep(name, before)
            facts = self._further(before, mark) or self._store.records(name)
            places = {arm: number for number, arm in enumerate(sweep.arms)}
            # An arm that was appended since the sweep was read is left for the next time.
            facts = tuple(
                sorted(
                    (fact for fact in facts if fact.slot.arm in places),
                    key=lambda fact: (places[fact.slot.arm], fact.slot.repeat, fact.slot.number),
                )
            )
            return self._keep(
                name, SweepSnapshot(mark, sweep, facts, self._store.strength_ranges(name))
            )

    def confirmation(self, name: str) -> SweepSnapshot | None:
        """Return the confirmation of a sweep; None if there is none."""
        confirmation = confirmation_name(name)
        if self._store.version(confirmation) is None:
            return None
        return self.known(confirmation)

    def _further(
        self, before: SweepSnapshot | None, mark: SweepVersion
    ) -> tuple[TrialRecord, ...] | None:
        """Return the facts known before with the new ones; None if some are still missing."""
        if before is None or not before.facts or before.mark.created_at != mark.created_at:
            return None
        since = max(fact.recorded_at for fact in before.facts) - OVERLAP
        found = {fact.slot.place: fact for fact in before.facts}
        for fact in self._store.records_since(mark.name, since):
            found[fact.slot.place] = fact
        return tuple(found.values()) if len(found) >= mark.facts else None

    def _keep(self, name: str, known: SweepSnapshot) -> SweepSnapshot:
        with self._guard:
            self._known[name] = known
            self._known.move_to_end(name)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return known

    def _lock(self, name: str) -> threading.Lock:
        with self._guard:
            if len(self._locks) > 8 * MOST:  # names of sweeps that are long gone
                self._locks = {held: one for held, one in self._locks.items() if one.locked()}
            return self._locks.setdefault(name, threading.Lock())
