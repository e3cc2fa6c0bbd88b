"""A small threading server for the Optuna dashboard; it has no access control of its own."""

import ipaddress
import socket
from collections.abc import Callable
from contextlib import suppress
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import optuna
from optuna.storages import RDBStorage

from sweeper.errors import InputError, StorageError
from sweeper.search.retry import retry
from sweeper.store import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def application(store: Store) -> "WSGIApplication":
    """Return the Optuna dashboard as a WSGI application; creates Optuna's tables if absent.

    Raises StorageError if the database cannot be reached or is of another Optuna's schema.
    """
    from optuna_dashboard import wsgi

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options: dict[str, Any] = {"pool_pre_ping": True}
    if store.url.startswith("sqlite"):
        options["connect_args"] = {"timeout": 60}
    try:
        storage = retry(lambda: RDBStorage(store.url, engine_kwargs=dict(options)))
    except (ImportError, RuntimeError) as error:  # no driver; another Optuna's schema
        raise StorageError(f"{store.shown}: {str(error).splitlines()[0]}") from error
    return cast("WSGIApplication", wsgi(storage))


def serve(
    store: Store,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    allow_remote: bool = False,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve the dashboard until Ctrl-C; port 0 takes a free one. `announce` gets the URL.

    Raises InputError for a host that others can reach, since whoever reaches the dashboard may
    delete studies, unless `allow_remote` is set.
    """
    if not (allow_remote or is_loopback(host)):
        raise InputError(
            f"host {host}: others could reach the dashboard, which has no access control and "
            "lets anybody delete studies; allowed: 127.0.0.1, ::1, localhost"
        )
    with _server(host, port) as server:
        server.set_app(application(store))
        shown = f"[{host}]" if ":" in host else host
        announce(f"http://{shown}:{server.server_port}/")
        with suppress(KeyboardInterrupt):
            server.serve_forever(poll_interval=0.2)


def is_loopback(host: str) -> bool:
    """Return whether only programs of this machine can reach a host's address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    """No line for every poll."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _server(host: str, port: int) -> _Server:
    kind = _Server6 if ":" in host else _Server
    try:
        return kind((host, port), _Quiet)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{host}:{port}: cannot listen there: {reason}") from error
