"""The report as a file: written beside its place and moved there whole."""

import os
from collections.abc import Sequence
from pathlib import Path

from sweeper.errors import InputError, SweeperError
from sweeper.report.page import page
from sweeper.results import Fact, FoundBracket, SweepStatus
from sweeper.spec import Sweep


def write_report(
    path: str | Path,
    sweep: Sweep,
    status: SweepStatus,
    facts: Sequence[Fact],
    found: Sequence[FoundBracket] = (),
) -> Path:
    """Write the report of a sweep and return its path. A reader sees the old file or the new one.

    Raises InputError where the path cannot be written to, SweeperError where writing fails.
    """
    path = Path(path)
    text = page(sweep, status, facts, found)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except (PermissionError, FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    except OSError as error:
        raise SweeperError(f"{path}: writing failed: {error.strerror or error}") from error
    return path
