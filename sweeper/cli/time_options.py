"""Options `--until` and `--for`: the time that workers have."""

from datetime import datetime
from typing import Annotated

import typer

from sweeper.errors import InputError

Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="TIME",
        help="Begin nothing that would end later than 18:00, or 2030-01-31T18:00.",
        show_default=False,
    ),
]
For = Annotated[
    str | None,
    typer.Option(
        "--for",
        metavar="TIME",
        help="Begin nothing that would end later than 90s, 2h or 1h30m from now.",
        show_default=False,
    ),
]


def end_of_time(until: str | None, for_: str | None, *, launched: bool = False) -> datetime | None:
    """Return the moment that the options say; None without any. Raises InputError.

    One that a launcher has handed on may be past by now.
    """
    from sweeper.worker.time_budget import parse_duration, parse_until

    if until is not None and for_ is not None:
        raise InputError("--until, --for: give one of them, not both")
    if for_ is not None:
        return datetime.now().astimezone() + parse_duration(for_)
    return None if until is None else parse_until(until, past=launched)
