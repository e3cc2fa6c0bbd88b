"""The command `confirm`: the best configurations trained again, with fresh seeds."""

from functools import partial
from typing import Annotated, cast

import typer

from sweeper.api import On
from sweeper.cli.activity import activity
from sweeper.cli.answer import print_answer
from sweeper.cli.common import (
    Artifacts,
    DataFolder,
    Device,
    Name,
    Pack,
    Storage,
    Trials,
    console,
    open_store,
)
from sweeper.cli.launch_command import Address, Cpus, Gpus, Place, Workers
from sweeper.cli.mirror_command import Mirrors, named_mirrors
from sweeper.cli.run_output import run_with_progress, said_time_is_over
from sweeper.cli.time_options import For, Until, end_of_time
from sweeper.errors import pluralize
from sweeper.settings import DEFAULT_STORAGE


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(confirm)


def confirm(
    name: Name,
    seeds: Annotated[
        int, typer.Option(min=1, help="How often each is trained again; more may be added later.")
    ] = 5,
    on: Place = "local",
    storage: Storage = DEFAULT_STORAGE,
    workers: Workers = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    address: Address = None,
    device: Device = "auto",
    pack: Pack = "auto",
    data: DataFolder = None,
    trials: Trials = None,
    artifacts: Artifacts = None,
    mirror: Mirrors = None,
    until: Until = None,
    for_: For = None,
) -> None:
    """Train the best configurations of a finished sweep again, with fresh seeds.

    The best on validation within each size of targets.nonzero, for each repeat of each arm. Only
    these are worth quoting on test examples. Goes on where it stopped.
    """
    from sweeper import api
    from sweeper.cli.confirmation_tables import show
    from sweeper.lifecycle import load_record
    from sweeper.trainers.pack_size import parse_pack_size

    end = end_of_time(until, for_)
    train = partial(
        api.confirm,
        name,
        storage,
        seeds=seeds,
        on=cast(On, on),
        workers=workers,
        cpus=cpus,
        gpus=gpus,
        address=address,
        device=device,
        pack=parse_pack_size(pack),
        data=data,
        trials=trials,
        artifacts=artifacts,
        mirrors=named_mirrors(mirror),
        until=end,
    )
    confirmation_name = run_with_progress(train)
    terminal = console()
    with open_store(storage, waits=True) as store, activity(f"{name}: reading what was confirmed"):
        record = load_record(store, name)
        status = store.status(confirmation_name)
    for part in show(record.confirmation) if record.confirmation else ():
        terminal.print(part, soft_wrap=isinstance(part, str))
    if status.finished:
        print_answer(record)
    if not status.finished and said_time_is_over(status, end):
        return
    if not status.finished:
        terminal.print(
            f"stopped at {status.done:,} of {pluralize(status.budget, 'trial')}", soft_wrap=True
        )
        raise typer.Exit(1)
