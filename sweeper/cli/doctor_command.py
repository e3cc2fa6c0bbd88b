"""The command `doctor`: an examination of storage, machine and data."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from sweeper.cli.activity import activity
from sweeper.cli.common import DataFolder, Storage, console, table
from sweeper.settings import DEFAULT_STORAGE

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
    from sweeper.worker.launch.machine import Machine, cores, visible_gpus

    with activity("looking at the storage") as doing:
        findings = [*examine_storage(storage)]
        doing("looking at the machine and the data")
        findings += examine_machine(
            data, cores=cores, gpus=lambda: len(visible_gpus()), usable=lambda: Machine.here().gpus
        )
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        from rich.text import Text

        lines = table("check", "result", "what to do")
        for finding in findings:
            state = (finding.state, _COLOURS[finding.state])
            lines.add_row(finding.check, Text.assemble(state, f"  {finding.result}"), finding.todo)
        lines.columns[0].width = max(len(finding.check) for finding in findings)
        console().print(lines)
    if any(finding.state == "wrong" for finding in findings):
        raise typer.Exit(1)
