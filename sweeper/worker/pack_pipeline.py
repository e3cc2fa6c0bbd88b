"""Pack pipeline of one lease: a pack in training, packs being recorded, one claimed ahead.

The background thread does all that needs the database, in the order in which it was submitted:
the claim that follows the record of a pack is made after that pack was told.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sweeper.errors import LeaseLost, StorageError, SweeperError
from sweeper.trainers.trainer import Trainer
from sweeper.types import Tick, TrialResult
from sweeper.worker.background_thread import BackgroundThread, Job
from sweeper.worker.lease import Lease
from sweeper.worker.trial_storage import Claim, Pack, TrialStorage

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


class _BackgroundError(SweeperError):
    """An error of the background thread, met in a step: no arm in training is to blame for it."""


class PackPipeline:
    """The jobs of one lease. `on_record(pack, seconds)` is called for each pack on record."""

    def __init__(
        self,
        background: BackgroundThread,
        leaving: threading.Event,
        lease: Lease,
        trainer: Trainer,
        on_record: Callable[[Pack, float], None],
    ) -> None:
        self._background, self._leaving = background, leaving
        self._lease, self._trainer = lease, trainer
        self._on_record = on_record
        self._held: Pack = ()
        """Tasks of the pack in training whose results are not submitted."""
        self._pending: deque[PendingRecord] = deque()
        self._claim_job: Job[Claim | None] | None = None
        self._claimed_at = 0.0
        self._claim_seconds = 0.0
        self._publish_job: Job[None] | None = None
        self._unpublished = False
        leaving.clear()

    def next_claim(self) -> Claim | None:
        """Return the claim made ahead; else claim, after all that was submitted is told.

        None if nothing can be claimed now. Raises the errors of the background thread and of the
        lease.
        """
        claim = self._take(self._claim_job) if self._claim_job else None
        if claim is None:
            while self._pending:
                self._background.wait(self._pending[0].job, self._lease.check)
                self.poll()
            claim = self._take(self._submit_claim(ahead=False))
        if claim is None:
            self._publish()
        return claim

    def submit_results(
        self,
        pack: Pack,
        results: Sequence[TrialResult],
        seconds: float,
        networks: Mapping[int, bytes] | None = None,
    ) -> None:
        """Have a trained part of the pack recorded and told while the next one is trained."""
        worker_id, provenance = self._lease.worker_id, self._trainer.provenance
        job = self._background.submit(
            lambda storage: storage.record(worker_id, pack, results, provenance, networks)
        )
        self._pending.append(PendingRecord(pack, seconds, job))
        self._drop(pack)

    def step_callback(self, steps: int, *, last: bool) -> Tick:
        """Return the callback for each step and piece of judging; `last` if a claim follows.

        It checks the lease, polls the background thread and reports progress: the share that it
        is told, or calls out of `steps` if it is told none. It raises LeaseLost, Interrupted, and
        the errors of the background thread: train inside of `background_errors`.
        """
        calls = 0
        done = began = begun_at = 0.0

        def on_step(share: float | None = None, /) -> None:
            nonlocal calls, done, began, begun_at
            self._lease.check()
            now = time.monotonic()
            # A part that is trained again, for memory ran out, is behind what was done before.
            done = max(done, calls / steps if share is None else share)
            if not began:
                # From the first call on, for what comes before it is none: compiling, moving.
                began, begun_at = now, done
            gained = done - begun_at
            left = (1 - done) * (now - began) / gained if last and gained else float("inf")
            try:
                self.on_step(left)
            except SweeperError:
                raise
            except Exception as error:
                raise _BackgroundError from error
            calls += 1
            self._lease.progress = min(done, 0.99)

        return on_step

    @staticmethod
    @contextmanager
    def background_errors() -> Iterator[None]:
        """Raise an error of the background thread as itself from a `with` block of training."""
        try:
            yield
        except _BackgroundError as error:
            raise error.__cause__ or error from None

    def on_step(self, left: float) -> None:
        """Do what is due while training goes on, which ends in some `left` seconds.

        Never waits. Raises the errors of the background thread.
        """
        self.poll()
        if self._claim_job is None:
            self._publish()
        # Late, not early: others could train what waits here, and samplers learn what is told.
        notice = NOTICE_SECONDS + 2 * self._claim_seconds
        due = left < notice and time.monotonic() - self._claimed_at > notice
        if due and self._claim_job is None:
            self._submit_claim(ahead=True)

    def poll(self) -> None:
        """Take note of the jobs that are done. Raises the errors of the background thread."""
        while self._pending and self._pending[0].job.done():
            self._pending[0].job.result()
            record = self._pending.popleft()
            self._on_record(record.pack, record.seconds)
            self._unpublished = True
        if self._publish_job and self._publish_job.done():
            job, self._publish_job = self._publish_job, None  # an error is raised once
            job.result()
        if self._claim_job and self._claim_job.done() and self._claim_job.result() is None:
            self._claim_job = None  # nothing can be claimed ahead; tried again a little later

    def release(self, pack: Pack, error: str) -> None:
        """Give back a part of the pack whose training failed. Raises the errors of the lease."""
        worker_id = self._lease.worker_id
        job = self._background.submit(lambda storage: storage.release(worker_id, pack, error=error))
        self._background.wait(job, self._lease.check)
        self._drop(pack)
        self.poll()

    def record_out_of_memory(self, pack: Pack, message: str) -> None:
        """Have it noted that a part of the pack did not fit into memory."""
        worker_id = self._lease.worker_id
        self._background.submit(
            lambda storage: storage.record_out_of_memory(worker_id, pack, message)
        )

    def drain(self, error: BaseException) -> None:
        """Finish recording after an error, then give the rest back; neither takes for ever.

        The slots of an expired lease are others' already. After an error of the database it is not
        known what was written: nothing is done then, the lease ends, and others recover.
        """
        for job in (self._publish_job, self._claim_job):
            if job:
                job.cancel()
        expired = isinstance(error, LeaseLost)
        if isinstance(error, StorageError) and not expired:
            return
        jobs: list[Job[None] | Job[Claim | None]]
        jobs = [record.job for record in self._pending]
        jobs += [self._claim_job] if self._claim_job else []
        if not self._background.settle(jobs, FINISH_SECONDS):
            self._leaving.set()
            self._background.settle(jobs, FINISH_SECONDS / 3)
        worker_id, rest = self._lease.worker_id, self._unrecorded()
        if expired:
            last = self._background.submit(lambda storage: storage.fail(rest))
        else:
            last = self._background.submit(lambda storage: storage.release(worker_id, rest))
        self._background.settle([last], FINISH_SECONDS)

    def _unrecorded(self) -> Pack:
        """Return the tasks of this lease that have no record; take note of those that have."""
        rest = self._held
        for record in self._pending:
            if record.job.done() and record.job.exception() is None:
                self._on_record(record.pack, record.seconds)
            else:
                rest += record.pack  # what is on record after all is neither freed nor failed
        if self._claim_job and self._claim_job.done() and not self._claim_job.cancelled():
            claim = None if self._claim_job.exception() else self._claim_job.result()
            rest += claim if isinstance(claim, tuple) else ()
        return rest

    def _submit_claim(self, *, ahead: bool) -> Job[Claim | None]:
        worker_id, limit = self._lease.worker_id, self._trainer.pack
        device = self._trainer.provenance.device

        def timed_claim(storage: TrialStorage) -> Claim | None:
            began = time.monotonic()
            claim = storage.claim(worker_id, limit, device, self._lease.check, ahead=ahead)
            if claim:
                self._claim_seconds = time.monotonic() - began
            return claim

        self._claimed_at = time.monotonic()
        self._claim_job = self._background.submit(timed_claim)
        return self._claim_job

    def _take(self, job: Job[Claim | None]) -> Claim | None:
        claim = self._background.wait(job, self._lease.check)
        self._claim_job = None
        self._held = claim if isinstance(claim, tuple) else ()
        return claim

    def _drop(self, pack: Pack) -> None:
        slots = {task.slot for task in pack}
        self._held = tuple(task for task in self._held if task.slot not in slots)

    def _publish(self) -> None:
        if self._unpublished and self._publish_job is None:
            self._publish_job = self._background.submit(TrialStorage.publish)
            self._unpublished = False
