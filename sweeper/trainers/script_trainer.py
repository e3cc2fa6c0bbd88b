"""Script trainer: trials by a user's own training, in a process that a worker ends for sure."""

import hashlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sweeper.config import Sweep
from sweeper.config.script import filled
from sweeper.errors import InputError, PluginError, SweeperError, TrainingError
from sweeper.settings import data_folder
from sweeper.trainers.attempt_mark import AttemptMark
from sweeper.trainers.command_output import RESULT, CommandOutput
from sweeper.trainers.devices import script_device
from sweeper.trainers.json_channel import Message
from sweeper.trainers.learning_curve import LearningCurve
from sweeper.trainers.provenance import gather_provenance
from sweeper.trainers.script_output import BoundedLog
from sweeper.trainers.script_result import ResultError, trial_result
from sweeper.trainers.script_session import ScriptSession
from sweeper.trainers.trainer import TrainingFailed
from sweeper.trainers.trial_assignment import TrialAssignment, without_ours
from sweeper.trainers.trial_checkpoint import TrialCheckpoints
from sweeper.trainers.trial_folder import TrialFolder, trial_folder_path
from sweeper.types import (
    LearningPoint,
    NetworkPlace,
    ProbePoint,
    ScriptConfig,
    Tick,
    TrialConfig,
    TrialResult,
    TrialTask,
    tick_of_part,
)

_log = logging.getLogger("sweeper.worker")
TICK_SECONDS = 0.2
"""Between two looks at the lease and at what the worker is asked to do."""
SETTLE_SECONDS = 0.5
"""For the last of its output to be read once a function has returned."""
BRIEF_SECONDS = 60.0
"""Of a trial that is taken to last as long as the last one, if it does not tell its progress."""
_ENDINGS = frozenset({"result", "error", "ended", "exited", "mute", "superseded"})
"""Keys of messages after which nothing more comes of a trial."""


