"""The command `verify`: confirmed networks evaluated again from their stored weights."""

from typing import Annotated

import typer

from sweeper.cli.common import (
    Artifacts,
    DataFolder,
    Name,
    Storage,
    console,
    open_store,
    pluralize,
    progress_bar,
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
    from sweeper.operations.verify import verify as verify_weights

    if artifacts is None:
        raise InputError("--artifacts: say where `sweeper confirm --artifacts PLACE` has put them")
    terminal = console()
    with open_store(storage, waits=True) as store, progress_bar("networks") as on_network:
        networks = verify_weights(
            name, store, artifacts, folder=data, device=device, on_network=on_network
        )
    missing = [network for network in networks if network.stored and network.evaluated is None]
    never = sum(not network.stored for network in networks)
    differing = [network for network in networks if network.differences]
    if differing:
        lines = table("study", ">trial", "what differs")
        for network in differing[:MAX_LISTED]:
            record = network.record
            lines.add_row(record.slot.study, str(record.trial), "; ".join(network.differences))
        terminal.print(lines)
    equal = len(networks) - never - len(missing) - len(differing)
    parts = [f"{pluralize(equal, 'network')} as on record"]
    parts += [f"{len(differing)} differ"] if differing else []
    parts += [f"{len(missing)} without weights at {artifacts}"] if missing else []
    parts += [f"{never} never kept"] if never else []
    terminal.print(f"{name}: {', '.join(parts)}", soft_wrap=True)
    if missing or differing or never == len(networks):
        raise typer.Exit(1)
