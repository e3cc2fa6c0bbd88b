"""Serving of both dashboards, behind the access control, as one application."""

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
    DASHBOARD_HOST,
    DASHBOARD_PORT,
    PROXIES_VARIABLE,
    TOKEN_FILE_VARIABLE,
    TOKEN_VARIABLE,
)
from sweeper.store import StorageCounts, Store
from sweeper.store.loopback import bare, is_loopback

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


CHECK_SECONDS = 1.0
"""Seconds of patience with a database that is away, for checks of its health."""


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
    """Give the whole site as one WSGI application; meanwhile expired leases are ended.

    Without a token it answers this machine alone. `proxies` is the number before the server.
    Raises InputError, and StorageError as `Application` does.
    """
    if token is None and proxies:
        raise InputError(
            f"{PROXIES_VARIABLE}: others can reach the dashboard behind a proxy, so it needs a "
            f"token: set {TOKEN_VARIABLE}, or {TOKEN_FILE_VARIABLE} to a file that holds it"
        )
    metrics = Metrics()
    telemetry = Telemetry(metrics, log)
    store = store.reconnect(store.patience.with_callback(telemetry.retried))
    brief = store.reconnect(replace(store.patience, seconds=CHECK_SECONDS))

    def count() -> StorageCounts:
        brief.check()
        return brief.health().census()

    with (
        closing(store),
        closing(brief),
        reap_periodically(store, telemetry),
        closing(Application(store, artifacts, read_only=not allow_edit)) as both,
    ):
        app = metrics.middleware(CoalescingMiddleware(both), telemetry.observed(count))
        check = telemetry.observed(brief.check)
        yield telemetry.middleware(
            require_token(app, token, read_only=not allow_edit, check=check, proxies=proxies)
        )


def serve(
    store: Store,
    host: str = DASHBOARD_HOST,
    port: int = DASHBOARD_PORT,
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
        _listen(host, port) as server,
        site(store, token, log, allow_edit=allow_edit, artifacts=artifacts, proxies=proxies) as app,
    ):
        server.application = app
        server.largest_body = LARGEST_UPLOAD if allow_edit else LARGEST_BODY
        server.admits = partial(_has_token, token)
        url_host = f"[{host}]" if ":" in host else host
        announce(f"http://{url_host}:{server.server_port}/")
        with log.running(), suppress(KeyboardInterrupt):
            server.serve()


def _has_token(token: bytes | None, headers: Mapping[str, str]) -> bool:
    """Tell by its headers, before its body has come, if a request shows the token or a session."""
    if token is None:
        return True
    access = AccessToken(token)
    authorization = headers.get("AUTHORIZATION", "")
    return bool(access.has_header(authorization)) or access.has_session(headers.get("COOKIE", ""))


def _listen(host: str, port: int) -> HTTPServer:
    dual_stack = host == "::" and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server(
            (host, port), family=family, backlog=1024, dualstack_ipv6=dual_stack
        )
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{host}:{port}: cannot listen there: {reason}") from error
    return HTTPServer(listening)
