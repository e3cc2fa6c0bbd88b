"""The command `reproduce`: trials of other machines trained again on this one."""

from typing import Annotated

import typer

from sweeper.cli.activity import activity
from sweeper.cli.common import (
    DataFolder,
    Device,
    Name,
    Storage,
    console,
    open_store,
)
from sweeper.settings import DEFAULT_STORAGE


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(reproduce)


def reproduce(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    trials: Annotated[int, typer.Option(min=1, help="How many are trained again.")] = 8,
    data: DataFolder = None,
    device: Device = "auto",
) -> None:
    """Train some trials of other machines again on this one, and record how they differ.

    A report ranks arms whose trials come from different devices or versions only where this was
    found to be small.
    """
    from sweeper.analysis.reproducibility import deviations
    from sweeper.operations.reproduce import reproduce as retrain

    terminal = console()
    with (
        open_store(storage, waits=True) as store,
        activity(f"{name}: trials trained again") as doing,
    ):
        retrain(name, store, trials=trials, device=device, folder=data, on_trial=doing.count)
        doing(f"{name}: comparing all trials")
        differences = deviations(store.records(name), store.reproducibility_checks(name))
    for difference in differences:
        verdict = "small enough to rank" if difference.small else "not known to be small"
        platforms = f"{difference.first} -> {difference.second}"
        terminal.print(f"{platforms}: {difference.text}; {verdict}", soft_wrap=True)
