"""The command `table`: the numbers of one sweep or of several as a paper prints them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sweeper.cli.common import (
    ArmNames,
    Name,
    Storage,
    data_stream,
    listed,
    open_store,
    resume_command,
)
from sweeper.cli.front_command import TRACKS, parse_choice
from sweeper.errors import InputError, choices, meant_share, shown
from sweeper.redact import visible
from sweeper.settings import DEFAULT_STORAGE

if TYPE_CHECKING:
    from sweeper.analysis.table_cells import Column

ENDINGS = {".tex": "latex", ".md": "markdown", ".csv": "csv"}
FORMATS = tuple(ENDINGS.values())


def register(app: typer.Typer) -> None:
    """Add this command to the application."""
    app.command()(table)


def table(
    name: Name,
    storage: Storage = DEFAULT_STORAGE,
    others: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="NAME", help="A further sweep; may be given several times."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="latex (booktabs), markdown or csv.  [default: by the ending of --out, "
            "else markdown]",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="0.95,...",
            help="Sizes at these accuracies.  [default: those of the file's targets]",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="2000,...", help="Accuracies within these sizes.", show_default=False),
    ] = None,
    arms: ArmNames = None,
    track: Annotated[
        str | None, typer.Option(help="pruned or as_trained.  [default: the file's objective]")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it there: .tex, .md or .csv.", show_default=False),
    ] = None,
) -> None:
    """Print the table of a paper: sizes at accuracies, accuracies within sizes.

    Of a confirmed sweep with 95 % intervals over repeats; of another one the networks of its
    search, and that nothing is confirmed.
    """
    from sweeper import __version__
    from sweeper.analysis.paper_table import paper_table
    from sweeper.atomic_write import atomic_write
    from sweeper.lifecycle import load_record
    from sweeper.reports.latex_table import latex
    from sweeper.reports.table_text import csv_text, markdown

    form = _format(form, out)
    columns = _columns(at, size)
    chosen_track = None if track is None else parse_choice("--track", track, TRACKS)
    with open_store(storage) as store:
        records = [load_record(store, each) for each in (name, *(others or ()))]
    made = paper_table(records, columns, arms=listed(arms), track=chosen_track)
    if form == "csv":
        text = csv_text(made)
    elif form == "latex":
        text = latex(made, resume_command(), __version__)
    else:
        text = markdown(made, resume_command())
    if out:
        typer.echo(f"table: {atomic_write(out, text.encode())}")
        return
    stream = data_stream()
    stream.write("\n".join(map(visible, text.split("\n"))) if stream.isatty() else text)


def _format(form: str | None, out: Path | None) -> str:
    """Return the format that is named, or that a file's ending stands for. Raises InputError."""
    if form is not None:
        if form not in FORMATS:
            raise InputError(f"--format: {choices(form, FORMATS)}")
        return form
    if out is None:
        return "markdown"
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"--out: {out}: not a kind of table: {choices(ending, ENDINGS)}")
    return ENDINGS[ending]


def _columns(at: str | None, size: str | None) -> "list[Column]":
    """Return the columns that are named. Raises InputError for what is no share or no count."""
    from sweeper.analysis.table_cells import Column

    columns = []
    for word in listed(at):
        number = _number("--at", word, "a share from 0 to 1, such as 0.95")
        if not 0 < number < 1:
            wanted = "must be a share > 0 and < 1"
            raise InputError(f"--at: {wanted}, got {shown(word)}{meant_share(number)}")
        columns.append(Column(accuracy=number))
    for word in listed(size):
        number = _number("--size", word, "a whole number of parameters, such as 2000")
        if number < 1 or not number.is_integer():
            raise InputError(f"--size: must be a whole number >= 1, got {shown(word)}")
        columns.append(Column(size=int(number)))
    if twice := [column for column in columns if columns.count(column) > 1]:
        option = "--size" if twice[0].accuracy is None else "--at"
        raise InputError(f"{option}: {twice[0].accuracy or twice[0].size} is named twice")
    return columns


def _number(option: str, word: str, wanted: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise InputError(f"{option}: must be {wanted}, got {shown(word)}") from None
