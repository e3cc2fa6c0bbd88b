"""The command `dashboard`: the pages of all sweeps, served."""

import signal
import sys
from functools import partial
from typing import Annotated
from urllib.parse import urlsplit

import typer

from sweeper.cli.common import Artifacts, Storage, open_store
from sweeper.settings import (
    DASHBOARD_HOST,
    DASHBOARD_PORT,
    DASHBOARD_URL_VARIABLE,
    DEFAULT_STORAGE,
    PROXIES_VARIABLE,
    TOKEN_FILE_VARIABLE,
    TOKEN_VARIABLE,
    dashboard_url,
)

EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  # it is read here, not listened on
"""Hosts that are all addresses of a machine."""


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(dashboard)


def dashboard(
    storage: Storage = DEFAULT_STORAGE,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. One that others can reach needs a token, in the variable "
            f"{TOKEN_VARIABLE} or in the file that {TOKEN_FILE_VARIABLE} names."
        ),
    ] = DASHBOARD_HOST,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = DASHBOARD_PORT,
    allow_edit: Annotated[
        bool,
        typer.Option("--allow-edit", help="Let notes, studies and trials be changed and deleted."),
    ] = False,
    artifacts: Artifacts = None,
    proxies: Annotated[
        int,
        typer.Option(
            envvar=PROXIES_VARIABLE,
            min=0,
            max=10,
            help="How many proxies stand before it: wrong tokens are counted by the address that "
            "X-Forwarded-For names at this place from the right; with 0 the header is not read.",
        ),
    ] = 0,
    public_url: Annotated[
        str,
        typer.Option(
            envvar=DASHBOARD_URL_VARIABLE,
            help="Address by which people reach it: through a proxy, or a container's port.",
        ),
    ] = "",
    access_log: Annotated[
        bool,
        typer.Option(
            "--access-log", help="A line of JSON for each request and event, to standard error."
        ),
    ] = False,
) -> None:
    """Serve the fronts of all sweeps, and the Optuna dashboard, until Ctrl-C; read-only."""
    signal.signal(signal.SIGTERM, _end)  # how containers are stopped
    from sweeper.dashboard import serve, token_from_environment

    token = token_from_environment()
    outside = dashboard_url(public_url)  # a wrong one ends it before it serves
    with open_store(storage, new=storage == DEFAULT_STORAGE) as store:
        serve(
            store,
            host,
            port,
            token=token,
            allow_edit=allow_edit,
            artifacts=artifacts,
            proxies=proxies,
            access_log=access_log,
            announce=partial(_announce, outside),
        )


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would end it with a traceback
    sys.exit(0)


def _announce(outside: str | None, url: str) -> None:
    """Say where it is: at the address `outside` if one is known, else at that of its socket."""
    place = urlsplit(url)
    is_everywhere = place.hostname in EVERYWHERE  # which is no address to go to
    listens = f"listens on {place.netloc}; " if outside or is_everywhere else ""
    here = f"http://localhost:{place.port}/" if is_everywhere else url
    typer.echo(f"dashboard: {outside or here} ({listens}Ctrl-C ends it)")
