"""Script guard: the process between a worker and a user's script, which leaves nothing behind.

`python -m sweeper.trainers.script_guard CONTROL TALK PROGRAM ...`: it runs the program in a session
of its own, and ends all that this has started, daemons too, once the program has ended, the worker
says so, the worker is gone (however that went), or a later attempt has the trial's folder. TALK is
a file descriptor for the program, or -1. It loads little, for it is started often, and runs none of
a user's code, so that nothing can keep it from its work.

to it     {"signal": 15}           to the program and all that it has started
          {"watch": FILE, "trial": ..., "attempt": N}     end if the file is another attempt's
          {"clean": true}          end all but the program; answered by {"left": NUMBER}
from it   {"started": PID}  {"superseded": true}  {"exited": CODE}
"""

import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from sweeper.trainers import process_tree
from sweeper.trainers.attempt_mark import AttemptMark
from sweeper.trainers.json_channel import JsonChannel, Message

LOOK_SECONDS = 0.25
"""Between two looks at the program, and at the file that tells of later attempts."""
NO_PROGRAM = 127
"""Exit code where there is no such program, as of a shell."""


class _Guard:
    def __init__(self, control: JsonChannel, program: int, waking: int) -> None:
        self._control, self._program, self._waking = control, program, waking
        self._code: int | None = None
        self._watched: tuple[Path, AttemptMark] | None = None

    def run(self) -> None:
        """Watch until the program has ended, or has to; then end all that is left of it."""
        poll = select.poll()
        for number in (self._control.fileno(), self._waking):
            poll.register(number, select.POLLIN)
        while self._code is None and self._control.is_open:
            numbers = [number for number, _ in poll.poll(LOOK_SECONDS * 1000)]
            if self._waking in numbers:
                os.read(self._waking, 4096)
            if self._control.fileno() in numbers:
                for message in self._control.receive():
                    self._do(message)
            self._reap()
            if self._is_superseded():
                self._control.send({"superseded": True})
                break
        process_tree.kill_all(self._below, self._reap)
        if self._code is not None:
            self._control.send({"exited": self._code})

    def _do(self, message: Message) -> None:
        if "watch" in message:
            mark = AttemptMark(message["trial"], message["attempt"])
            self._watched = Path(message["watch"]), mark
        if "signal" in message:
            for pid in self._below():
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, message["signal"])
        if "clean" in message:
            others = process_tree.kill_all(self._others, self._reap)
            self._control.send({"left": others})

    def _below(self) -> list[int]:
        return process_tree.descendants(os.getpid())

    def _others(self) -> list[int]:
        return [pid for pid in self._below() if pid != self._program]

    def _reap(self) -> None:
        """Take note of children that have ended: the program, and orphans that came here."""
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._program:
                    self._code = os.waitstatus_to_exitcode(status)

    def _is_superseded(self) -> bool:
        return self._watched is not None and self._watched[1].is_superseded(self._watched[0])


def _start(program: list[str], talk: int) -> int:
    """Start a program in a session of its own; return its process id."""
    guard = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        process_tree.die_with_parent()
        if os.getppid() != guard:  # it has ended before that
            os._exit(NO_PROGRAM)
        if talk >= 0:
            os.set_inheritable(talk, True)
        os.execvp(program[0], program)  # noqa: S606  # no shell is wanted
    except OSError as error:
        os.write(2, f"{program[0]}: cannot be started: {error.strerror}\n".encode())
    finally:
        os._exit(NO_PROGRAM)


def _heard(number: int, frame: FrameType | None) -> None:
    """Do nothing, after a signal that is for others. What is ignored, programs would inherit."""


def main() -> None:
    """Guard the program of the command line."""
    waking, woken = os.pipe()
    for end in (waking, woken):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(woken)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, _heard)
    process_tree.adopt_orphans()
    control, talk = JsonChannel.of_descriptor(int(sys.argv[1])), int(sys.argv[2])
    os.set_inheritable(control.fileno(), False)
    program = _start(sys.argv[3:], talk)
    # The program's alone: when it has ended, who reads their other ends sees that.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    if talk >= 0:
        os.close(talk)
    control.send({"started": program})
    _Guard(control, program, waking).run()


if __name__ == "__main__":
    main()
