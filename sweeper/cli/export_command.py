"""The command `export`: all of a sweep as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.common import (
    Artifacts,
    Name,
    Storage,
    console,
    open_store,
    progress_bar,
)
from sweeper.errors import InputError, pluralize
from sweeper.settings import DEFAULT_STORAGE

if TYPE_CHECKING:
    from sweeper.store import Store


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(export)


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
        files = _save_sweep(store, name, folder)
        confirmation = confirmation_name(name)
        if confirmation in store.names():
            files += _save_sweep(store, confirmation, folder / CONFIRMED)
            if artifacts is not None:
                files += _save_networks(store, confirmation, folder / CONFIRMED, artifacts, seeds)
        files += _save_figures(store, name, folder)
    for file in files:
        size = file.stat().st_size
        terminal.print(f"{file}  {size / 1000:,.0f} kB", soft_wrap=True, highlight=False)


def _save_sweep(store: "Store", name: str, folder: Path) -> list[Path]:
    from sweeper.analysis import fronts
    from sweeper.operations.export import save

    dump, dropped = store.dump(name), store.interventions.dropped(name)
    if dropped:
        left_out = f"{pluralize(len(dropped), 'dropped trial')} in no front"
        console().print(f"{name}: {left_out}; facts.csv says why", soft_wrap=True)
    return save(
        folder, dump, fronts(store.interventions.counted_records(name), dump.sweep), dropped
    )


def _save_networks(
    store: "Store", name: str, folder: Path, artifacts: str, seeds: int | None
) -> list[Path]:
    from sweeper.operations.export_weights import save

    with progress_bar("networks") as on_network:
        file = save(folder, store, name, artifacts, seeds=seeds, on_network=on_network)
    if file is None:
        console().print(f"{name}: no networks at {artifacts}", soft_wrap=True)
    return [file] if file else []


def _save_figures(store: "Store", name: str, folder: Path) -> list[Path]:
    """Write the figures of the report as SVG, which no browser is needed for."""
    from sweeper.atomic_write import atomic_write
    from sweeper.lifecycle import load_record
    from sweeper.reports import figures, standalone_svg

    views = figures(load_record(store, name))
    return [
        atomic_write(folder / f"{figure}.svg", standalone_svg(view).encode())
        for figure, view in views.items()
    ]
