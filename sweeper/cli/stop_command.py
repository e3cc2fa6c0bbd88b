"""The command `stop`: the workers of a sweep asked to leave."""

import typer

from sweeper.cli.common import Name, Storage, open_store, pluralize
from sweeper.settings import DEFAULT_STORAGE


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(stop)


def stop(name: Name, storage: Storage = DEFAULT_STORAGE) -> None:
    """Ask all workers of a sweep to give back what they hold and leave; `run` goes on later."""
    with open_store(storage) as store:
        store.stop(name)
        alive = sum(worker.alive for worker in store.status(name).workers)
    leaving = f"; {pluralize(alive, 'worker')} will leave" if alive else ""
    typer.echo(f"{name}: stopped{leaving}; sweeper run FILE goes on")
