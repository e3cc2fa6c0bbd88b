"""A small threading server for both dashboards, behind the access control."""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from sweeper.dashboard.access import guarded
from sweeper.dashboard.application import Application
from sweeper.dashboard.logs import Log
from sweeper.dashboard.metrics import Metrics
from sweeper.dashboard.polls import Polls
from sweeper.dashboard.reaping import reaping
from sweeper.dashboard.tokens import FILE_VARIABLE, VARIABLE
from sweeper.dashboard.watch import Watch
from sweeper.errors import InputError
from sweeper.loopback import bare, is_loopback
from sweeper.store import Census, Store

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


LOOK = 1.0
"""Seconds of patience with a database that is away, for who asks whether it is."""


@contextmanager
def site(
    store: Store,
    token: bytes | None,
    log: Log,
    *,
    allow_edit: bool = False,
    artifacts: str | None = None,
) -> Iterator["WSGIApplication"]:
    """Give all that is served as one WSGI application; meanwhile leases that are over are ended.

    Without a token it answers this machine alone. Raises StorageError as `Application` does.
    """
    metrics = Metrics()
    watch = Watch(metrics, log)
    store = store.another(store.patience.telling(watch.retried))
    looking = store.another(replace(store.patience, seconds=LOOK))

    def look() -> Census:
        looking.check()
        return looking.census()

    with (
        closing(store),
        closing(looking),
        reaping(store, watch),
        closing(Application(store, artifacts)) as both,
    ):
        page = metrics.beside(Polls(both), watch.asking(look))
        check = watch.asking(looking.check)
        yield watch.requests(guarded(page, token, read_only=not allow_edit, check=check))


def serve(
    store: Store,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    token: bytes | None = None,
    allow_edit: bool = False,
    artifacts: str | None = None,
    access_log: bool = False,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve the dashboard until Ctrl-C; port 0 takes a free one. `announce` gets the URL.

    `access_log`: a line of JSON for each request and event, to standard error.
    Raises InputError for a host that others can reach where there is no token to ask them for.
    """
    host = bare(host)
    if token is None and not is_loopback(host):
        raise InputError(
            f"host {host}: others can reach the dashboard there, so it needs a token: set "
            f"{VARIABLE}, or {FILE_VARIABLE} to a file that holds it"
        )
    log = Log(sys.stderr if access_log else None, secret=token)
    with (
        _server(host, port) as server,
        site(store, token, log, allow_edit=allow_edit, artifacts=artifacts) as app,
    ):
        server.set_app(app)
        shown = f"[{host}]" if ":" in host else host
        announce(f"http://{shown}:{server.server_port}/")
        with log.running(), suppress(KeyboardInterrupt):
            server.serve_forever(poll_interval=0.2)


class _Server(ThreadingMixIn, WSGIServer):
    """One thread per request: a poll of the dashboard reads a whole study."""

    daemon_threads = True
    request_queue_size = 64

    def server_bind(self) -> None:
        # HTTPServer would ask the name service for this host's name: seconds where there is none.
        TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), int(port)
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that went away, or said nothing for long, is no fault of this program.
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    """No line for every poll, and no thread for ever for a client that says nothing."""

    timeout = 60

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _server(host: str, port: int) -> _Server:
    kind = _Server6 if ":" in host else _Server
    try:
        return kind((host, port), _Quiet)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{host}:{port}: cannot listen there: {reason}") from error
