"""The command `export`: all of a sweep as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.activity import Activity, activity
from sweeper.cli.common import Artifacts, Name, Storage, console, open_store
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
    from sweeper.operations.export_weights import save as save_networks

    if seeds is not None and artifacts is None:
        raise InputError(
            "--seeds: says which networks are written; --artifacts says where they are"
        )
    folder = out or Path("sweeps") / name / "export"
    terminal = console()
    with open_store(storage, waits=True) as store, activity(f"{name}: reading all trials") as doing:
        files, notes = _save_sweep(store, name, folder, doing)
        confirmation = confirmation_name(name)
        if confirmation in store.names():
            confirmed = _save_sweep(store, confirmation, folder / CONFIRMED, doing)
            files, notes = files + confirmed[0], notes + confirmed[1]
            if artifacts is not None:
                doing(f"{confirmation}: writing networks")
                networks = save_networks(
                    folder / CONFIRMED,
                    store,
                    confirmation,
                    artifacts,
                    seeds=seeds,
                    on_network=doing.count,
                )
                files += [networks] if networks else []
                notes += [] if networks else [f"{confirmation}: no networks at {artifacts}"]
        doing(f"{name}: drawing figures")
        files += _save_figures(store, name, folder)
    for note in notes:
        terminal.print(note, soft_wrap=True)
    for file in files:
        size = file.stat().st_size
        terminal.print(f"{file}  {size / 1000:,.0f} kB", soft_wrap=True, highlight=False)


def _save_sweep(
    store: "Store", name: str, folder: Path, doing: Activity
) -> tuple[list[Path], list[str]]:
    """Write a sweep; return its files, and what is to be said of them."""
    from sweeper.analysis import fronts
    from sweeper.operations.export import save

    doing(f"{name}: reading all trials")
    dump, dropped = store.dump(name), store.interventions.dropped(name)
    points = fronts(store.interventions.counted_records(name), dump.sweep)
    doing(f"{name}: writing {len(dump.facts):,} trials")
    left_out = f"{pluralize(len(dropped), 'dropped trial')} in no front"
    notes = [f"{name}: {left_out}; facts.csv says why"] if dropped else []
    return save(folder, dump, points, dropped), notes


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
