"""The report as a file."""

from collections.abc import Sequence
from pathlib import Path

from sweeper.answers import Confirmation
from sweeper.report.page import page
from sweeper.results import DriftCheck, Fact, FoundBracket, SweepStatus
from sweeper.spec import Sweep
from sweeper.writing import write_whole


def write_report(
    path: str | Path,
    sweep: Sweep,
    status: SweepStatus,
    facts: Sequence[Fact],
    found: Sequence[FoundBracket] = (),
    again: Confirmation | None = None,
    checks: Sequence[DriftCheck] = (),
) -> Path:
    """Write the report of a sweep and return its path. A reader sees the old file or the new one.

    Raises InputError where the path cannot be written to, SweeperError where writing fails.
    """
    return write_whole(Path(path), page(sweep, status, facts, found, again, checks).encode())
