"""The command `status`: progress and workers of one sweep."""

import json
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated

import typer

from sweeper.cli.common import Name, Storage, console, open_store, table
from sweeper.errors import InputError, StorageError, pluralize
from sweeper.settings import DEFAULT_STORAGE
from sweeper.types import SweepStatus


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(status)


def status(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until it is finished, or Ctrl-C.")
    ] = False,
) -> None:
    """Show how far a sweep is, and its workers."""
    with open_store(storage, waits=watch) as store:
        if as_json and watch:
            raise InputError("--json, --watch: give one of them, not both")
        if as_json:
            typer.echo(json.dumps(status_json(store.status(name)), indent=2))
            return
        if watch:
            from sweeper.cli.progress_bars import ProgressDisplay

            with ProgressDisplay() as progress:
                while not (now := store.status(name)).finished:
                    progress.update(now)
                    if now.state != "open" and not any(worker.alive for worker in now.workers):
                        break
                    with suppress(StorageError):  # who may only read can look all the same
                        store.reap(name)
                    time.sleep(1.0)
        _show(store.status(name))


def state_text(status: SweepStatus) -> str:
    """Return the state of a sweep in a few words, with the reason where it failed."""
    if status.state == "stopped" and status.error:
        return f"stopped: {status.error}"
    if status.finished:
        return "finished"
    if status.state == "failed":
        return f"failed: {status.error}"
    if status.state == "stopped":
        return "stopped"
    if status.waits:
        return "paused"
    return "running" if any(worker.alive for worker in status.workers) else "waiting for workers"


def status_json(status: SweepStatus) -> dict[str, object]:
    """Return a status with its totals, ready for JSON."""
    totals = {"done": status.done, "budget": status.budget, "finished": status.finished}
    return {**asdict(status), **totals}


def _show(status: SweepStatus) -> None:
    from sweeper.cli.progress_bars import progress_view

    terminal = console()
    terminal.print(f"{status.name}: {state_text(status)}", soft_wrap=True)
    terminal.print(progress_view(status))
    alive = [worker for worker in status.workers if worker.alive]
    if alive:
        workers = table("worker", "host", ">pid", "device", ">slots", ">done")
        for worker in alive:
            workers.add_row(
                worker.id[:8],
                worker.host,
                str(worker.pid),
                worker.device,
                str(worker.slots),
                str(worker.done),
            )
        terminal.print(workers)
    _show_failures(status)
    if many := sum(arm.dropped for arm in status.arms):
        text = f"{pluralize(many, 'trial')} dropped: sweeper drop {status.name} says which and why"
        terminal.print(text, soft_wrap=True)


def _show_failures(status: SweepStatus) -> None:
    """Show the attempts that were lost, by arm and class, and the last error of each arm."""
    if not status.lost:
        return
    terminal = console()
    kinds = list(status.lost)
    failures = table("attempts lost", *(f">{kind}" for kind in kinds))
    for arm in (arm for arm in status.arms if arm.lost):
        failures.add_row(arm.arm, *(str(arm.lost.get(kind, 0)) for kind in kinds))
    terminal.print(failures)
    for arm in status.arms:
        if arm.last_error:
            terminal.print(f"{arm.arm}: {arm.last_error.text}", soft_wrap=True)
