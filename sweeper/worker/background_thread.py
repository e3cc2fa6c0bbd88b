"""Background thread of a worker: does one database job after the other while training goes on.

Claims, asks, records and tells wait here for the database, and training does not.
"""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent import futures
from contextlib import AbstractContextManager, ExitStack
from queue import SimpleQueue
from typing import Any, TypeVar

from sweeper.worker.trial_storage import TrialStorage

T = TypeVar("T")

Job = futures.Future


class BackgroundThread:
    """A thread with a storage of its own, for which it does jobs in their order.

    An error of a job is raised by `result` and `wait`; the jobs after it are done all the same.
    If the storage cannot be opened, every job raises the reason.
    """

    def __init__(self, open_storage: Callable[[], AbstractContextManager[TrialStorage]]) -> None:
        self.waited = 0.0
        """Seconds that `wait` took in all."""
        self.cpu_seconds = 0.0
        """CPU time of the thread."""
        self._open_storage = open_storage
        self._jobs: SimpleQueue[tuple[Job[Any], Callable[[TrialStorage], Any]] | None]
        self._jobs = SimpleQueue()
        # A daemon: a database that does not answer must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="sweeper-background", daemon=True)

    def __enter__(self) -> "BackgroundThread":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._jobs.put(None)
        self._thread.join(timeout=1.0)

    def submit(self, function: Callable[[TrialStorage], T]) -> Job[T]:
        """Have a function called after all that were submitted before."""
        job: Job[T] = Job()
        self._jobs.put((job, function))
        return job

    def wait(self, job: Job[T], check: Callable[[], None]) -> T:
        """Return the result of a job; raise its error, or that of `check` meanwhile."""
        began = time.monotonic()
        try:
            while not job.done():
                check()
                futures.wait([job], timeout=0.1)
        finally:
            self.waited += time.monotonic() - began
        return job.result()

    def settle(self, jobs: Iterable[Job[Any]], seconds: float) -> bool:
        """Wait for jobs, whatever becomes of them; return True if all ended in time."""
        return not futures.wait(jobs, timeout=seconds).not_done

    def _run(self) -> None:
        failure: BaseException | None = None
        with ExitStack() as stack:
            try:
                storage = stack.enter_context(self._open_storage())
            except BaseException as error:
                failure = error  # every job raises it: who waits for one must hear of it
            while (item := self._jobs.get()) is not None:
                job, function = item
                if not job.set_running_or_notify_cancel():
                    continue
                if failure is None:
                    self._do(job, function, storage)
                else:
                    job.set_exception(failure)

    def _do(
        self, job: Job[Any], function: Callable[[TrialStorage], Any], storage: TrialStorage
    ) -> None:
        result, failure = None, None
        try:
            result = function(storage)
        except BaseException as error:
            failure = error
        self.cpu_seconds = time.thread_time()
        if failure is None:
            job.set_result(result)
        else:
            job.set_exception(failure)
