"""The packs of one lease: one in training, those recorded behind it, one claimed ahead of it.

All that the database does for them is done at the desk, in the order in which it was asked for:
what is claimed after a pack was handed in is claimed after that pack was told.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sweeper.errors import LeaseLost, StorageError
from sweeper.types import ProbeTask, TrialResult
from sweeper.worker.background_thread import BackgroundThread, Job
from sweeper.worker.lease import Lease
from sweeper.worker.trainer import Trainer
from sweeper.worker.trial_storage import Pack, TrialStorage

NOTICE_SECONDS = 1.0
"""The next pack is claimed this long before the present one ends, plus twice the last claim."""
FINISH_SECONDS = 3.0
"""How long a worker that leaves waits for recording, then for giving back. It has ten in all."""


@dataclass(frozen=True, slots=True)
class PendingRecord:
    """A part of a pack that is trained, and the job that records it."""

    pack: Pack
    seconds: float
    job: Job[None]


class PackPipeline:
    """What one lease has at the desk. `recorded(pack, seconds)` hears of each pack on record."""

    def __init__(
        self,
        desk: BackgroundThread[TrialStorage],
        leaving: threading.Event,
        lease: Lease,
        trainer: Trainer,
        recorded: Callable[[Pack, float], None],
    ) -> None:
        self._desk, self._leaving, self._lease, self._trainer = desk, leaving, lease, trainer
        self._recorded = recorded
        self._held: Pack = ()
        """Of the pack in training, what is not handed in."""
        self._handed_in: deque[PendingRecord] = deque()
        self._coming: Job[ProbeTask | Pack | None] | None = None
        self._asked_at = 0.0
        self._claim_seconds = 0.0
        self._publishing: Job[None] | None = None
        self._unpublished = False
        leaving.clear()

    def next_pack(self) -> ProbeTask | Pack | None:
        """Return what was claimed ahead; else claim, after all that was handed in is told.

        None if nothing can be claimed now. Raises what the desk's jobs raised, or the lease does.
        """
        found = self._arrived(self._coming) if self._coming else None
        if found is None:
            while self._handed_in:
                self._desk.wait(self._handed_in[0].job, self._lease.check)
                self.poll()
            found = self._arrived(self._claim(ahead=False))
        if found is None:
            self._publish()
        return found

    def submit_results(
        self,
        pack: Pack,
        results: Sequence[TrialResult],
        seconds: float,
        networks: Mapping[int, bytes] | None = None,
    ) -> None:
        """Have a trained part of the pack recorded and told beside what is trained next."""
        worker, provenance = self._lease.worker, self._trainer.provenance
        job = self._desk.submit(
            lambda clerk: clerk.record(worker, pack, results, provenance, networks)
        )
        self._handed_in.append(PendingRecord(pack, seconds, job))
        done = {task.slot for task in pack}
        self._held = tuple(task for task in self._held if task.slot not in done)

    def on_step(self, left: float) -> None:
        """Do what is due while training goes on, which ends in some `left` seconds.

        Never waits. Raises what the desk's jobs raised.
        """
        self.poll()
        if self._coming is None:
            self._publish()
        # Late, not early: others could train what waits here, and samplers learn what is told.
        notice = NOTICE_SECONDS + 2 * self._claim_seconds
        due = left < notice and time.monotonic() - self._asked_at > notice
        if due and self._coming is None:
            self._claim(ahead=True)

    def poll(self) -> None:
        """Take note of what the desk has done. Raises what the desk's jobs raised."""
        while self._handed_in and self._handed_in[0].job.done():
            self._handed_in[0].job.result()
            done = self._handed_in.popleft()
            self._recorded(done.pack, done.seconds)
            self._unpublished = True
        if self._publishing and self._publishing.done():
            shown, self._publishing = self._publishing, None  # an error is raised once
            shown.result()
        if self._coming and self._coming.done() and self._coming.result() is None:
            self._coming = None  # nothing can be claimed ahead; it is tried again a little later

    def release(self, pack: Pack, error: str) -> None:
        """Give back a part of the pack, whose training failed. Raises what the lease does."""
        worker = self._lease.worker
        job = self._desk.submit(lambda clerk: clerk.release(worker, pack, error=error))
        self._desk.wait(job, self._lease.check)
        self._held = tuple(task for task in self._held if task not in pack)
        self.poll()

    def record_out_of_memory(self, pack: Pack, said: str) -> None:
        """Have it noted that a part of the pack did not fit into memory."""
        worker = self._lease.worker
        self._desk.submit(lambda clerk: clerk.record_out_of_memory(worker, pack, said))

    def drain(self, error: BaseException) -> None:
        """Let the desk finish recording, then give the rest back; neither takes for ever.

        What a lost lease held is others' already. After an error of the database it is not known
        what was written: nothing is done then, the lease ends, and whoever is alive mends.
        """
        for job in (self._publishing, self._coming):
            if job:
                job.cancel()
        lost = isinstance(error, LeaseLost)
        if isinstance(error, StorageError) and not lost:
            return
        jobs: list[Job[None] | Job[ProbeTask | Pack | None]]
        jobs = [one.job for one in self._handed_in]
        jobs += [self._coming] if self._coming else []
        if not self._desk.settle(jobs, FINISH_SECONDS):
            self._leaving.set()
            self._desk.settle(jobs, FINISH_SECONDS / 3)
        worker, rest = self._lease.worker, self._rest()
        if lost:
            last = self._desk.submit(lambda clerk: clerk.fail(rest))
        else:
            last = self._desk.submit(lambda clerk: clerk.release(worker, rest))
        self._desk.settle([last], FINISH_SECONDS)

    def _rest(self) -> Pack:
        """Return what this lease holds that is not on record; hear of what is."""
        rest = self._held
        for one in self._handed_in:
            if one.job.done() and one.job.exception() is None:
                self._recorded(one.pack, one.seconds)
            else:
                rest += one.pack  # what is on record after all is neither freed nor failed
        if self._coming and self._coming.done() and not self._coming.cancelled():
            found = None if self._coming.exception() else self._coming.result()
            rest += found if isinstance(found, tuple) else ()
        return rest

    def _claim(self, *, ahead: bool) -> Job[ProbeTask | Pack | None]:
        worker, limit = self._lease.worker, self._trainer.pack
        device = self._trainer.provenance.device

        def claim(clerk: TrialStorage) -> ProbeTask | Pack | None:
            began = time.monotonic()
            found = clerk.next(worker, limit, device, self._lease.check, ahead=ahead)
            if found:
                self._claim_seconds = time.monotonic() - began
            return found

        self._asked_at = time.monotonic()
        self._coming = self._desk.submit(claim)
        return self._coming

    def _arrived(self, job: Job[ProbeTask | Pack | None]) -> ProbeTask | Pack | None:
        found = self._desk.wait(job, self._lease.check)
        self._coming = None
        self._held = found if isinstance(found, tuple) else ()
        return found

    def _publish(self) -> None:
        if self._unpublished and self._publishing is None:
            self._publishing = self._desk.submit(TrialStorage.publish)
            self._unpublished = False
