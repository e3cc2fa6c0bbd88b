"""Connections of clients, which nobody can hold up: waitress, with bounds on what it leaves open.

Waitress takes and gives bytes in one thread, and lets threads have whole requests only: half ones,
slow bodies and slow readers hold none. What it leaves open is how many connections there are and
how long they take; here they are bounded, and who is new takes the place of who only waits.
"""

import errno
import logging
import resource
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any, Self

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import BaseWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher

from sweeper.dashboard.server import security_headers
from sweeper.redact import visible

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

THREADS = 64
"""Requests that are answered at once: a poll waits for half a second, the database may for two."""
MOST = 512
"""Connections in all; fewer where the process may not open so many files."""
MOST_OF_ONE = 128
"""Connections of one address."""
ACCEPTED_AT_ONCE = 32
"""Connections that are taken before those that are there get their turn again."""
SECONDS, BYTES_A_SECOND = 20.0, 16_384
"""A request or an answer takes no longer than this, and a second more for so many bytes."""
IDLE_SECONDS = 60
"""Without a byte in either direction."""
LARGEST_HEADER = 65_536
LARGEST_BODY = 65_536
"""Bytes of a body, from who has not shown that the token is known."""
LARGEST_UPLOAD = 176 * 2**20
"""Bytes of a body, where changes are allowed: Optuna's pages take files of 128 MB, in base64."""

Admits = Callable[[Mapping[str, str]], bool]
"""Decision by the headers of a request, named as in CGI but for HTTP_: is a large body taken?"""


# waitress ships no type hints, and those of others are wrong about its servers.
class _Request(HTTPRequestParser):  # type: ignore[misc]
    """A request on its way."""

    adj: Any

    def parse_header(self, header_plus: bytes) -> None:
        """Read the header; a body may be as large as its sender is known to be harmless."""
        super().parse_header(header_plus)
        if self.chunked or self.content_length > LARGEST_BODY:
            adjustments: Any = copy(self.adj)
            adjustments.max_request_body_size = adjustments.largest_body(self.headers) + 1
            self.adj = adjustments


class _Refusal(ErrorTask):  # type: ignore[misc]
    """The answer to bytes that are no request."""

    def execute(self) -> None:
        """Say why in a few words that hold nothing of what was sent."""
        self.request.error.body = "this request is not read"
        self.response_headers += security_headers.with_common(security_headers.SERVER)
        super().execute()


