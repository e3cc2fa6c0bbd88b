"""The command `pause`: arms of which no more trials are begun."""

from typing import Annotated

import typer

from sweeper.cli.common import Name, Storage, open_store
from sweeper.errors import pluralize
from sweeper.settings import DEFAULT_STORAGE

Arms = Annotated[
    list[str] | None,
    typer.Option(
        "--arm", metavar="ARM", help="An arm; may be repeated.  [default: all]", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(pause)


def pause(name: Name, arm: Arms = None, storage: Storage = DEFAULT_STORAGE) -> None:
    """Begin no more trials and probes of a sweep, or of some arms, until `resume`.

    Trials in training end as ever and are recorded; workers wait. Runs, restarts, extensions and
    `restore` leave it paused; arms that an extension brings are not.
    """
    with open_store(storage) as store:
        new = store.interventions.pause(name, arm or ())
        status = store.status(name)
    if not new:
        typer.echo(f"{name}: was paused already: {', '.join(status.paused)}")
        return
    training = sum(of.claimed for of in status.arms if of.paused)
    ends = f"; {pluralize(training, 'trial')} in training will be recorded" if training else ""
    typer.echo(f"{name}: paused {', '.join(new)}{ends}; sweeper resume {name} goes on")
