"""The command `list`: the sweeps of a storage, a line each."""

import json
from typing import Annotated

import typer

from sweeper.cli.activity import activity
from sweeper.cli.common import Storage, console, open_store, table
from sweeper.cli.status_command import state_text, status_json
from sweeper.settings import DEFAULT_STORAGE


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command("list")(list_)


def list_(
    storage: Storage = DEFAULT_STORAGE,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the sweeps of a storage."""
    with open_store(storage) as store, activity("reading the sweeps"):
        statuses = [store.status(name) for name in store.names()]
    if as_json:
        typer.echo(json.dumps([status_json(status) for status in statuses], indent=2))
        return
    sweeps = table("sweep", "state", ">arms", ">done")
    for status in statuses:
        done = f"{status.done}/{status.budget}"
        sweeps.add_row(status.name, state_text(status), str(len(status.arms)), done)
    console().print(sweeps if statuses else "no sweeps yet: sweeper run FILE")
