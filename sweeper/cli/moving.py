"""Commands that carry a sweep from one database to another: export, restore."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.api import DEFAULT_STORAGE
from sweeper.cli.common import Name, Storage, console, many, opened

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
) -> None:
    """Write all of a sweep as files: Parquet, CSV and JSON, from which `restore` makes it again.

    Its confirmation goes with it; and every figure of the report, as SVG.
    """
    from sweeper.archive import CONFIRMED
    from sweeper.spec import SUFFIX

    folder = out or Path("sweeps") / name / "export"
    with opened(storage) as store:
        files = _saved(store, name, folder)
        if name + SUFFIX in store.names():
            files += _saved(store, name + SUFFIX, folder / CONFIRMED)
        files += _drawn(store, name, folder)
    terminal = console()
    for file in files:
        size = file.stat().st_size
        terminal.print(f"{file}  {size / 1000:,.0f} kB", soft_wrap=True, highlight=False)


def _saved(store: "Store", name: str, folder: Path) -> list[Path]:
    from sweeper.archive import save
    from sweeper.fronts import fronts

    dump = store.dump(name)
    return save(folder, dump, fronts(store.results(name), dump.sweep))


def _drawn(store: "Store", name: str, folder: Path) -> list[Path]:
    """Write the figures of the report as SVG, which no browser is needed for."""
    from sweeper.report import confirmation_of, figures, standalone
    from sweeper.writing import write_whole

    facts = store.results(name)
    views = figures(store.sweep(name), facts, confirmation_of(store, name, facts))
    return [
        write_whole(folder / f"{what}.svg", standalone(view).encode())
        for what, view in views.items()
    ]


def restore(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="What `export` wrote.", show_default=False)
    ],
    storage: Storage = DEFAULT_STORAGE,
) -> None:
    """Bring an exported sweep into this storage, where `run` goes on with it.

    What is here already stays; the same command goes on if it was interrupted.
    """
    from sweeper import service
    from sweeper.archive import CONFIRMED, SHEET, read
    from sweeper.store import Store

    dumps = [read(folder)]
    if (folder / CONFIRMED / SHEET).exists():
        dumps.append(read(folder / CONFIRMED))
    store = Store(storage)
    terminal = console()
    try:
        for dump in dumps:
            name = dump.sweep.name
            with terminal.status(f"{name}: facts") as shown:
                new, all_ = service.restore(store, dump, lambda study: shown.update(f"{study}"))
            before = all_ - new
            known = f"; {before} were here already" if before else ""
            terminal.print(f"{name}: {many(new, 'trial')} restored{known}", soft_wrap=True)
    finally:
        store.close()
