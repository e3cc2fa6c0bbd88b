"""The command `resume`: paused arms go on."""

import typer

from sweeper.cli.common import Name, Storage, open_store
from sweeper.cli.pause_command import Arms
from sweeper.settings import DEFAULT_STORAGE


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(resume)


def resume(name: Name, arm: Arms = None, storage: Storage = DEFAULT_STORAGE) -> None:
    """Go on with what `pause` holds up: with all of a sweep, or with some arms."""
    with open_store(storage) as store:
        resumed = store.interventions.resume(name, arm or ())
        status = store.status(name)
    if not resumed:
        what = ", ".join(arm) if arm else "nothing"
        typer.echo(f"{name}: {what} {'was not' if arm else 'was'} paused")
        return
    alive = any(worker.alive for worker in status.workers)
    start = "" if alive or status.finished else "; no worker is alive: sweeper run FILE starts some"
    still = f"; still paused: {', '.join(status.paused)}" if status.paused else ""
    typer.echo(f"{name}: goes on: {', '.join(resumed)}{still}{start}")
