"""WSGI entry point: the whole site, loaded by name, configured by the environment.

    gunicorn --workers 1 --threads 16 --worker-class sweeper.dashboard.gunicorn_worker.Worker \\
        --bind 127.0.0.1:8080 'sweeper.dashboard.wsgi:application()'

SWEEPER_STORAGE                database
SWEEPER_PASSWORD_FILE          file with its password
SWEEPER_DASHBOARD_TOKEN, SWEEPER_DASHBOARD_TOKEN_FILE
                               token that is asked for, or a file with it
SWEEPER_DASHBOARD_OPEN         1: no token; then only this machine is answered
SWEEPER_DASHBOARD_ALLOW_EDIT   1: notes, studies and trials may be changed and deleted
SWEEPER_DASHBOARD_PROXIES      number of proxies before it, each of which adds to the header
                               X-Forwarded-For whom it was asked by; else the header is not read
SWEEPER_DASHBOARD_ACCESS_LOG   1: a line of JSON for each request and event, to standard error
SWEEPER_ARTIFACTS              place of confirmed networks
"""

import atexit
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from sweeper.dashboard.server import responses
from sweeper.dashboard.server.access_log import AccessLog
from sweeper.dashboard.server.login_attempts import proxies
from sweeper.dashboard.server.tokens import token_from_environment
from sweeper.errors import InputError, SweeperError, choices
from sweeper.redact import visible
from sweeper.settings import (
    ACCESS_LOG_VARIABLE,
    ALLOW_EDIT_VARIABLE,
    ARTIFACTS_VARIABLE,
    OPEN_VARIABLE,
    STORAGE_VARIABLE,
    TOKEN_FILE_VARIABLE,
    TOKEN_VARIABLE,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CANNOT_LOAD = 4
"""With this exit status of a worker gunicorn ends; with another it would try for ever."""


def application(environment: Mapping[str, str] = os.environ) -> "WSGIApplication":
    """Return the site; ends the process, with one line, if it may not or cannot be served.

    To be called by each process that serves. All that belongs to it ends when the process does.
    """
    if sys.path[:1] == [str(Path.cwd())]:
        del sys.path[0]  # put there by gunicorn, before all else: see registry.import_folder
    with ExitStack() as stack:
        try:
            app = _enter_site(stack, environment)
        except SweeperError as error:
            for line in str(error).splitlines():
                print(f"error: {visible(line)}", file=sys.stderr)
            sys.exit(CANNOT_LOAD)
        atexit.register(stack.pop_all().close)
    return _refuse_in_forks(app)


def _enter_site(stack: ExitStack, environment: Mapping[str, str]) -> "WSGIApplication":
    """Open all that serves. Raises InputError and StorageError."""
    from sweeper.dashboard.server.serve import site
    from sweeper.store import Store

    token = token_from_environment(environment)
    # Which address a WSGI server listens on, the application is not told.
    if token is None and not _is_set(environment, OPEN_VARIABLE):
        raise InputError(
            f"the dashboard needs a token: set {TOKEN_VARIABLE}, or {TOKEN_FILE_VARIABLE} to a "
            f"file that holds it; or {OPEN_VARIABLE}=1 where the server listens on this machine's "
            "own addresses alone"
        )
    url = environment.get(STORAGE_VARIABLE, "")
    if not url:
        raise InputError(f"{STORAGE_VARIABLE}: is not set; needed: the URL of the database")
    number_of_proxies = proxies(environment)
    store = stack.enter_context(closing(Store(url)))
    store.check()
    access_log = _is_set(environment, ACCESS_LOG_VARIABLE)
    log = AccessLog(sys.stderr if access_log else None, secret=token)
    app = stack.enter_context(
        site(
            store,
            token,
            log,
            allow_edit=_is_set(environment, ALLOW_EDIT_VARIABLE),
            artifacts=environment.get(ARTIFACTS_VARIABLE) or None,
            proxies=number_of_proxies,
        )
    )
    stack.enter_context(log.running())
    return app


def _is_set(environment: Mapping[str, str], name: str) -> bool:
    value = environment.get(name, "0")
    if value not in {"0", "1"}:
        raise InputError(f"{name}: {choices(value, ('0', '1'))}")
    return value == "1"


def _refuse_in_forks(app: "WSGIApplication") -> "WSGIApplication":
    """Refuse to serve in a fork: it has no thread that reaps, and its parent's connections."""
    process = os.getpid()

    def application(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        if os.getpid() == process:
            return app(environ, start)
        reason = "loaded before the fork: start the server without preloading (--preload)"
        return responses.refusal(HTTPStatus.SERVICE_UNAVAILABLE, reason).send(start, head=False)

    return application
