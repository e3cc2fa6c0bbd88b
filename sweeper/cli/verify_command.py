"""The command `verify`: confirmed networks evaluated again from their stored weights."""

from typing import Annotated

import typer

from sweeper.cli.activity import activity
from sweeper.cli.common import (
    Artifacts,
    DataFolder,
    Name,
    Storage,
    console,
    open_store,
    table,
)
from sweeper.errors import InputError
from sweeper.settings import DEFAULT_STORAGE

MAX_LISTED = 20
"""Differences that are listed."""


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(verify)


def verify(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    artifacts: Artifacts = None,
    data: DataFolder = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")] = "cpu",
) -> None:
    """Count and evaluate confirmed networks again, from their stored weights.

    Exits with 1 if one differs from what is on record, if one that was kept is missing, or if
    none was kept. Of a restored sweep those were kept that came with it.
    """
    if artifacts is None:
        raise InputError("--artifacts: say where `sweeper confirm --artifacts PLACE` has put them")
    terminal = console()
    with open_store(storage, waits=True) as store, activity(f"{name}: networks") as judged:
        from sweeper.operations.verify import verify as verify_weights  # PyTorch takes seconds

        verification = verify_weights(
            name, store, artifacts, folder=data, device=device, on_network=judged.count
        )
    if verification.differing:
        lines = table("study", ">trial", "what differs")
        for network in verification.differing[:MAX_LISTED]:
            record = network.record
            lines.add_row(record.slot.study, str(record.trial), "; ".join(network.differences))
        terminal.print(lines)
    terminal.print(str(verification), soft_wrap=True)
    if not verification.passed:
        raise typer.Exit(1)
