"""The command that says what may keep sweeps from running: doctor."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from sweeper.api import DEFAULT_STORAGE
from sweeper.cli.common import DataFolder, Storage, console, table

_COLOURS = {"ok": "green", "warning": "yellow", "wrong": "red"}


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(doctor)


def doctor(
    storage: Storage = DEFAULT_STORAGE,
    data: DataFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Look at storage, machine and data, and say what to do; 1 if something is wrong."""
    from sweeper.operations.doctor import examine_machine, examine_storage
    from sweeper.worker.launch.machine import Machine, cores, gpus

    found = [
        *examine_storage(storage),
        *examine_machine(data, cores=cores, gpus=gpus, usable=lambda: Machine.here().gpus),
    ]
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        from rich.text import Text

        shown = table("check", "result", "what to do")
        for one in found:
            result = Text.assemble((one.state, _COLOURS[one.state]), f"  {one.result}")
            shown.add_row(one.check, result, one.todo)
        shown.columns[0].width = max(len(one.check) for one in found)
        console().print(shown)
    if any(one.state == "wrong" for one in found):
        raise typer.Exit(1)
