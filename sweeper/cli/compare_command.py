"""The command `compare`: fronts of several sweeps in one figure, and their sizes in one table."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sweeper.cli.activity import activity
from sweeper.cli.common import ArmNames, Storage, console, count, listed, open_store, percent, table
from sweeper.cli.front_command import TRACKS, parse_choice
from sweeper.settings import DEFAULT_STORAGE
from sweeper.types import SizeMeasure

if TYPE_CHECKING:
    from rich.table import Table

    from sweeper.operations.sweep_fronts import SweepFronts

SIZES: dict[str, SizeMeasure] = {"nonzero": "nonzero", "effective": "effective"}
MOST_TARGETS = 3
"""Columns of sizes, so that the table fits 80 columns."""


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(compare)


def compare(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Names of sweeps.", show_default=False)
    ],
    storage: Storage = DEFAULT_STORAGE,
    arms: ArmNames = None,
    track: Annotated[
        str | None,
        typer.Option(help="pruned or as_trained.  [default: the first sweep's objective]"),
    ] = None,
    size: Annotated[str, typer.Option(help="nonzero or effective parameters.")] = "nonzero",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The figure as .svg, .html or an image, or the networks as .csv.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The table as JSON.")] = False,
) -> None:
    """Compare the fronts of several sweeps, and say what is unequal between them.

    Sweeps of other data, another measure or other selection are refused.
    """
    from sweeper.operations.sweep_fronts import SweepFronts

    chosen_track = None if track is None else parse_choice("--track", track, TRACKS)
    chosen_size = parse_choice("--size", size, SIZES)
    named = listed(arms)
    with open_store(storage) as store, activity("reading all trials") as doing:
        records = []
        for number, name in enumerate(names):
            doing.count(number, len(names))
            records.append(store.sweep_record(name))
    fronts = SweepFronts.compared(records, arms=named, track=chosen_track, size=chosen_size)
    if as_json:
        typer.echo(json.dumps(_rows(fronts), indent=2))
    else:
        terminal = console()
        terminal.print(f"{fronts.table_title}:", soft_wrap=True)
        terminal.print(comparison_table(fronts))
        if fronts.notes:
            terminal.print("not ranked, since they are unequal:", soft_wrap=True)
        for note in fronts.notes:
            terminal.print(f"  {note}", soft_wrap=True)
        terminal.print("No answer: the best networks of a search owe something to luck. For one:")
        for name in (record.sweep.name for record in records if record.confirmation is None):
            terminal.print(f"  sweeper confirm {name}", soft_wrap=True)
        terminal.print(f"  {_table_command(names)}", soft_wrap=True)
    if out:
        typer.echo(f"figure: {fronts.save(out)}", err=as_json)


def _table_command(names: list[str]) -> str:
    """Return the command that sets confirmed networks of these sweeps beside each other."""
    first, *others = names
    return " ".join(["sweeper", "table", first, *(f"--with {name}" for name in others)])


def comparison_table(fronts: "SweepFronts") -> "Table":
    """Return a line for each arm, below its sweep; at most three of the targets."""
    targets = fronts.targets[-MOST_TARGETS:]
    heads = (f">at {100 * accuracy:g} %" for accuracy in targets)
    lines = table("sweep, arm", ">networks", ">best %", *heads)
    before = ""
    for name, front in fronts.items():
        sweep, _, arm = name.partition("/")
        if sweep != before:
            lines.add_row(sweep)
            before = sweep
        sizes = fronts.sizes(name)
        best = front[-1].accuracy(front.by) if front else None
        lines.add_row(
            f"  {arm}",
            f"{len(front)}/{front.candidates}",
            percent(best),
            *map(count, sizes[len(sizes) - len(targets) :]),
        )
    return lines


def _rows(fronts: "SweepFronts") -> dict[str, Any]:
    return {
        "sweeps": [sweep.name for sweep in fronts.sweeps],
        "measure": fronts.sweeps[0].measure,
        "notes": list(fronts.notes),
        "arms": {
            name: {
                "track": front.track,
                "by": front.by,
                "size": front.size,
                "networks": len(front),
                "candidates": front.candidates,
                "smallest_at": {
                    f"{target:g}": size
                    for target, size in zip(fronts.targets, fronts.sizes(name), strict=True)
                },
            }
            for name, front in fronts.items()
        },
    }
