"""The command `restore`: an exported sweep brought into this storage."""

from pathlib import Path
from typing import Annotated

import typer

from sweeper.cli.activity import activity
from sweeper.cli.common import Artifacts, Storage, console, warn
from sweeper.errors import pluralize
from sweeper.settings import DEFAULT_STORAGE


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(restore)


def restore(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="What `export` wrote.", show_default=False)
    ],
    storage: Storage = DEFAULT_STORAGE,
    artifacts: Artifacts = None,
) -> None:
    """Bring an exported sweep into this storage, where `run` goes on with it.

    With --artifacts its confirmed networks too. What is here already stays; the same command goes
    on if it was interrupted.
    """
    from sweeper import lifecycle
    from sweeper.operations import export_weights
    from sweeper.operations.export import CONFIRMED, read_all
    from sweeper.retry import SERVICE, RetryPolicy, throttled_notice
    from sweeper.store import Store

    with activity(f"{folder}: reading and checking"):
        dumps = read_all(folder)
        if (folder / CONFIRMED / export_weights.FILE).exists():
            export_weights.check(folder / CONFIRMED, dumps[-1])
    store = Store(storage, patience=RetryPolicy(SERVICE, throttled_notice(warn)))
    terminal = console()
    try:
        studies = [study for dump in dumps for study in (*dump.sweep.studies(), dump.sweep.name)]
        with activity(f"{dumps[0].sweep.name}: trials go into the tables") as doing:

            def on_study(study: str) -> None:
                doing(f"{dumps[0].sweep.name}: Optuna's studies")
                doing.count(studies.index(study), len(studies))

            counts = lifecycle.restore_all(store, dumps, on_study)
        for dump, (new, all_) in zip(dumps, counts, strict=True):
            name, before = dump.sweep.name, all_ - new
            old = f"; {before} were here already" if before else ""
            terminal.print(
                f"{name}: {pluralize(new, dump.sweep.record_noun)} restored{old}", soft_wrap=True
            )
        confirmed = folder / CONFIRMED
        if not (confirmed / export_weights.FILE).exists():
            return
        if artifacts is None:
            text = "there are networks too: --artifacts says where they are to be kept"
        else:
            with activity(f"{name}: networks") as restored:
                count = export_weights.restore(
                    confirmed, store, name, artifacts, on_network=restored.count
                )
            text = f"{pluralize(count, 'network')} restored to {artifacts}"
        terminal.print(f"{name}: {text}", soft_wrap=True)
    finally:
        store.close()