class _Connection(HTTPChannel):  # type: ignore[misc]
    """A connection: a request comes in, its answer goes out, and again."""

    parser_class = _Request
    error_task_class = _Refusal

    def __init__(
        self, server: "HTTPServer", sock: socket.socket, addr: Any, *rest: Any, **options: Any
    ):
        self._restart()
        super().__init__(server, sock, addr, *rest, **options)

    def _restart(self) -> None:
        self.began, self._bytes = time.monotonic(), 0

    def received(self, data: bytes) -> bool:
        """Take part of a request, or several."""
        if self.request is None:
            self._restart()
        self._bytes += len(data)
        return bool(super().received(data))

    def write_soon(self, data: Any) -> int:
        """Take part of an answer."""
        if not self.total_outbufs_len:
            self._restart()
        return int(super().write_soon(data))

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send part of an answer."""
        sent = int(super().send(data, do_close))
        self._bytes += sent
        return sent

    def close(self) -> None:
        """Close it with what was left to send: a large answer lies in a file."""
        self.handle_close()

    def read_at_once(self) -> None:
        """Read at once: a turn of the server later costs milliseconds while its threads work."""
        try:
            if self.connected and self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                self.handle_read()
        except OSError:
            return  # nothing has come yet; or the server finds out at its next turn

    @property
    def is_answered_now(self) -> bool:
        """The whole request is here, and no part of an answer waits to be taken: it is our turn."""
        return bool(self.requests) and not self.total_outbufs_len

    @property
    def is_late(self) -> bool:
        """The client takes too long, to send a request or to take its answer."""
        if self.is_answered_now or (self.request is None and not self.total_outbufs_len):
            return False
        return time.monotonic() - self.began > SECONDS + self._bytes / BYTES_A_SECOND


class HTTPServer(BaseWSGIServer):  # type: ignore[misc]
    """A WSGI server on a socket that listens already; `connections` and `dispatcher` may be shared.

    Is a context manager, too, which ends all connections.
    """

    channel_class = _Connection
    application: "WSGIApplication"
    largest_body = LARGEST_BODY
    """Bytes of a body where `admits` tells that its sender is known."""
    admits: Admits = staticmethod(lambda headers: False)

    def __init__(
        self,
        listening: socket.socket,
        application: "WSGIApplication | None" = None,
        *,
        connections: dict[int, Any] | None = None,
        dispatcher: ThreadedTaskDispatcher | None = None,
    ) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = MOST if files == resource.RLIM_INFINITY else min(MOST, files // 2)
        self._ended = False
        adjustments = Adjustments(
            threads=THREADS,
            connection_limit=2 * MOST,  # ours is reached before: waitress would accept nobody
            cleanup_interval=1,
            channel_timeout=IDLE_SECONDS,
            max_request_header_size=LARGEST_HEADER,
            max_request_body_size=LARGEST_BODY + 1,
            clear_untrusted_proxy_headers=False,  # the access control knows which to read
            log_socket_errors=False,
            ident="sweeper",
        )
        adjustments.largest_body = self._largest_body
        super().__init__(
            application or _unavailable,
            map={} if connections is None else connections,
            _sock=listening,
            dispatcher=dispatcher,
            adj=adjustments,
            sockinfo=(listening.family, listening.type, listening.proto, None),
            bind_socket=False,
        )

    def getsockname(self) -> tuple[str, Any]:
        """Return host and port of the socket, or `unix` and its path."""
        name = self.socket.getsockname()
        return name[:2] if isinstance(name, tuple) else ("unix", name)

    def fix_addr(self, addr: Any) -> tuple[str, int]:
        """Return address and port of a client; those of a Unix socket have none."""
        return addr if isinstance(addr, tuple) else ("", 0)

    def set_socket_options(self, conn: socket.socket) -> None:
        """Have small answers sent at once."""
        if conn.family != socket.AF_UNIX:
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle_accept(self) -> None:
        """Take those who wait to be taken; where there are too many, others make room."""
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted = self.accept()
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE}:
                    _end_longest_waiting(self.active_channels.values())
                return  # else the client has gone before it was taken
            if accepted is None:
                return
            sock, address = accepted
            with suppress(OSError):  # the client has gone meanwhile; reading will tell
                self.set_socket_options(sock)
            newest = self.channel_class(self, sock, self.fix_addr(address), self.adj, map=self._map)
            self._make_room(newest)
            newest.read_at_once()

    def _make_room(self, newest: _Connection) -> None:
        connections = self.active_channels.values()
        same = [each for each in connections if each.addr[0] == newest.addr[0]]
        if len(same) > MOST_OF_ONE:
            _end_longest_waiting(same)
        elif len(connections) > self._most:
            _end_longest_waiting(connections)

    def maintenance(self, now: float) -> None:
        """End connections that say nothing, and those that take too long: about once a second."""
        super().maintenance(now)
        for connection in list(self.active_channels.values()):
            if connection.is_late:
                connection.handle_close()

    def _largest_body(self, headers: Mapping[str, str]) -> int:
        return self.largest_body if self.admits(headers) else LARGEST_BODY

    def turn(self) -> None:
        """Serve whoever is ready, for a second at most."""
        self.asyncore.loop(timeout=1, use_poll=True, map=self._map, count=1)

    def serve(self) -> None:
        """Serve until `shutdown` is called or an exception such as Ctrl-C comes."""
        while not self._ended:
            self.turn()

    def shutdown(self) -> None:
        """Have `serve` return soon; any thread may call this."""
        self._ended = True
        self.pull_trigger()

    @property
    def server_port(self) -> int:
        """The port that it listens on."""
        return int(self.effective_port)

    def end(self, seconds: float) -> None:
        """Take no more requests, wait for the answers that are made, and close all."""
        self.task_dispatcher.shutdown(timeout=seconds)
        self.asyncore.close_all(self._map)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(1.0)


def _end_longest_waiting(connections: Iterable[_Connection]) -> None:
    """End the connection that has waited longest, for a request or for its answer to be taken.

    Whichever of the two it is: were those spared that take an answer, clients that take none would
    have each new one of their address ended in their place.
    """
    waiting = [connection for connection in connections if not connection.is_answered_now]
    if waiting:
        min(waiting, key=lambda connection: connection.began).handle_close()


def _unavailable(_: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
    start("503 Service Unavailable", [("Content-Length", "0")])
    return []


class _VisibleText(logging.Filter):
    """Filter that lets text of clients into a log in visible characters only."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = visible(record.getMessage()), ()
        return True


# What waitress says of a full queue or a client that went away is no fault of this program.
logging.getLogger("waitress").setLevel(logging.ERROR)
logging.getLogger("waitress").addFilter(_VisibleText())
logging.getLogger("waitress.queue").setLevel(logging.CRITICAL)
