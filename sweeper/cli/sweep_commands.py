"""Commands about registered sweeps and their database: status, list, stop, delete, db."""

import json
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated

import typer

from sweeper.api import DEFAULT_STORAGE
from sweeper.cli.common import Name, Storage, console, open_store, pluralize, table
from sweeper.errors import InputError, StorageError
from sweeper.types import SweepStatus

db = typer.Typer(help="Create, renew or check the tables.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for command in (status, list_, stop, delete):
        app.command(command.__name__.rstrip("_"))(command)
    app.add_typer(db, name="db")


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
            typer.echo(json.dumps(_plain(store.status(name)), indent=2))
            return
        if watch:
            from sweeper.cli.progress_bars import ProgressDisplay

            with ProgressDisplay() as progress:
                while not (now := store.status(name)).finished:
                    progress.update(now)
                    if now.state != "open" and not any(one.alive for one in now.workers):
                        break
                    with suppress(StorageError):  # who may only read can look all the same
                        store.reap(name)
                    time.sleep(1.0)
        _show(store.status(name))


def _show(status: SweepStatus) -> None:
    from sweeper.cli.progress_bars import progress_view

    terminal = console()
    terminal.print(f"{status.name}: {_state(status)}", soft_wrap=True)
    terminal.print(progress_view(status))
    alive = [worker for worker in status.workers if worker.alive]
    if alive:
        shown = table("worker", "host", ">pid", "device", ">slots", ">done")
        for worker in alive:
            shown.add_row(
                worker.id[:8],
                worker.host,
                str(worker.pid),
                worker.device,
                str(worker.slots),
                str(worker.done),
            )
        terminal.print(shown)
    _show_failures(status)


def _show_failures(status: SweepStatus) -> None:
    """Show what attempts were lost, by arm and class, and what training said when it failed."""
    if not status.failures:
        return
    terminal = console()
    kinds = list(status.failures)
    shown = table("attempts lost", *(f">{kind}" for kind in kinds))
    for arm in (arm for arm in status.arms if arm.failures):
        shown.add_row(arm.arm, *(str(arm.failures.get(kind, 0)) for kind in kinds))
    terminal.print(shown)
    for arm in status.arms:
        if arm.last_error:
            terminal.print(f"{arm.arm}: {arm.last_error.text}", soft_wrap=True)


def _state(status: SweepStatus) -> str:
    if status.state == "stopped" and status.error:
        return f"stopped: {status.error}"
    if status.finished:
        return "finished"
    if status.state == "failed":
        return f"failed: {status.error}"
    if status.state == "stopped":
        return "stopped"
    return "running" if any(worker.alive for worker in status.workers) else "waiting for workers"


def _plain(status: SweepStatus) -> dict[str, object]:
    totals = {"done": status.done, "budget": status.budget, "finished": status.finished}
    return {**asdict(status), **totals}


def list_(
    storage: Storage = DEFAULT_STORAGE,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """List the sweeps of a storage."""
    with open_store(storage) as store:
        found = [store.status(name) for name in store.names()]
    if as_json:
        typer.echo(json.dumps([_plain(status) for status in found], indent=2))
        return
    shown = table("sweep", "state", ">arms", ">done")
    for status in found:
        done = f"{status.done}/{status.budget}"
        shown.add_row(status.name, _state(status), str(len(status.arms)), done)
    console().print(shown if found else "no sweeps yet: sweeper run FILE")


def stop(name: Name, storage: Storage = DEFAULT_STORAGE) -> None:
    """Ask all workers of a sweep to give back what they hold and leave; `run` goes on later."""
    with open_store(storage) as store:
        store.stop(name)
        alive = sum(worker.alive for worker in store.status(name).workers)
    leaving = f"; {pluralize(alive, 'worker')} will leave" if alive else ""
    typer.echo(f"{name}: stopped{leaving}; sweeper run FILE goes on")


def delete(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a sweep with all its results and Optuna studies. There is no way back."""
    from sweeper import lifecycle
    from sweeper.config import SUFFIX

    with open_store(storage) as store:
        what = pluralize(store.status(name).done, "result")
        if name + SUFFIX in store.names():
            what += f" and its confirmation with {store.status(name + SUFFIX).done}"
        if not yes:
            typer.confirm(f"{name}: delete it with {what}?", abort=True)
        others = lifecycle.delete(store, name)
    typer.echo(f"{name}: deleted")
    for study in others:
        typer.echo(f"{study}: stays, for sweeper did not make this study")


@db.command()
def upgrade(storage: Storage = DEFAULT_STORAGE) -> None:
    """Create the tables, or bring those of an older version up to date."""
    from sweeper.store import Store

    store = Store(storage)
    try:
        store.upgrade()
        typer.echo(f"{store.shown}: up to date")
    finally:
        store.close()


@db.command()
def check(storage: Storage = DEFAULT_STORAGE) -> None:
    """Say whether the database answers and its tables fit this version."""
    with open_store(storage) as store:
        typer.echo(f"{store.shown}: in order")
