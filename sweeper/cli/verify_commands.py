"""Commands that look again at what is on record: verify, drift."""

from typing import Annotated

import typer

from sweeper.api import DEFAULT_STORAGE
from sweeper.cli.common import (
    Artifacts,
    DataFolder,
    Device,
    Name,
    Storage,
    console,
    open_store,
    pluralize,
    progress_bar,
    table,
)
from sweeper.errors import InputError

SHOWN = 20
"""Differences that are listed."""


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for command in (verify, drift):
        app.command()(command)


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
    from sweeper.operations.verify import verify as judge

    if artifacts is None:
        raise InputError("--artifacts: say where `sweeper confirm --artifacts PLACE` has put them")
    terminal = console()
    with open_store(storage, waits=True) as store, progress_bar("networks") as on_network:
        found = judge(name, store, artifacts, folder=data, device=device, on_network=on_network)
    missing = [one for one in found if one.kept and one.found is None]
    never = sum(not one.kept for one in found)
    differing = [one for one in found if one.differs]
    if differing:
        lines = table("study", ">trial", "what differs")
        for one in differing[:SHOWN]:
            lines.add_row(one.fact.study, str(one.fact.trial), "; ".join(one.differs))
        terminal.print(lines)
    equal = len(found) - never - len(missing) - len(differing)
    parts = [f"{pluralize(equal, 'network')} as on record"]
    parts += [f"{len(differing)} differ"] if differing else []
    parts += [f"{len(missing)} without weights at {artifacts}"] if missing else []
    parts += [f"{never} never kept"] if never else []
    terminal.print(f"{name}: {', '.join(parts)}", soft_wrap=True)
    if missing or differing or never == len(found):
        raise typer.Exit(1)


def drift(
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
    from sweeper.operations.reproduce import reproduce

    terminal = console()
    with open_store(storage, waits=True) as store:
        with progress_bar("trials") as on_trial:
            reproduce(name, store, trials=trials, device=device, folder=data, on_trial=on_trial)
        found = deviations(store.records(name), store.reproducibility_checks(name))
    for one in found:
        verdict = "small enough to rank" if one.small else "not known to be small"
        terminal.print(f"{one.one} -> {one.other}: {one.text}; {verdict}", soft_wrap=True)