class ScriptTrainer:
    """Calls a function or runs a command for each trial, one after the other."""

    pack = 1

    def __init__(
        self,
        sweep: Sweep,
        script: ScriptConfig,
        *,
        trials: Path,
        device: str = "auto",
        identity: str = "",
        folder: Path | None = None,
        artifacts: str | None = None,
        on_event: Callable[[str], None] = _log.info,
    ) -> None:
        """`trials` is the folder of the sweep's trials, `folder` that of datasets; `identity`
        tells the sweep from others of its name."""
        self.device = script_device(device)
        self._script, self._limit, self._identity = script, sweep.time_limit, identity
        self._trials, self._artifacts = trials.absolute(), artifacts
        self._data: str | None = None
        with suppress(InputError):  # who needs it is told
            self._data = str(data_folder(folder).absolute())
        self._on_event = on_event
        # What Python prints is seen at once, and not lost with a process that is killed.
        self._environment = {"PYTHONUNBUFFERED": "1", **without_ours(os.environ)}
        self._session: ScriptSession | None = None
        self._checkpoints: dict[NetworkPlace, TrialCheckpoints] = {}
        """Of trials that have any, until they are on record."""
        self.trial_seconds: float | None = None
        """Unknown before one was trained."""
        self._typical = 0.0
        """Seconds that the last trial took."""
        self.provenance = gather_provenance(
            device=self.device,
            processor="",
            threads=int(os.environ.get("OMP_NUM_THREADS", "1")),
            data_hash=files_hash(script.command),
        )

    def train(
        self,
        tasks: Sequence[TrialTask],
        tick: Tick,
        on_memory: Callable[[str], None] = lambda message: None,
        networks: dict[int, Any] | None = None,
    ) -> list[TrialResult]:
        """Train trials, one after the other; results in their order."""
        return [
            self._train(task, tick_of_part(tick, place, 1, len(tasks)))
            for place, task in enumerate(tasks)
        ]

    def probe(self, config: TrialConfig, tick: Tick) -> tuple[tuple[ProbePoint, ...], float]:
        """Raise TrainingError: `auto` is refused where a script trains."""
        raise TrainingError("strength: auto is for networks that are trained in packs")

    def note_recorded(self, tasks: Sequence[TrialTask]) -> None:
        """Remove the checkpoints of trials that are on record."""
        for task in tasks:
            if checkpoints := self._checkpoints.pop(task.place, None):
                checkpoints.remove_all()

    def close(self) -> None:
        """End the process."""
        if self._session:
            self._session.close()
            self._session = None

    def _train(self, task: TrialTask, tick: Tick) -> TrialResult:
        folder = self._folder(task)
        checkpoints = TrialCheckpoints(self._artifacts, folder)
        try:
            self._begin(folder, checkpoints)
            log = self._log(folder)
            assignment = TrialAssignment.of(
                task, folder=str(folder.path), device=self.device, data=self._data
            )
            train = self._call if self._script.function else self._run
            measured = train(assignment, folder, checkpoints, log, tick)
            result = trial_result(
                measured.raw,
                floor=task.config.floor,
                learning=measured.learning,
                seconds=measured.seconds,
            )
        except (TrainingFailed, ResultError) as error:
            raise TrainingFailed(f"{error}; output: {folder.log}") from error
        self._typical = measured.seconds
        if checkpoints.are_kept:
            self._checkpoints[task.place] = checkpoints
        return result

    def _folder(self, task: TrialTask) -> TrialFolder:
        config = hashlib.sha256(repr(task.config).encode()).hexdigest()[:16]
        slot = task.slot
        trial = f"{self._identity}/{slot.study}/{slot.repeat}/{slot.number}/{config}"
        path = trial_folder_path(self._trials, task.place)
        return TrialFolder(path, AttemptMark(trial, task.attempt))

    def _begin(self, folder: TrialFolder, checkpoints: TrialCheckpoints) -> None:
        """Take the folder of a trial, with the last checkpoint in it."""
        restored = None
        if folder.mark.attempt > 1:
            try:
                restored = checkpoints.restore()
            except SweeperError as error:
                raise TrainingFailed(f"its checkpoint: {error}") from error
        folder.begin(restored)

    def _log(self, folder: TrialFolder) -> BoundedLog:
        """Open the log of a trial. Raises InputError."""
        try:
            return BoundedLog(folder.log)
        except OSError as error:
            raise InputError(f"{folder.log}: cannot be written: {error.strerror}") from error

    def _call(
        self,
        assignment: TrialAssignment,
        folder: TrialFolder,
        checkpoints: TrialCheckpoints,
        log: BoundedLog,
        tick: Tick,
    ) -> "_Measured":
        """Call the function in a process that may be used again."""
        session = self._session
        is_new, self._session = session is None, None
        if session is None:
            session = ScriptSession([], self._environment, function=self._script.function)
        with _attended(session, folder, log):
            if is_new:
                self._await_function(session, log, tick)
            began = time.monotonic()  # imports are no part of it
            mark = {"trial": folder.mark.trial, "attempt": folder.mark.attempt}
            order = {"trial": assignment.to_message(), "artifacts": self._artifacts}
            session.send({**order, "mark": mark})
            told = self._attend(session, tick, began)
            seconds = time.monotonic() - began
        if told.get("reusable") and session.clean() == 0:
            self._session = session
        else:
            session.kill()
        checkpoints.are_kept |= told.get("kept", False)
        if "result" not in told:
            raise TrainingFailed(told.get("error") or _ending(told, log))
        points = told["learning"]
        learning = [LearningPoint(epoch, tuple(sorted(of.items()))) for epoch, of in points]
        return _Measured(told["result"], tuple(learning), seconds)

    def _run(
        self,
        assignment: TrialAssignment,
        folder: TrialFolder,
        checkpoints: TrialCheckpoints,
        log: BoundedLog,
        tick: Tick,
    ) -> "_Measured":
        """Run the command."""
        curve = LearningCurve(folder.curve_file)
        keeping = _Keeping(checkpoints, self._on_event)
        output = CommandOutput(curve, keeping.begin)
        with suppress(FileNotFoundError):  # of an earlier attempt
            (folder.path / RESULT).unlink()
        began = time.monotonic()
        session = ScriptSession(
            filled(self._script.command, assignment.given),
            {**self._environment, **assignment.environment},
        )
        with _attended(session, folder, log, output.take):
            told = self._attend(session, tick, began)
            seconds = time.monotonic() - began
        session.kill()
        keeping.wait(tick)
        if told.get("exited") != 0:
            raise TrainingFailed(_ending(told, log))
        return _Measured(output.result(folder.path), curve.points, seconds)

    def _await_function(self, session: ScriptSession, log: BoundedLog, tick: Tick) -> None:
        """Wait until the process has the function. Raises PluginError, TrainingFailed."""
        began = time.monotonic()
        while True:
            self._check_time(began)
            tick(0.0)
            for message in session.receive(TICK_SECONDS):
                if "ready" in message:
                    self.provenance = replace(self.provenance, data_hash=message["ready"])
                    return
                if "unusable" in message:
                    raise PluginError(f"trial: {message['unusable']}")
                if not _ENDINGS.isdisjoint(message):
                    reason = _ending(message, log)
                    raise TrainingFailed(f"{self._script.function} cannot be loaded: {reason}")

    def _attend(self, session: ScriptSession, tick: Tick, began: float) -> Message:
        """Return the message that ends a trial. Raises the errors of `tick`, TrainingFailed."""
        told = 0.0
        while True:
            seconds = self._check_time(began)
            guess = seconds / self._typical if 0 < self._typical < BRIEF_SECONDS else 0.0
            tick(min(max(told or guess, 0.0), 0.99))
            for message in session.receive(TICK_SECONDS):
                told = message.get("share", told)
                if "superseded" in message:
                    tick(told)  # mostly the lease is lost as well
                if not _ENDINGS.isdisjoint(message):
                    return message

    def _check_time(self, began: float) -> float:
        """Return the seconds that have passed. Raises TrainingFailed where they are too many."""
        seconds = time.monotonic() - began
        if self._limit and seconds > self._limit:
            raise TrainingFailed(f"time_limit: it ran for longer than {self._limit:g} s")
        return seconds


