"""What a worker has done in the database, a pack at a time; its methods run at the desk."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from sweeper import lifecycle
from sweeper.analysis import strength_range
from sweeper.config import Sweep
from sweeper.errors import LeaseLost, StorageError
from sweeper.search import SweepStudies
from sweeper.search.artifacts import NETWORK
from sweeper.store import Store
from sweeper.types import (
    ProbeTask,
    Provenance,
    Slot,
    StrengthRange,
    TrialOutcome,
    TrialResult,
    TrialTask,
)

_TOLD_AT_ONCE = 64
"""Trials between two notes of what was told: others wait for a generation that is."""


Pack = tuple[TrialTask, ...]


class TrialStorage:
    """Claims, asks, records, tells and gives back. For one thread."""

    def __init__(
        self, store: Store, search: SweepStudies, sweep: Sweep, leaving: threading.Event
    ) -> None:
        self._store, self._search, self._sweep = store, search, sweep
        self._leaving = leaving

    @classmethod
    @contextmanager
    def open(
        cls, store: Store, sweep: Sweep, leaving: threading.Event, artifacts: str | None = None
    ) -> Iterator["TrialStorage"]:
        """Open connections of its own to a storage in a `with` block.

        `leaving` is set when there is no time left to tell: others do, from what is on record.
        `artifacts` is where networks are kept.
        """
        store = store.reconnect()
        try:
            with lifecycle.open_studies(store, sweep) as search:
                if artifacts:
                    search.use_artifact_store(artifacts, writes=True)
                yield cls(store, search, sweep, leaving)
        finally:
            store.close()

    def create(self) -> None:
        """Create what Optuna holds of the sweep, where it is absent."""
        self._search.create()

    def prepare(self) -> None:
        """Load what asking needs."""
        self._search.warm_up()

    def mend(self) -> int:
        """Mend what dead workers left; return how many slots were freed."""
        return lifecycle.recover(self._store, self._sweep.name, self._search)

    def publish(self, *, force: bool = False) -> None:
        """Renew the figures if it is time to."""
        lifecycle.publish(self._store, self._sweep.name, force=force, search=self._search)

    def next(
        self,
        worker: str,
        limit: int,
        device: str,
        check: Callable[[], None],
        *,
        ahead: bool = False,
    ) -> ProbeTask | Pack | None:
        """Claim a probe, else a pack whose trials are asked and linked; None if there is none.

        Raises LeaseLost, StorageError and what `check` does. Nothing is held after that, but for
        an error of the database: then the end of the lease frees it, and whoever is alive mends.
        """
        if (probe := self._store.claim_probe(worker)) is not None:
            return probe
        slots = self._store.claim(worker, limit, ahead=ahead)
        if not slots:
            return None
        try:
            pack = self._ask(slots, device, check)
        except StorageError:
            raise
        except BaseException:
            with suppress(StorageError):
                self._store.release(worker, slots)
            raise
        try:
            self._store.link(worker, {task.slot: task.trial for task in pack})
        except LeaseLost:
            self.fail(pack)
            raise
        return pack

    def record(
        self,
        worker: str,
        pack: Pack,
        results: Sequence[TrialResult],
        provenance: Provenance,
        networks: Mapping[int, bytes] | None = None,
    ) -> None:
        """Put results on record, all or none, and tell them then. Raises LeaseLost.

        `networks` are files by the place in the pack. They are stored first: a trial that is told
        takes none, and should this worker die, others tell it from what is on record.
        """
        for place, content in (networks or {}).items():
            task = pack[place]
            name = f"{task.slot.arm}-{task.slot.repeat}-{task.slot.number}{NETWORK}"
            self._search.save_artifact(task.slot.study, task.trial, name, content)
        self._store.record(
            worker,
            [
                TrialOutcome.of(task, result, provenance)
                for task, result in zip(pack, results, strict=True)
            ],
        )
        for start in range(0, len(pack), _TOLD_AT_ONCE):
            told = pack[start : start + _TOLD_AT_ONCE]
            for task, result in zip(told, results[start:], strict=False):
                if self._leaving.is_set():
                    return
                self._search.tell(task.slot.study, task.trial, result)
            self._store.mark_reported([task.slot for task in told])

    def release(self, worker: str, pack: Pack, *, error: str = "") -> None:
        """Give back what is not on record, and tell its trials FAIL; `error`: why it failed."""
        with suppress(StorageError):  # the lease ends anyway
            self._store.release(worker, [task.slot for task in pack], error=error)
        self.fail(pack)

    def record_out_of_memory(self, worker: str, pack: Pack, said: str) -> None:
        """Note that a pack did not fit into memory."""
        self._store.record_out_of_memory(worker, [task.slot for task in pack], said)

    def fail(self, pack: Pack) -> None:
        """Tell FAIL what belongs to no slot any more; what is recorded after all stays."""
        used: dict[str, frozenset[int] | None] = {}
        with suppress(StorageError):
            # As it is now: it may have been extended since this worker last looked.
            studies = self._store.sweep(self._sweep.name).studies() if pack else {}
            for task in pack:
                study = task.slot.study
                if study not in used:
                    used[study] = self._store.trials_in_use(task.slot.sweep, *studies[study])
                in_use = used[study]
                if in_use is not None and task.trial not in in_use:
                    self._search.fail(study, task.trial)

    def record_range(
        self, worker: str, task: ProbeTask, bracket: StrengthRange, provenance: Provenance
    ) -> None:
        """Record the range that a probe found. Raises LeaseLost."""
        self._store.record_range(worker, task, bracket, provenance)

    def release_probe(self, worker: str, task: ProbeTask, error: str) -> None:
        """Give back a claimed probe that failed."""
        self._store.release_probe(worker, task, error=error)

    def _ask(self, slots: Sequence[Slot], device: str, check: Callable[[], None]) -> Pack:
        arms = dict.fromkeys(slot.arm for slot in slots)
        if any(arm not in self._sweep.arms or self._sweep.auto_parameters(arm) for arm in arms):
            # The sweep was extended, or the range of a strength was found meanwhile.
            found = strength_range.ranges(self._store.strength_ranges(self._sweep.name))
            self._sweep = self._store.sweep(self._sweep.name).with_ranges(found)
            self._search.extend(self._sweep)
        asked = self._search.ask(slots, device, check)
        while taken := self._store.trials_taken(
            self._sweep.name, [(slot.study, one.trial) for slot, one in asked.items()]
        ):
            # The study was deleted in the dashboard and counts from 0 again: skip what is taken.
            again = [slot for slot in slots if (slot.study, asked[slot].trial) in taken]
            for slot in again:
                self._search.fail(slot.study, asked[slot].trial)
            asked |= self._search.ask(again, device, check)
        return tuple(asked[slot] for slot in slots)
