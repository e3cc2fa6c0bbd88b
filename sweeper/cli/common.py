"""Common parts of the commands: options, the storage, the terminal, numbers as people read them."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from sweeper.cli.activity import shown_on
from sweeper.errors import InputError
from sweeper.redact import VisibleStream, hide_passwords, holds_password, visible
from sweeper.settings import (
    ARTIFACTS_VARIABLE,
    DATA_VARIABLE,
    DEFAULT_STORAGE,
    PASSWORD_FILE_VARIABLE,
    STORAGE_VARIABLE,
    TRIALS_VARIABLE,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sweeper.store import Store


typed: ContextVar[tuple[str, ...]] = ContextVar("typed", default=())
"""The words of the command, as they were typed."""


def resume_command() -> str:
    """Return the command as it was typed: it goes on where it stopped."""
    return hide_passwords(shlex.join(["sweeper", *typed.get()]))


def _refuse_password(context: typer.Context, storage: str) -> str:
    """Refuse a password that the whole machine can read. Raises InputError."""
    source = context.get_parameter_source("storage")
    typed_here = source is not None and source.name == "COMMANDLINE"
    if typed_here and holds_password(storage):
        raise InputError(
            "--storage: arguments can be seen by everybody on the machine: put a URL with a "
            f"password into {STORAGE_VARIABLE}, or only the password into a file that "
            f"{PASSWORD_FILE_VARIABLE} names"
        )
    return storage


Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        envvar=STORAGE_VARIABLE,
        metavar="URL",
        callback=_refuse_password,
        help=f"Database. A password belongs into the variable or into {PASSWORD_FILE_VARIABLE}.",
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a sweep.", show_default=False)]
StudyFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="A study file (YAML).", show_default=False)
]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Another value for a key of the file, as in search.trials=48; more by more --set.",
        show_default=False,
    ),
]
ArmNames = Annotated[
    str | None,
    typer.Option(
        metavar="ARM,...",
        help="Only these: l1 of every sweep, SWEEP/l1 of one.",
        show_default=False,
    ),
]
Device = Annotated[
    str, typer.Option(help="auto, cpu, cuda or cuda:1; auto is every GPU, or the CPU.")
]
Pack = Annotated[
    str,
    typer.Option(
        metavar="N",
        help="Trials that a worker trains at the same time; auto measures what is fastest.",
    ),
]
Artifacts = Annotated[
    str | None,
    typer.Option(
        "--artifacts",
        envvar=ARTIFACTS_VARIABLE,
        metavar="PLACE",
        help="Where confirmed networks are kept, and checkpoints of scripts: a folder, "
        "s3://BUCKET or gs://BUCKET.",
        show_default=False,
    ),
]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        envvar=DATA_VARIABLE,
        metavar="FOLDER",
        help="Folder of datasets.  [default: the user's cache]",
        show_default=False,
    ),
]


Trials = Annotated[
    Path | None,
    typer.Option(
        "--trials",
        envvar=TRIALS_VARIABLE,
        metavar="FOLDER",
        help="Where scripts have the files of their trials.  [default: sweeps/NAME/trials]",
        show_default=False,
    ),
]


@contextmanager
def open_store(
    storage: str, *, new: bool = False, waits: bool = False, reached: bool = False
) -> Iterator["Store"]:
    """Open the storage of a command that needs tables to be there. Raises StorageError.

    `new`: a SQLite file that is not there yet is made. `waits`: as long as a worker for a database
    that is away, and says so. `reached` as of `Store`.
    """
    from sweeper.retry import SERVICE, RetryPolicy, throttled_notice
    from sweeper.store import Store

    store = Store(
        storage,
        patience=RetryPolicy(SERVICE, throttled_notice(warn)) if waits else None,
        reached=reached,
    )
    try:
        if new and not store.health().is_there:
            store.upgrade()
        store.check()
        yield store
    finally:
        store.close()


def console() -> "Console":
    """Return the terminal, which shows all text as it is; 80 columns where there is none."""
    from sweeper.cli.terminal import Terminal

    if (shown := shown_on()) is not None and sys.stdout.isatty():
        return shown
    # No markup: what is printed has brackets of its own, such as errors and names of files.
    plain = partial(Terminal, highlight=False, markup=False, emoji=False)
    terminal = plain()
    return terminal if terminal.is_terminal else plain(width=80)


def data_stream() -> TextIO:
    """Return where a table of data is printed: to the letter, unless people read it at once."""
    stream = sys.stdout
    if isinstance(stream, VisibleStream) and not stream.isatty():
        return stream.raw
    return stream


def warn(text: str) -> None:
    """Print a warning."""
    from rich.text import Text

    console().print(Text.assemble(("warning:", "yellow"), f" {text}"), soft_wrap=True)


def table(*columns: str) -> "Table":
    """Return an empty table; columns that start with '>' are set to the right."""
    from rich import box

    from sweeper.cli.terminal import Table

    empty = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        right = column.startswith(">")
        empty.add_column(
            visible(column.removeprefix(">")),
            justify="right" if right else "left",
            no_wrap=right,
            overflow="ellipsis" if right else "fold",
        )
    return empty


def dashboard_command(store: "Store", storage: str) -> str:
    """Return the command that opens the dashboard on this storage; it never holds a password."""
    if storage in {DEFAULT_STORAGE, os.environ.get(STORAGE_VARIABLE)}:
        return "sweeper dashboard"
    if not holds_password(storage):
        return shlex.join(["sweeper", "dashboard", "--storage", storage])
    return f"{STORAGE_VARIABLE}={shlex.quote(store.safe_url)} sweeper dashboard"


def percent(accuracy: float | None) -> str:
    """Return 97.25 for 0.9725, '-' for none."""
    return "-" if accuracy is None else f"{100 * accuracy:.2f}"


def count(number: int | None) -> str:
    """Return 266,610, '-' for none."""
    return "-" if number is None else f"{number:,}"


def duration(seconds: float | None) -> str:
    """Return a time in the two units that matter, '-' for none.

    >>> duration(42.4), duration(61), duration(7300), duration(200_000)
    ('42 s', '1 min 01 s', '2 h 01 min', '2 d 07 h')
    """
    if seconds is None:
        return "-"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02} h"


def listed(words: str | None) -> list[str]:
    """Return the words between commas.

    >>> listed("l1, dense,")
    ['l1', 'dense']
    """
    return [word.strip() for word in (words or "").split(",") if word.strip()]
