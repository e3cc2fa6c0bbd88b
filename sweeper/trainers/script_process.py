"""Script process: it calls a user's function, one trial after the other, for its worker.

`python -m sweeper.trainers.script_process TALK FUNCTION`. The module is imported once. Trials run
in the main thread; another one listens to the worker and tells it of the progress. What a trial has
changed in the process is put right where that can be done; else another process takes its place.

to it     {"trial": ASSIGNMENT, "mark": ..., "artifacts": PLACE}    {"end": REASON}
from it   {"ready": HASH}    {"unusable": LINE}    {"share": 0.5}
          {"result": {...}, "learning": [...], "reusable": true}    {"diverged": true, ...}
          {"error": LINE, "reusable": false}    {"ended": true}
"""

import fcntl
import hashlib
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from sweeper.config.registry import FOLDER, load
from sweeper.errors import PluginError, typed_line
from sweeper.trainers.attempt_mark import AttemptMark
from sweeper.trainers.json_channel import JsonChannel, Message, readable
from sweeper.trainers.learning_curve import LearningCurve
from sweeper.trainers.script_result import ResultError, plain_result
from sweeper.trainers.trial import Trial, TrialDiverged, TrialEnded
from sweeper.trainers.trial_assignment import TrialAssignment
from sweeper.trainers.trial_checkpoint import TrialCheckpoints
from sweeper.trainers.trial_folder import TrialFolder

PROGRESS_SECONDS = 0.5
"""Between two looks at the share that a trial has told."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


class _Surroundings:
    """Surroundings of a trial in this process, as they were before the first one."""

    def __init__(self) -> None:
        self._folder = Path.cwd()
        self._environment = dict(os.environ)
        self._streams = sys.stdout, sys.stderr
        # Far up, where a script that closes all it knows of leaves them alone, mostly.
        self._outputs = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 200) for number in (1, 2)]

    def restore(self) -> bool:
        """Put right what a trial has changed; False if that cannot be done."""
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            for stream, output in enumerate(self._outputs, start=1):
                os.dup2(output, stream)
            sys.stdout, sys.stderr = self._streams
            if sys.stdout.closed or sys.stderr.closed:
                return False
            os.chdir(self._folder)
        except (OSError, ValueError):
            return False
        if dict(os.environ) != self._environment:
            os.environ.clear()
            os.environ.update(self._environment)
        main = threading.main_thread()
        return not any(thread is not main and not thread.daemon for thread in threading.enumerate())


class _Listener:
    """The thread that listens to the worker."""

    def __init__(self, talk: JsonChannel) -> None:
        self.trials: SimpleQueue[Message | None] = SimpleQueue()
        """Trials to come; None once the worker is gone."""
        self.trial: Trial | None = None
        self._talk, self._told = talk, 0.0
        threading.Thread(target=self._listen, name="sweeper-listener", daemon=True).start()

    def _listen(self) -> None:
        while self._talk.is_open:
            for channel in readable([self._talk], PROGRESS_SECONDS):
                for message in channel.receive():
                    if "end" in message and self.trial:
                        self.trial.ending = message["end"]
                    if "trial" in message:
                        self.trials.put(message)
            trial = self.trial
            if trial and trial.share != self._told:
                self._told = trial.share
                with suppress(TypeError, ValueError):
                    self._talk.send({"share": float(self._told)})
        if self.trial:
            self.trial.ending = "the worker is gone"
        self.trials.put(None)


def _run(function: Callable[[Trial], object], message: Message, listener: _Listener) -> Message:
    """Call the function for one trial; return what is to be told of it."""
    assignment = TrialAssignment.of_message(message["trial"])
    folder = TrialFolder(Path(assignment.folder), AttemptMark(**message["mark"]))
    checkpoints = TrialCheckpoints(message["artifacts"], folder)

    def look() -> str:
        return "a later attempt has begun" if folder.is_superseded else ""

    def keep() -> None:
        if problem := checkpoints.save():
            print(f"trial.checkpoint: {problem}", file=sys.stderr, flush=True)

    trial = Trial(
        dict(assignment.params),
        seed=assignment.seed,
        order_seed=assignment.order_seed,
        arm=assignment.arm,
        repeat=assignment.repeat,
        slot=assignment.slot,
        attempt=assignment.attempt,
        folder=folder.path,
        device=assignment.device,
        data=assignment.data,
        terms=assignment.terms,
        keep=keep,
        look=look,
        curve=LearningCurve(folder.curve_file),
    )
    listener.trial = trial
    try:
        _seed(assignment.seed)
        told: Message = {"result": plain_result(function(trial))}
    except TrialEnded:
        told = {"ended": True} if trial.ending else {"error": "TrialEnded: raised unasked"}
    except TrialDiverged:
        told = {"result": {"diverged": True}}
    except ResultError as error:
        told = {"error": str(error)}
    except BaseException as error:  # SystemExit and KeyboardInterrupt, too
        told = {"error": _line(error, function)}
        traceback.print_exception(error)
    finally:
        listener.trial = None
    points = [[point.epoch, dict(point.values)] for point in trial.curve.points]
    return {**told, "learning": points, "kept": checkpoints.are_kept}


def _seed(seed: int) -> None:
    """Seed what a function draws from without saying so: the same, whatever ran here before."""
    random.seed(seed)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(seed)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)


def _line(error: BaseException, function: Callable[..., object]) -> str:
    """Return an error of the function in one line, with the line of the user's code."""
    place = ""
    frames = traceback.extract_tb(error.__traceback__)
    code = getattr(function, "__code__", None)
    home = Path(code.co_filename).parent if code else FOLDER.folder or Path.cwd()
    for frame in frames:
        path = Path(frame.filename)
        if path.is_relative_to(home) and "site-packages" not in path.parts:
            place = f" ({path.name}:{frame.lineno})"
    return f"{typed_line(error)}{place}"


def file_hash(function: Callable[..., object]) -> str:
    """Return the sha256 of the file of a function's module; empty if it has none."""
    file = getattr(sys.modules.get(function.__module__), "__file__", None)
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""
    except OSError:
        return ""


def main() -> None:
    """Call the function of the command line for each trial that the worker sends."""
    talk = JsonChannel.of_descriptor(int(sys.argv[1]))
    os.set_inheritable(talk.fileno(), False)
    FOLDER.begin()
    listener = _Listener(talk)
    try:
        function: Any = load(sys.argv[2])
        if not callable(function):
            raise PluginError(f"{sys.argv[2]}: must be a function, is a {type(function).__name__}")
    except PluginError as error:
        talk.send({"unusable": str(error)})
        return
    surroundings, process = _Surroundings(), os.getpid()
    talk.send({"ready": file_hash(function)})
    while (message := listener.trials.get()) is not None:
        told = _run(function, message, listener)
        if os.getpid() != process:  # a fork that has returned from the function, too
            os._exit(0)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        talk.send({**told, "reusable": surroundings.restore() and "error" not in told})


if __name__ == "__main__":
    main()
