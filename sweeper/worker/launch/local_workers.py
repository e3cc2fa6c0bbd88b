"""Local workers: processes of this machine, restarted when they die, and ended for sure."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sweeper.errors import InputError, Interrupted, StorageError, TrainingError
from sweeper.settings import (
    ARTIFACTS_VARIABLE,
    DATA_VARIABLE,
    PARENT_VARIABLE,
    SHARED_BY_VARIABLE,
    STORAGE_VARIABLE,
    TRIALS_VARIABLE,
)
from sweeper.store import Store
from sweeper.trainers.pack_size import PackSize
from sweeper.types import SweepStatus
from sweeper.worker.stop_signals import handle_signals, stoppable_policy
from sweeper.worker.time_budget import moment

_log = logging.getLogger("sweeper.launch")
GRACE = 10.0
"""Seconds that a worker has after SIGTERM to give its slots back."""
LEAVING_NOTE = f"stopping: workers give back what they hold, in at most {GRACE:.0f} seconds"
LAST_LINES = 5
"""Lines of its log that are shown of a worker that ended without an error."""
DEATHS = 3
"""Deaths without any progress of the sweep in between, after which it is given up."""


def run_workers(
    name: str,
    store: Store,
    *,
    devices: Sequence[str],
    variables: Sequence[Mapping[str, str]] = (),
    pack: PackSize = "auto",
    folder: Path | None = None,
    trials: Path | None = None,
    artifacts: str | None = None,
    until: float | None = None,
    logs: Path,
    on_status: Callable[[SweepStatus], None] = lambda status: None,
    on_note: Callable[[str], None] = lambda line: None,
    every: float = 0.5,
    # -P: a file of the user's, such as token.py, must not take the place of a library's.
    command: Sequence[str] = (sys.executable, "-P", "-m", "sweeper", "worker"),
) -> None:
    """Run a worker on each of `devices` until the sweep is finished or stopped, or all have left.

    `until` is the end of their time, in seconds since 1970: they leave before it, mostly.
    `variables` are further ones for the environment of each, in the same order.
    No process is left behind, however this ends: when this one is killed, its workers give their
    slots back by themselves. Raises Interrupted after a signal, InputError and TrainingError with
    the last line of a worker that cannot work.
    """
    environment = {
        **os.environ,
        # Not in the arguments, which everybody on the machine can read.
        STORAGE_VARIABLE: store.url,
        "OMP_NUM_THREADS": "1",  # as many processes as cores, see training.pack
        "MKL_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        PARENT_VARIABLE: str(os.getpid()),
    }
    places = {DATA_VARIABLE: folder, TRIALS_VARIABLE: trials, ARTIFACTS_VARIABLE: artifacts}
    environment |= {name: str(place) for name, place in places.items() if place is not None}
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{logs}: cannot be written: {error.strerror}") from error
    time_options = [] if until is None else ["--until", moment(until).isoformat()]
    workers_on = Counter(devices)
    workers = [
        _WorkerProcess(
            [*command, name, "--device", device, "--pack", str(pack), *time_options],
            {**environment, SHARED_BY_VARIABLE: str(workers_on[device]), **further},
            logs / f"worker-{number}.log",
        )
        for number, (device, further) in enumerate(
            zip(devices, variables or [{}] * len(devices), strict=True)
        )
    ]
    with (
        handle_signals() as stop,
        closing(store.reconnect(stoppable_policy(stop, _log.warning))) as launch_store,
    ):
        try:
            for worker in workers:
                worker.start()
            while True:
                ended = [worker for worker in workers if worker.has_ended()]
                status = launch_store.status(name)
                on_status(status)
                if ended:
                    launch_store.reap(name)  # others need not wait for their leases
                for worker in ended:
                    worker.settle(status)
                if all(worker.is_over for worker in workers):
                    if status.state == "failed":
                        raise TrainingError(status.error)
                    return
                for worker in workers:
                    worker.restart_when_due()
                stop.check()
                stop.wait(every)
        finally:
            if stop.is_set:
                on_note(LEAVING_NOTE)
            if _end(workers):
                with suppress(StorageError, Interrupted):
                    launch_store.reap(name)


@dataclass
class _WorkerProcess:
    """One worker: its process now, and the deaths of those before it."""

    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    restart_at: float | None = None
    deaths: int = 0
    done: int = -1
    """Trials of the sweep on record when the last process died."""
    offset: int = 0
    """Position in the log at which this process began to write."""

    @property
    def is_over(self) -> bool:
        return self.process is None and self.restart_at is None

    def start(self) -> None:
        self.restart_at = None
        with self._log() as log:
            self.offset = log.tell()
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the launcher, which then asks the workers
            )

    def _log(self) -> BinaryIO:
        try:
            return self.log.open("ab")
        except OSError as error:
            raise InputError(f"{self.log}: cannot be written: {error.strerror}") from error

    def restart_when_due(self) -> None:
        if self.restart_at is not None and time.monotonic() >= self.restart_at:
            self.start()

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def settle(self, status: SweepStatus) -> None:
        """Take note of a process that has ended, and have it restarted later where it died.

        `status` was read after it had ended. Raises InputError or TrainingError.
        """
        code = self.process.returncode if self.process else 0
        self.process = None
        if code == 0 or status.finished or status.state != "open":
            return
        self.deaths = 1 if status.done > self.done else self.deaths + 1
        self.done = status.done
        if code == InputError.exit_code:
            raise InputError(self._last_lines(code))
        if self.deaths >= DEATHS:
            raise TrainingError(
                f"a worker ended {DEATHS} times without a result (log: {self.log}): "
                f"{self._last_lines(code)}"
            )
        self.restart_at = time.monotonic() + 2.0 ** (self.deaths - 1)

    def _last_lines(self, code: int) -> str:
        """Return the error that a worker ended with, or else the last lines that it wrote."""
        with self.log.open("rb") as log:
            log.seek(self.offset)
            lines = log.read().decode(errors="replace").split("\n")
        written = [line.strip() for line in lines if line.strip()]
        errors = [line for line in written if line.startswith("error: ")]
        if errors and code > 0:
            return errors[-1].removeprefix("error: ")
        ending = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return "\n  ".join([ending, *written[-LAST_LINES:]])


def _end(workers: Sequence[_WorkerProcess]) -> bool:
    """End all processes: SIGTERM, some seconds to give slots back, then SIGKILL; no zombies.

    Returns True if one had to be killed.
    """
    killed = False
    running = [worker.process for worker in workers if worker.process is not None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + GRACE
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed = True
    return killed
