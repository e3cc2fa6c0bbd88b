"""The command `data`: a dataset fetched ahead of its first use."""

from typing import Annotated

import typer

from sweeper.cli.activity import activity
from sweeper.cli.common import DataFolder
from sweeper.config.registry import DATASETS


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(data)


def data(
    name: Annotated[str, typer.Argument(help=f"{', '.join(DATASETS)}.")],
    folder: DataFolder = None,
) -> None:
    """Fetch a dataset, once, however many ask at the same time."""
    from sweeper.errors import DataError, choices

    if name not in DATASETS:  # said here: loading torch to say it would take seconds
        raise DataError(f"no such dataset: {choices(name, DATASETS)}")
    with activity(f"{name}: loading PyTorch"):
        from sweeper.training.datasets import fetch

    where = fetch(name, folder)
    typer.echo(f"{name}: ready{f' in {where}' if where else ', for it comes with scikit-learn'}")
