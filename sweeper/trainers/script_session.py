"""Script session: a program of a user's, as its worker has it: started, listened to, ended."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from sweeper.trainers import process_tree
from sweeper.trainers.json_channel import JsonChannel, Message, readable
from sweeper.trainers.script_output import ScriptOutput
from sweeper.trainers.trial_folder import TrialFolder

ASKED_SECONDS = 2.0
"""For a function to end by itself once it is told."""
TERMINATED_SECONDS = 2.0
"""For a program to end after SIGTERM."""
KILLED_SECONDS = 2.0
"""For all that it has started to be gone after SIGKILL."""
CLOSING_SECONDS = 1.0
"""For a process that waits for trials to end by itself."""
MUTE_SECONDS = 1.0
"""For which a program may be silent that has closed its channel, before it is taken for lost."""
_PYTHON = (sys.executable, "-P", "-m")
_GUARD = "sweeper.trainers.script_guard"
FUNCTIONS = "sweeper.trainers.script_process"


class ScriptSession:
    """A program and its guard. Nothing of it is left once it was closed or ended."""

    def __init__(
        self, program: Sequence[str], environment: Mapping[str, str], *, function: str = ""
    ) -> None:
        """Start a program; or, if one is named, the process that calls a function."""
        self.output = ScriptOutput()
        control, theirs = socket.socketpair()
        self._control = JsonChannel(control)
        self._talk: JsonChannel | None = None
        self._program = 0
        """Process id, once the guard has told it."""
        self._muted_at: float | None = None
        ends = [theirs]
        if function:
            talk, other = socket.socketpair()
            ends.append(other)
            self._talk = JsonChannel(talk)
            program = [*_PYTHON, FUNCTIONS, str(other.fileno()), function]
        numbers = [end.fileno() for end in ends]
        try:
            self._guard = subprocess.Popen(
                [*_PYTHON, _GUARD, str(numbers[0]), str([*numbers, -1][1]), *program],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=self.output.writing[0],
                stderr=self.output.writing[1],
                pass_fds=numbers,
                start_new_session=True,
            )
        finally:
            for end in ends:
                end.close()
            self.output.started()

    def watch(self, folder: TrialFolder) -> None:
        """Have it ended as soon as a later attempt has a folder."""
        mark = {"trial": folder.mark.trial, "attempt": folder.mark.attempt}
        self._control.send({"watch": str(folder.mark_file), **mark})

    def send(self, message: Message) -> None:
        """Send a message to the process that calls functions."""
        if self._talk:
            self._talk.send(message)

    def receive(self, seconds: float) -> list[Message]:
        """Return what program and guard have said, after so long at the most.

        `{"exited": None}`: the guard is gone, `{"mute": True}`: the program has closed its channel
        and goes on.
        """
        channels = [channel for channel in (self._talk, self._control) if channel]
        if not self._control.is_open:
            return [{"exited": None}]
        messages: list[Message] = []
        ready = readable(channels, seconds)
        for channel in (channel for channel in channels if channel in ready):
            messages += channel.receive()
        for message in messages:
            self._program = message.get("started", self._program)
        if self._talk and not self._talk.is_open:
            now = time.monotonic()
            self._muted_at = self._muted_at or now
            if now - self._muted_at > MUTE_SECONDS:
                messages.append({"mute": True})
            elif not ready:
                time.sleep(0.01)
        return messages

    def clean(self) -> int | None:
        """End all but the program itself; return how many that were, None if it is over."""
        self._control.send({"clean": True})
        answer = self._await("left", KILLED_SECONDS)
        return None if answer is None else int(answer["left"])

    def kill(self) -> None:
        """End all of it at once: nothing is waited for."""
        self._close()

    def end(self, reason: str) -> None:
        """End the program whatever it does, within some seconds: it is asked, told, killed."""
        is_over = False
        if self._talk:
            self._talk.send({"end": reason})
            is_over = self._await("ended", ASKED_SECONDS) is not None
        if not is_over:
            self._control.send({"signal": signal.SIGTERM})
            self._await("exited", TERMINATED_SECONDS)
        self._close()

    def close(self) -> None:
        """End a process that waits for trials."""
        if self._talk:
            self._talk.close()
            self._await("exited", CLOSING_SECONDS)
        self._close()

    def _await(self, key: str, seconds: float) -> Message | None:
        """Return the message with a key; None if the program has ended, or time is over."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for message in self.receive(left):
                if key in message:
                    return message
                if "exited" in message:
                    return None
        return None

    def _close(self) -> None:
        self._control.close()  # the guard kills whatever is left
        if self._talk:
            self._talk.close()
        try:
            self._guard.wait(KILLED_SECONDS)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        if self._guard.returncode and self._program:  # the guard was killed itself
            process_tree.kill_all(lambda: process_tree.session_members(self._program))
        with suppress(OSError):
            self.output.close()
