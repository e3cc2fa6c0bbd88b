"""Output of a run: its progress, and a summary of the arms at its end."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sweeper.cli.activity import activity, shown_on
from sweeper.cli.answer import print_answer
from sweeper.cli.common import (
    console,
    count,
    dashboard_command,
    open_store,
    percent,
    resume_command,
    table,
)
from sweeper.errors import Interrupted, pluralize
from sweeper.settings import DASHBOARD_HOST, DASHBOARD_PORT, dashboard_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from rich.table import Table

    from sweeper.analysis.sweep_record import SweepRecord
    from sweeper.api import Outcome
    from sweeper.types import SweepStatus


def run_with_progress(train: "Callable[..., object]") -> str:
    """Call a function that trains a sweep, show the progress, and return the sweep's name.

    Ctrl-C ends it with the command that goes on.
    """
    from sweeper.cli.progress_bars import ProgressDisplay

    terminal, progress = console(), ProgressDisplay()
    name = ""

    def on_start(outcome: "Outcome", status: "SweepStatus") -> None:
        nonlocal name
        name = status.name
        silent.close()
        terminal.print(_beginning(outcome, status), soft_wrap=True)
        shown.enter_context(progress)

    def on_note(line: str) -> None:
        (console() if shown_on() else progress.console).print(line, soft_wrap=True)

    def on_wait(line: str) -> None:
        if not name:
            beginning(line)
        elif terminal.is_terminal:  # how long it takes says nothing about the sweep
            on_note(line)

    try:
        with ExitStack() as shown, ExitStack() as silent:
            beginning = silent.enter_context(activity("reading the study file"))
            train(on_start=on_start, on_status=progress.update, on_note=on_note, on_wait=on_wait)
    except (KeyboardInterrupt, Interrupted):
        text = "stopped; what is done is on record, and the same command goes on"
        terminal.print(f"{text}: {resume_command()}", soft_wrap=True)
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


def print_summary(
    name: str,
    storage: str,
    report: Path | None,
    *,
    say_how: bool = False,
    until: "datetime | None" = None,
) -> None:
    """Print the arms and the address of their live fronts; write a report, or print its command."""
    from sweeper.lifecycle import load_record
    from sweeper.reports import write_report
    from sweeper.search.note_texts import fronts_page

    terminal = console()
    with open_store(storage, waits=True) as store:
        with activity(f"{name}: reading all trials") as doing:
            record = load_record(store, name)
            arms = arms_table(record)
            doing(f"{name}: writing the report")
            written = write_report(report, record) if report else None
        status = record.status
        measure = record.sweep.measure_label
        terminal.print(
            f"each arm's best network, and {record.sweep.size_label} at a target {measure}:"
        )
        terminal.print(arms)
        print_answer(record)
        time_is_over = said_time_is_over(status, until)
        if not status.finished and not time_is_over:
            terminal.print(
                f"stopped at {status.done:,} of {pluralize(status.budget, 'trial')}", soft_wrap=True
            )
        if written:
            terminal.print(f"report:    {written}", soft_wrap=True)
        dashboard = dashboard_command(store, storage)
        if say_how:
            command = dashboard.replace("sweeper dashboard", f"sweeper report {name}", 1)
            terminal.print(f"report:    {command}", soft_wrap=True)
        page, outside = fronts_page(record.sweep), dashboard_url()
        usual = f"http://{DASHBOARD_HOST}:{DASHBOARD_PORT}/"
        terminal.print(f"dashboard: {outside or dashboard}", soft_wrap=True)
        terminal.print(f"fronts:    {(outside or usual).rstrip('/')}{page}", soft_wrap=True)
        if not status.finished and not time_is_over:
            raise typer.Exit(1)


def said_time_is_over(status: "SweepStatus", until: "datetime | None") -> bool:
    """Say that a sweep is not finished since its time is over, if that is so, and how to go on."""
    from sweeper.worker.time_budget import moment_text

    if until is None or status.finished or status.state != "open":
        return False
    done = f"{status.done:,} of {pluralize(status.budget, 'trial')} done"
    text = f"until {moment_text(until.timestamp())}: {done}; the same command goes on"
    console().print(f"{text}: {resume_command()}", soft_wrap=True)
    return True


def arms_table(record: "SweepRecord") -> "Table":
    """Return a line for each arm: its best network, and nonzeros at the accuracies that select.

    At most three of the targets, so that it fits 80 columns.
    """
    from sweeper.reports.summary import arm_rows

    targets = record.sweep.targets.accuracy[-3:]
    heads = (f">at {100 * accuracy:g} %" for accuracy in targets)
    lines = table("arm", ">done", ">failed", ">val %", ">test %", *heads)
    for row in arm_rows(record, record.sweep.sparsification.track):
        reached = row.at_accuracy[len(row.at_accuracy) - len(targets) :]
        lines.add_row(
            row.arm,
            f"{row.done}/{row.budget}",
            row.failed_text,
            percent(row.best.val_accuracy if row.best else None),
            percent(row.best.test_accuracy if row.best else None),
            *(count(point.nonzero if point else None) for point in reached),
        )
    return lines
