"""Trial storage of a worker: claim, ask, record and tell, each with a pack at a time.

One thread calls it, the background thread, and keeps it for itself.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

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
from sweeper.worker.time_budget import TimeBudget

_TOLD_AT_ONCE = 64
"""Networks between two notes of what was told: others wait for a generation that is."""


Pack = tuple[TrialTask, ...]
"""Networks of slots that are trained together, those of one slot one after the other."""
Claim = ProbeTask | Pack
"""The probe of a strength, or a pack: all that a worker is given to train at a time."""


class TrialStorage:
    """Claims, asks, records, tells and gives back, in the database and in Optuna's studies."""

    def __init__(
        self,
        store: Store,
        search: SweepStudies,
        sweep: Sweep,
        leaving: threading.Event,
        budget: TimeBudget | None = None,
    ) -> None:
        self._store, self._search, self._sweep = store, search, sweep
        self._budget = budget
        self._leaving = leaving

    @classmethod
    @contextmanager
    def open(
        cls,
        store: Store,
        sweep: Sweep,
        leaving: threading.Event,
        artifacts: str | None = None,
        budget: TimeBudget | None = None,
    ) -> Iterator["TrialStorage"]:
        """Open connections of its own to a storage in a `with` block.

        `leaving` is set when there is no time left to tell: others do, from what is on record.
        `artifacts` is the folder or bucket in which networks are stored. Nothing is claimed that
        would end after the `budget`.
        """
        store = store.reconnect()
        try:
            with lifecycle.open_studies(store, sweep) as search:
                if artifacts:
                    search.artifacts.use(artifacts, writes=True)
                yield cls(store, search, sweep, leaving, budget)
        finally:
            store.close()

    def create(self) -> None:
        """Create the studies of the sweep, where they are absent."""
        self._search.create()

    def warm_up(self) -> None:
        """Load the libraries that asking needs."""
        self._search.warm_up()

    def recover(self) -> int:
        """Recover slots and trials of expired leases; return the number of slots freed."""
        return lifecycle.recover(self._store, self._sweep.name, self._search)

    def publish(self, *, force: bool = False) -> None:
        """Renew the figures in Optuna's dashboard if it is time to."""
        lifecycle.publish(self._store, self._sweep.name, force=force, search=self._search)

    def claim(
        self,
        worker_id: str,
        limit: int,
        device: str,
        check: Callable[[], None],
        *,
        ahead: bool = False,
    ) -> Claim | None:
        """Claim a probe, else a pack whose trials are asked and linked; None if there is none.

        `limit` is the most trainings, though a slot comes with all of its own.
        Raises LeaseLost, StorageError and the errors of `check`. Nothing is held after that, but
        for an error of the database: then the end of the lease frees it, and others recover it.
        """
        most = max(1, limit // self._sweep.seeds)
        late: set[str] = set()
        if self._budget:
            status = self._store.status(self._sweep.name)
            if self._budget.is_spent(status, most):
                return None
            late = self._budget.late_arms(status, most)
        if (probe := self._store.claim_probe(worker_id)) is not None:
            return probe
        slots = self._store.claim(worker_id, most, ahead=ahead, without=late)
        if not slots:
            return None
        try:
            pack = self._numbered(self._ask(slots, device, check))
        except StorageError:
            raise
        except BaseException:
            with suppress(StorageError):
                self._store.release(worker_id, slots)
            raise
        try:
            first = {task.slot: task.trial for task in pack if not task.network}
            self._store.link(worker_id, first)
        except LeaseLost:
            self.fail(pack)
            raise
        return pack

    def _numbered(self, pack: Pack) -> Pack:
        """Return the trials of scripts with their attempts: these may go on where they were."""
        if self._sweep.script is None:
            return pack
        attempts = self._store.attempts(slots_of(pack))
        return tuple(replace(task, attempt=attempts[task.slot]) for task in pack)

    def _ask(self, slots: Sequence[Slot], device: str, check: Callable[[], None]) -> Pack:
        """Ask the samplers for a trial for each slot."""
        arms = dict.fromkeys(slot.arm for slot in slots)
        if any(arm not in self._sweep.arms or self._sweep.auto_parameters(arm) for arm in arms):
            # The sweep was extended, or the range of a strength was found meanwhile.
            ranges = strength_range.ranges(self._store.strength_ranges(self._sweep.name))
            self._sweep = self._store.sweep(self._sweep.name).with_ranges(ranges)
            self._search.extend(self._sweep)
        self._search.give(self._store.interventions.given(slots).values())
        asked = self._search.ask(slots, device, check)
        while taken := self._store.trials_taken(
            self._sweep.name,
            [(slot.study, task.trial) for slot, tasks in asked.items() for task in tasks],
        ):
            # The study was deleted in the dashboard and counts from 0 again: skip what is taken.
            retried = [
                slot
                for slot in slots
                if any((slot.study, task.trial) in taken for task in asked[slot])
            ]
            for slot in retried:
                self._search.fail(slot.study, [task.trial for task in asked[slot]])
            asked |= self._search.ask(retried, device, check)
        return tuple(task for slot in slots for task in asked[slot])

    def record(
        self,
        worker_id: str,
        pack: Pack,
        results: Sequence[TrialResult],
        provenance: Provenance,
        networks: Mapping[int, bytes] | None = None,
    ) -> None:
        """Put results on record, all or none, and tell them then. Raises LeaseLost.

        `networks` are files by the place in the pack. They are stored first: a trial that is told
        takes none, and should this worker die, others tell it from the record.
        """
        for place, content in (networks or {}).items():
            task = pack[place]
            name = _file_name(task, results[place])
            self._search.artifacts.save(task.slot.study, task.trial, name, content)
        self._store.record(
            worker_id,
            [
                TrialOutcome.of(task, result, provenance)
                for task, result in zip(pack, results, strict=True)
            ],
        )
        self._tell(pack, results)

    def _tell(self, pack: Pack, results: Sequence[TrialResult]) -> None:
        """Tell Optuna results that are on record, and note that it was told."""
        told: dict[Slot, list[tuple[str, int, TrialResult]]] = {}
        for task, result in zip(pack, results, strict=True):
            told.setdefault(task.slot, []).append((task.slot.study, task.trial, result))
        at_once = max(1, _TOLD_AT_ONCE // self._sweep.networks_of_slot)
        slots = list(told)
        for start in range(0, len(slots), at_once):
            if self._leaving.is_set():
                return
            some = slots[start : start + at_once]
            self._search.tell([outcome for slot in some for outcome in told[slot]])
            self._store.mark_reported(some)

    def release(self, worker_id: str, pack: Pack, *, error: str = "") -> None:
        """Give back slots that have no record, and tell FAIL; `error` is that of the training."""
        with suppress(StorageError):  # the lease ends anyway
            self._store.release(worker_id, slots_of(pack), error=error)
        self.fail(pack)

    def fail(self, pack: Pack) -> None:
        """Tell FAIL for trials that belong to no slot any more; those on record after all stay."""
        trials: dict[str, list[int]] = {}
        for task in pack:
            trials.setdefault(task.slot.study, []).append(task.trial)
        with suppress(StorageError):
            # As it is now: it may have been extended since this worker last looked.
            studies = self._store.sweep(self._sweep.name).studies() if pack else {}
            for study, of_study in trials.items():
                in_use = self._store.trials_in_use(self._sweep.name, *studies[study])
                if in_use is not None:
                    self._search.fail(study, [trial for trial in of_study if trial not in in_use])

    def record_out_of_memory(self, worker_id: str, pack: Pack, message: str) -> None:
        """Note that a pack did not fit into memory."""
        self._store.record_out_of_memory(worker_id, slots_of(pack), message)

    def record_range(
        self, worker_id: str, task: ProbeTask, strengths: StrengthRange, provenance: Provenance
    ) -> None:
        """Record the range of a strength, from its probe. Raises LeaseLost."""
        self._store.record_range(worker_id, task, strengths, provenance)

    def release_probe(self, worker_id: str, task: ProbeTask, error: str) -> None:
        """Give back a claimed probe that failed."""
        self._store.release_probe(worker_id, task, error=error)


def slots_of(pack: Pack) -> list[Slot]:
    """Return the slots of a pack, each once."""
    return list(dict.fromkeys(task.slot for task in pack))


def _file_name(task: TrialTask, result: TrialResult) -> str:
    """Return the name of a network's file: `l1-0-trial-0012-1843-nonzero.safetensors`."""
    judged = result.judged(task.config.track)
    size = f"-{judged.nonzero}-nonzero" if judged else ""
    return f"{task.slot.arm}-{task.slot.repeat}-trial-{task.trial:04}{size}{NETWORK}"
