"""The command `mirror`: finished trials put into another tracker, such as MLflow or W&B."""

from typing import Annotated

import typer

from sweeper.cli.common import Name, Storage, console, open_store
from sweeper.errors import pluralize
from sweeper.settings import DEFAULT_STORAGE, MIRRORS_VARIABLE

Mirrors = Annotated[
    str | None,
    typer.Option(
        "--mirror",
        metavar="NAME,...",
        help="Trackers that get each trial as it finishes, such as mlflow, wandb.  "
        f"[env var: {MIRRORS_VARIABLE}]",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(mirror)


def mirror(
    name: Name,
    to: Annotated[
        str, typer.Option("--to", metavar="MIRROR", help="mlflow or wandb.", show_default=False)
    ],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Put the finished trials of a sweep into another tracker; those that are there stay."""
    from sweeper.operations.trial_mirrors import mirror_all

    with open_store(storage, waits=True) as store:
        new, all_ = mirror_all(store, name, to)
    before = f"; {all_ - new:,} were there already" if new < all_ else ""
    console().print(f"{name}: {pluralize(new, 'trial')} mirrored to {to}{before}", soft_wrap=True)


def named_mirrors(mirrors: str | None) -> list[str] | None:
    """Return the names of an option; None where it is not given, and the variable decides."""
    return None if mirrors is None else mirrors.split(",")
