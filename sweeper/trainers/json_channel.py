"""JSON channel: messages between two processes, a line of JSON each, over a socket."""

import json
import select
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import Any

Message = dict[str, Any]
_PIECE = 65_536


class JsonChannel:
    """One end of a socket pair. One thread reads, any may write."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._rest = b""
        self._lock = threading.Lock()
        self.is_open = True
        """False once the other end is closed."""

    @classmethod
    def of_descriptor(cls, number: int) -> "JsonChannel":
        """Return the channel over an inherited file descriptor."""
        return cls(socket.socket(fileno=number))

    def fileno(self) -> int:
        """Return its file descriptor."""
        return self._socket.fileno()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; nothing happens if nobody reads any more."""
        try:
            with self._lock:
                self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.is_open = False

    def receive(self) -> list[Message]:
        """Return the messages that have come, none once it is closed; waits for some bytes.

        What is no message, a script has written that has come upon the descriptor: that closes it.
        """
        try:
            piece = self._socket.recv(_PIECE)
        except OSError:
            piece = b""
        if not piece:
            self.is_open = False
            return []
        *lines, self._rest = (self._rest + piece).split(b"\n")
        try:
            messages = [json.loads(line) for line in lines]
        except (ValueError, RecursionError):
            messages = [None]
        if all(isinstance(message, dict) for message in messages):
            return messages
        self.is_open = False
        return []

    def close(self) -> None:
        """Close this end."""
        self.is_open = False
        self._socket.close()


def readable(channels: Sequence[JsonChannel], seconds: float) -> list[JsonChannel]:
    """Return the open channels from which something can be read, after so long at the most."""
    poll = select.poll()
    by_number = {channel.fileno(): channel for channel in channels if channel.is_open}
    for number in by_number:
        poll.register(number, select.POLLIN)
    return [by_number[number] for number, _ in poll.poll(max(0.0, seconds) * 1000)]
