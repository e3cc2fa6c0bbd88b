"""The command `worker`: one more worker for a registered sweep."""

import os
from contextlib import ExitStack, suppress

import typer

from sweeper.cli.common import (
    Artifacts,
    DataFolder,
    Device,
    Name,
    Pack,
    Storage,
    Trials,
    open_store,
)
from sweeper.cli.time_options import For, Until, end_of_time
from sweeper.errors import pluralize
from sweeper.settings import DEFAULT_STORAGE, PARENT_VARIABLE


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(worker)


def worker(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    device: Device = "auto",
    pack: Pack = "auto",
    data: DataFolder = None,
    trials: Trials = None,
    artifacts: Artifacts = None,
    until: Until = None,
    for_: For = None,
) -> None:
    """Work on a registered sweep until it is finished or stopped; start as many as you like."""
    from sweeper.trainers import devices, pack_size
    from sweeper.worker import webhook
    from sweeper.worker.worker_loop import work

    devices.parse_device(device)
    size = pack_size.parse_pack_size(pack)
    launched = PARENT_VARIABLE in os.environ
    end = end_of_time(until, for_, launched=launched)
    # The launcher has just found the database from this machine: if it is away now, it comes back.
    with open_store(storage, waits=launched, reached=launched) as store, ExitStack() as stack:
        if not launched:  # whoever has launched it tells
            webhook.webhook_url()
            anew = not store.finished(name)
            stack.callback(webhook.tell_end, store, name, _print, anew=anew)
        done = work(
            name,
            store,
            device=device,
            pack=size,
            folder=data,
            trials=trials,
            artifacts=artifacts,
            until=None if end is None else end.timestamp(),
            on_event=_print,
            alone=True,
        )
    typer.echo(f"{name}: {pluralize(done, 'trial')} done by this worker")


def _print(line: str) -> None:
    with suppress(OSError):  # the terminal may be gone: what it was for, SIGHUP tells
        typer.echo(line)
