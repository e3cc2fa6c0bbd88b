"""The command `delete`: a sweep removed with its results and studies."""

from typing import Annotated

import typer

from sweeper.cli.activity import activity
from sweeper.cli.common import Name, Storage, open_store
from sweeper.errors import pluralize
from sweeper.settings import DEFAULT_STORAGE


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(delete)


def delete(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a sweep with all its results and Optuna studies. There is no way back."""
    from sweeper import lifecycle
    from sweeper.config import confirmation_name

    with open_store(storage) as store:
        content = pluralize(store.status(name).done, "result")
        confirmation = confirmation_name(name)
        if confirmation in store.names():
            content += f" and its confirmation with {store.status(confirmation).done}"
        if not yes:
            typer.confirm(f"{name}: delete it with {content}?", abort=True)
        with activity(f"{name}: its workers leave, then its trials are deleted"):
            foreign_studies = lifecycle.delete(store, name)
    typer.echo(f"{name}: deleted")
    for study in foreign_studies:
        typer.echo(f"{study}: stays, for sweeper did not make this study")
