"""Commands that carry a sweep from one database to another: export, restore."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.common import (
    Artifacts,
    Name,
    Storage,
    console,
    open_store,
    pluralize,
    progress_bar,
    warn,
)
from sweeper.errors import InputError
from sweeper.settings import DEFAULT_STORAGE

if TYPE_CHECKING:
    from sweeper.store import Store


def register(app: typer.Typer) -> None:
    """Add these commands to the application."""
    for command in (export, restore):
        app.command()(command)


def export(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where it goes.  [default: sweeps/NAME/export]",
            show_default=False,
        ),
    ] = None,
    artifacts: Artifacts = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Only networks of the first so many fresh seeds.  [default: all]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write all of a sweep as files: Parquet, CSV and JSON, from which `restore` makes it again.

    Its confirmation goes with it, with --artifacts its networks too; and every figure of the
    report, as SVG.
    """
    from sweeper.config import confirmation_name
    from sweeper.operations.export import CONFIRMED

    if seeds is not None and artifacts is None:
        raise InputError(
            "--seeds: says which networks are written; --artifacts says where they are"
        )
    folder = out or Path("sweeps") / name / "export"
    terminal = console()
    with open_store(storage, waits=True) as store:
        files = _saved(store, name, folder)
        confirmation = confirmation_name(name)
        if confirmation in store.names():
            files += _saved(store, confirmation, folder / CONFIRMED)
            if artifacts is not None:
                files += _networks(store, confirmation, folder / CONFIRMED, artifacts, seeds)
        files += _drawn(store, name, folder)
    for file in files:
        size = file.stat().st_size
        terminal.print(f"{file}  {size / 1000:,.0f} kB", soft_wrap=True, highlight=False)


def _saved(store: "Store", name: str, folder: Path) -> list[Path]:
    from sweeper.analysis import fronts
    from sweeper.operations.export import save

    dump = store.dump(name)
    return save(folder, dump, fronts(store.records(name), dump.sweep))


def _networks(
    store: "Store", name: str, folder: Path, artifacts: str, seeds: int | None
) -> list[Path]:
    from sweeper.operations.export_weights import save

    with progress_bar("networks") as on_network:
        file = save(folder, store, name, artifacts, seeds=seeds, on_network=on_network)
    if file is None:
        console().print(f"{name}: no networks at {artifacts}", soft_wrap=True)
    return [file] if file else []


def _drawn(store: "Store", name: str, folder: Path) -> list[Path]:
    """Write the figures of the report as SVG, which no browser is needed for."""
    from sweeper.atomic_write import atomic_write
    from sweeper.lifecycle import load_record
    from sweeper.report import figures, standalone_svg

    views = figures(load_record(store, name))
    return [
        atomic_write(folder / f"{what}.svg", standalone_svg(view).encode())
        for what, view in views.items()
    ]


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

    dumps = read_all(folder)
    if (folder / CONFIRMED / export_weights.FILE).exists():
        export_weights.check(folder / CONFIRMED, dumps[-1])
    store = Store(storage, patience=RetryPolicy(SERVICE, throttled_notice(warn)))
    terminal = console()
    try:
        with terminal.status(f"{dumps[0].sweep.name}: facts") as shown:
            counts = lifecycle.restore_all(store, dumps, lambda study: shown.update(f"{study}"))
        for dump, (new, all_) in zip(dumps, counts, strict=True):
            name, before = dump.sweep.name, all_ - new
            known = f"; {before} were here already" if before else ""
            terminal.print(f"{name}: {pluralize(new, 'trial')} restored{known}", soft_wrap=True)
        again = folder / CONFIRMED
        if not (again / export_weights.FILE).exists():
            return
        if artifacts is None:
            said = "there are networks too: --artifacts says where they are to be kept"
        else:
            with progress_bar("networks") as on_network:
                count = export_weights.restore(again, store, name, artifacts, on_network=on_network)
            said = f"{pluralize(count, 'network')} restored to {artifacts}"
        terminal.print(f"{name}: {said}", soft_wrap=True)
    finally:
        store.close()
