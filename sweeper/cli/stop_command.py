"""The command `stop`: the workers of a sweep asked to leave."""

import typer

from sweeper.cli.common import Name, Storage, open_store
from sweeper.errors import pluralize
from sweeper.settings import DEFAULT_STORAGE


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(stop)


def stop(name: Name, storage: Storage = DEFAULT_STORAGE) -> None:
    """Ask all workers of a sweep to give back what they hold and leave; `run` goes on later."""
    with open_store(storage) as store:
        before = store.status(name)
        if not before.finished:
            store.stop(name)
        alive = sum(worker.alive for worker in store.status(name).workers)
    if before.finished:
        typer.echo(f"{name}: is finished: {before.done} of {before.budget} trials are on record")
        return
    if before.state == "failed":
        typer.echo(f"{name}: has failed already, and nobody works on it: {before.error}")
        return
    state = "stopped" if before.state == "open" else f"is {before.state} already"
    leaving = f"{pluralize(alive, 'worker')} will leave" if alive else "no worker was at work"
    typer.echo(f"{name}: {state}; {leaving}; sweeper run FILE goes on")
