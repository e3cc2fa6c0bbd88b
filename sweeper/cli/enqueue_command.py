"""The command `enqueue`: configurations that are to be tried next."""

from typing import Annotated

import typer

from sweeper.cli.activity import activity
from sweeper.cli.common import Changes, DataFolder, Storage, StudyFile, open_store
from sweeper.errors import pluralize
from sweeper.settings import DEFAULT_STORAGE


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(enqueue)


def enqueue(
    file: StudyFile,
    arm: Annotated[
        str, typer.Option(metavar="ARM", help="The arm that is to try them.", show_default=False)
    ],
    params: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=VALUE,...",
            help="A configuration, or @FILE with JSON; may be repeated.",
            show_default=False,
        ),
    ],
    repeat: Annotated[
        int | None, typer.Option(help="One repeat.  [default: all]", show_default=False)
    ] = None,
    changes: Changes = None,
    storage: Storage = DEFAULT_STORAGE,
    data: DataFolder = None,
) -> None:
    """Have known configurations tried next, in the slots of an arm that nobody has begun.

    They count in its budget, in place of what the sampler would have proposed there; it proposes
    parameters that are not given, and learns from them as from all others. The sweep is registered
    if it is not yet, and not started. A strength whose range a probe has yet to find moves to the
    nearest end of it if it lies outside.
    """
    from sweeper.config import Sweep
    from sweeper.config.study_changes import parse_changes
    from sweeper.operations.enqueue import enqueue as enqueue_configs
    from sweeper.operations.try_out import try_out

    sweep = Sweep.load(file, parse_changes(changes or ()))
    with activity(f"{sweep.name}: trying out what the study file names") as on_wait:
        sweep = try_out(sweep, str(file), folder=data, on_wait=on_wait).sweep
    with open_store(storage, new=True) as store:
        enqueued = enqueue_configs(store, sweep, arm, params, repeat)
    by_repeat: dict[int, list[int]] = {}
    for config in enqueued.configs:
        by_repeat.setdefault(config.repeat, []).append(config.slot)
    for of, slots in by_repeat.items():
        numbers = ", ".join(map(str, slots))
        place = f"{arm}, repeat {of}, slot{'' if len(slots) == 1 else 's'} {numbers}"
        typer.echo(f"{sweep.name}: {pluralize(len(slots), 'configuration')} enqueued: {place}")
    for name in enqueued.unranged:
        moves = "a value outside of it will move to its nearest end"
        typer.echo(f"{sweep.name}: the range of {name} of {arm} is not known yet: {moves}")
    if enqueued.is_new:
        typer.echo(f"{sweep.name}: registered; sweeper run {file} starts it")
