"""Commands that train: run, worker."""

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.common import (
    Artifacts,
    DataFolder,
    Device,
    Name,
    Pack,
    Storage,
    StudyFile,
    console,
    dashboard_command,
    dashboard_url,
    open_store,
    pluralize,
    resume_command,
)
from sweeper.errors import Interrupted
from sweeper.settings import DEFAULT_STORAGE, PARENT_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sweeper.api import Outcome
    from sweeper.types import SweepStatus

Extend = Annotated[
    bool,
    typer.Option(
        "--extend", help="The file only adds trials, repeats or arms, or has other targets."
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for command in (run, worker):
        app.command()(command)


def run(
    file: StudyFile,
    storage: Storage = DEFAULT_STORAGE,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes.  [default: one for each GPU, or for each core, at most 8]",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    pack: Pack = "auto",
    data: DataFolder = None,
    extend: Extend = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Where the report goes.  [default: sweeps/NAME/report.html]",
            show_default=False,
        ),
    ] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no report.")] = False,
) -> None:
    """Run a study file to its end; the same command goes on where it stopped."""
    from sweeper import api
    from sweeper.cli.result_commands import report_path
    from sweeper.worker.pack_size import parse_pack_size

    train = partial(
        api.launch,
        file,
        storage,
        workers=workers,
        device=device,
        pack=parse_pack_size(pack),
        data=data,
        extend=extend,
    )
    name = run_with_progress(train)
    print_summary(name, storage, None if no_report else report or report_path(name))


def _say(line: str) -> None:
    with suppress(OSError):  # the terminal may be gone: what it was for, SIGHUP tells
        typer.echo(line)


def run_with_progress(train: "Callable[..., object]") -> str:
    """Call what trains a sweep, show how far it is, and return its name.

    Ctrl-C ends it with the command that goes on.
    """
    from sweeper.cli.progress_bars import ProgressDisplay

    terminal = console()
    name = ""

    def started(outcome: "Outcome", status: "SweepStatus") -> None:
        nonlocal name
        name = status.name
        terminal.print(_beginning(outcome, status), soft_wrap=True)

    def noted(line: str) -> None:
        progress.console.print(line, soft_wrap=True)

    def waited(line: str) -> None:
        if terminal.is_terminal:  # how long it takes says nothing about the sweep
            noted(line)

    try:
        with ProgressDisplay() as progress:
            train(on_start=started, on_status=progress.update, on_note=noted, on_wait=waited)
    except (KeyboardInterrupt, Interrupted):
        done = "stopped; what is done is on record, and the same command goes on"
        terminal.print(f"{done}: {resume_command()}", soft_wrap=True)
        raise typer.Exit(130) from None
    return name


def _beginning(outcome: "Outcome", status: "SweepStatus") -> str:
    size = f"{pluralize(len(status.arms), 'arm')}, {pluralize(status.budget, 'trial')}"
    if status.finished:
        return f"{status.name}: all {status.budget} trials are on record, nothing to do"
    if outcome == "extended":
        return f"{status.name}: extended to {size}: {status.done} of {status.budget} done"
    if outcome == "resumed":
        return f"{status.name}: goes on: {status.done} of {status.budget} done"
    return f"{status.name}: new sweep, {size}"


def print_summary(name: str, storage: str, report: Path | None, *, say_how: bool = False) -> None:
    """Show the arms and where to look on; writes a report, or says by which command."""
    from sweeper.cli.result_commands import arms_table
    from sweeper.lifecycle import load_record
    from sweeper.report import write_report

    terminal = console()
    with open_store(storage, waits=True) as store:
        record = load_record(store, name)
        status = record.status
        terminal.print("each arm's best network, and nonzero parameters at an accuracy:")
        terminal.print(arms_table(record))
        if not status.finished:
            terminal.print(f"stopped at {status.done} of {status.budget} trials", soft_wrap=True)
        if report:
            terminal.print(f"report:    {write_report(report, record)}", soft_wrap=True)
        dashboard = dashboard_command(store, storage)
        if say_how:
            command = dashboard.replace("sweeper dashboard", f"sweeper report {name}", 1)
            terminal.print(f"report:    {command}", soft_wrap=True)
        terminal.print(f"dashboard: {dashboard_url() or dashboard}", soft_wrap=True)
        if not status.finished:
            raise typer.Exit(1)


def worker(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    device: Device = "auto",
    pack: Pack = "auto",
    data: DataFolder = None,
    artifacts: Artifacts = None,
) -> None:
    """Work on a registered sweep until it is finished or stopped; start as many as you like."""
    from sweeper.worker import devices, pack_size
    from sweeper.worker.worker_loop import work

    devices.parse_device(device)
    size = pack_size.parse_pack_size(pack)
    # The launcher has just found the database from this machine: if it is away now, it comes back.
    launched = PARENT_VARIABLE in os.environ
    with open_store(storage, waits=launched, reached=launched) as store:
        done = work(
            name,
            store,
            device=device,
            pack=size,
            folder=data,
            artifacts=artifacts,
            on_event=_say,
            alone=True,
        )
    typer.echo(f"{name}: {pluralize(done, 'trial')} done by this worker")
