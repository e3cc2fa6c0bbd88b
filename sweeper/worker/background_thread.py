"""A thread beside training that does one job after the other, with connections of its own.

Claims, asks, records and tells wait here for the database, and training does not.
"""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent import futures
from contextlib import AbstractContextManager, ExitStack
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

C = TypeVar("C")
T = TypeVar("T")

Job = futures.Future


class BackgroundThread(Generic[C]):
    """A thread that opens a clerk and lets it do the jobs, in their order.

    What a job raises is raised by `result` and `wait`; the jobs after it are done all the same.
    If the clerk cannot be opened, every job raises why.
    """

    def __init__(self, clerk: Callable[[], AbstractContextManager[C]]) -> None:
        self.waited = 0.0
        """Seconds that `wait` took in all."""
        self.cpu_seconds = 0.0
        """CPU time of the thread."""
        self._clerk = clerk
        self._jobs: SimpleQueue[tuple[Job[Any], Callable[[C], Any]] | None] = SimpleQueue()
        # A daemon: a database that does not answer must not keep the process alive.
        self._thread = threading.Thread(target=self._work, name="sweeper-desk", daemon=True)

    def __enter__(self) -> "BackgroundThread[C]":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._jobs.put(None)
        self._thread.join(timeout=1.0)

    def submit(self, work: Callable[[C], T]) -> Job[T]:
        """Have something done after all that was submitted before."""
        job: Job[T] = Job()
        self._jobs.put((job, work))
        return job

    def wait(self, job: Job[T], check: Callable[[], None]) -> T:
        """Return what a job returns; raise what it raises, or what `check` raises meanwhile."""
        began = time.monotonic()
        try:
            while not job.done():
                check()
                futures.wait([job], timeout=0.1)
        finally:
            self.waited += time.monotonic() - began
        return job.result()

    def settle(self, jobs: Iterable[Job[Any]], seconds: float) -> bool:
        """Wait for jobs, whatever becomes of them; tell whether all were over in time."""
        return not futures.wait(jobs, timeout=seconds).not_done

    def _work(self) -> None:
        closed: BaseException | None = None
        with ExitStack() as stack:
            try:
                clerk = stack.enter_context(self._clerk())
            except BaseException as error:
                closed = error  # every job raises it: who waits for one must hear of it
            while (item := self._jobs.get()) is not None:
                job, work = item
                if not job.set_running_or_notify_cancel():
                    continue
                if closed is None:
                    self._do(job, work, clerk)
                else:
                    job.set_exception(closed)

    def _do(self, job: Job[Any], work: Callable[[C], Any], clerk: C) -> None:
        result, failure = None, None
        try:
            result = work(clerk)
        except BaseException as error:
            failure = error
        self.cpu_seconds = time.thread_time()
        if failure is None:
            job.set_result(result)
        else:
            job.set_exception(failure)