class _Keeping:
    """Checkpoints of a command, uploaded by a thread beside it, one at a time."""

    def __init__(self, checkpoints: TrialCheckpoints, on_event: Callable[[str], None]) -> None:
        self._checkpoints, self._on_event = checkpoints, on_event
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Keep the folder as it is now; nothing happens while it is being kept."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._save, name="sweeper-keeping", daemon=True)
            self._thread.start()

    def wait(self, tick: Tick) -> None:
        """Wait for the last one: the trial's record removes it."""
        while self._thread and self._thread.is_alive():
            tick(0.99)
            self._thread.join(TICK_SECONDS)

    def _save(self) -> None:
        if problem := self._checkpoints.save():
            self._on_event(f"checkpoint: {problem}")


@contextmanager
def _attended(
    session: ScriptSession,
    folder: TrialFolder,
    log: BoundedLog,
    on_line: Callable[[bytes], None] | None = None,
) -> Iterator[None]:
    """Have a trial in a session in a `with` block: its output is kept, all of it is ended if that
    raises, as where the worker is asked to leave."""
    with session.output.kept_in(log, on_line):
        try:
            session.watch(folder)
            yield
        except BaseException as error:
            session.end(str(error))
            raise
        session.output.settle(SETTLE_SECONDS)


@dataclass(frozen=True, slots=True)
class _Measured:
    raw: Mapping[str, Any]
    learning: tuple[LearningPoint, ...]
    seconds: float


def _ending(message: Message, log: BoundedLog) -> str:
    """Return the ending of a program without a result in one line, with the last that it said."""
    code = message.get("exited")
    if "superseded" in message:
        return "a later attempt has its folder"
    if "mute" in message:
        return "it closed its channel to the worker"
    if code is None:
        return "its guard was killed"
    if code < 0:
        hint = ", as where memory runs out" if code == -signal.SIGKILL else ""
        text = f"killed by {signal.Signals(-code).name}{hint}"
    else:
        text = f"exit code {code}" if code else "it ended its process without a result"
    return f"{text}: {log.last_line}" if log.last_line else text


def files_hash(arguments: Sequence[str]) -> str:
    """Return the sha256 over the files that a command names, in their order; empty for none."""
    digest, files = hashlib.sha256(), 0
    for argument in arguments:
        with suppress(OSError, ValueError):
            if not Path(argument).is_file():
                continue  # nor a pipe or a device, which may have no end
            with Path(argument).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
            files += 1
    return digest.hexdigest() if files else ""
