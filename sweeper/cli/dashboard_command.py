"""The command `dashboard`: the pages of all sweeps, served."""

import signal
import sys
from typing import Annotated
from urllib.parse import urlsplit

import typer

from sweeper.cli.common import Artifacts, Storage, dashboard_url, open_store
from sweeper.settings import (
    DEFAULT_STORAGE,
    PROXIES_VARIABLE,
    TOKEN_FILE_VARIABLE,
    TOKEN_VARIABLE,
)


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
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8080,
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
    access_log: Annotated[
        bool,
        typer.Option(
            "--access-log", help="A line of JSON for each request and event, to standard error."
        ),
    ] = False,
) -> None:
    """Serve the Optuna dashboard with the fronts of all sweeps, until Ctrl-C; read-only."""
    signal.signal(signal.SIGTERM, _end)  # how containers are stopped
    from sweeper.dashboard import serve, token_from_environment

    token = token_from_environment()
    dashboard_url()  # a wrong one ends it before it serves
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
            announce=_announce,
        )


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would end it with a traceback
    sys.exit(0)


def _announce(url: str) -> None:
    outside = dashboard_url()
    listens = f"listens on {urlsplit(url).netloc}; " if outside else ""
    url = outside or url
    typer.echo(f"dashboard: {url} ({listens}Ctrl-C ends it)")
    typer.echo(f"fronts:    {url}sweeps/")
