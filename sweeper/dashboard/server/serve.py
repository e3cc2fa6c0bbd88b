"""Both dashboards behind the access control, as one application, and served."""

import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sweeper.dashboard.server.access_log import AccessLog
from sweeper.dashboard.server.application import Application
from sweeper.dashboard.server.auth import require_token
from sweeper.dashboard.server.coalescing import CoalescingMiddleware
from sweeper.dashboard.server.connections import LARGEST_BODY, LARGEST_UPLOAD, HTTPServer
from sweeper.dashboard.server.metrics import Metrics
from sweeper.dashboard.server.reaper import reap_periodically
from sweeper.dashboard.server.telemetry import Telemetry
from sweeper.dashboard.server.tokens import (
    AccessToken,
)
from sweeper.errors import InputError
from sweeper.settings import (
    PROXIES_VARIABLE,
    TOKEN_FILE_VARIABLE,
    TOKEN_VARIABLE,
)
from sweeper.store import StorageCounts, Store
from sweeper.store.loopback import bare, is_loopback

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


LOOK = 1.0
"""Seconds of patience with a database that is away, for who asks whether it is."""


@contextmanager
def site(
    store: Store,
    token: bytes | None,
    log: AccessLog,
    *,
    allow_edit: bool = False,
    artifacts: str | None = None,
    proxies: int = 0,
) -> Iterator["WSGIApplication"]:
    """Give all that is served as one WSGI application; meanwhile leases that are over are ended.

    Without a token it answers this machine alone. `proxies`: how many stand before the server.
    Raises InputError, and StorageError as `Application` does.
    """
    if token is None and proxies:
        raise InputError(
            f"{PROXIES_VARIABLE}: others can reach the dashboard behind a proxy, so it needs a "
            f"token: set {TOKEN_VARIABLE}, or {TOKEN_FILE_VARIABLE} to a file that holds it"
        )
    metrics = Metrics()
    watch = Telemetry(metrics, log)
    store = store.reconnect(store.patience.with_callback(watch.retried))
    looking = store.reconnect(replace(store.patience, seconds=LOOK))

    def look() -> StorageCounts:
        looking.check()
        return looking.census()

    with (
        closing(store),
        closing(looking),
        reap_periodically(store, watch),
        closing(Application(store, artifacts)) as both,
    ):
        page = metrics.on_step(CoalescingMiddleware(both), watch.asking(look))
        check = watch.asking(looking.check)
        yield watch.requests(
            require_token(page, token, read_only=not allow_edit, check=check, proxies=proxies)
        )


def serve(
    store: Store,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    token: bytes | None = None,
    allow_edit: bool = False,
    artifacts: str | None = None,
    proxies: int = 0,
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
            f"{TOKEN_VARIABLE}, or {TOKEN_FILE_VARIABLE} to a file that holds it"
        )
    log = AccessLog(sys.stderr if access_log else None, secret=token)
    with (
        _server(host, port) as server,
        site(store, token, log, allow_edit=allow_edit, artifacts=artifacts, proxies=proxies) as app,
    ):
        server.application = app
        server.largest_body = LARGEST_UPLOAD if allow_edit else LARGEST_BODY
        server.admits = partial(_is_known, token)
        shown = f"[{host}]" if ":" in host else host
        announce(f"http://{shown}:{server.server_port}/")
        with log.running(), suppress(KeyboardInterrupt):
            server.serve()


def _is_known(token: bytes | None, headers: Mapping[str, str]) -> bool:
    """Return whether a request shows the token or a session, before its body has come."""
    if token is None:
        return True
    door = AccessToken(token)
    given = headers.get("AUTHORIZATION", "")
    return bool(door.has_header(given)) or door.has_session(headers.get("COOKIE", ""))


def _server(host: str, port: int) -> HTTPServer:
    both = host == "::" and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server(
            (host, port), family=family, backlog=1024, dualstack_ipv6=both
        )
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{host}:{port}: cannot listen there: {reason}") from error
    return HTTPServer(listening)
