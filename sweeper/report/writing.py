"""The report as a file."""

from collections.abc import Sequence
from pathlib import Path

from sweeper.analysis.conclusion import ConfirmationResult
from sweeper.atomic_write import atomic_write
from sweeper.config import Sweep
from sweeper.report.html_page import page
from sweeper.types import RecordedRange, ReproducibilityCheck, SweepStatus, TrialRecord


def write_report(
    path: str | Path,
    sweep: Sweep,
    status: SweepStatus,
    facts: Sequence[TrialRecord],
    found: Sequence[RecordedRange] = (),
    again: ConfirmationResult | None = None,
    checks: Sequence[ReproducibilityCheck] = (),
) -> Path:
    """Write the report of a sweep and return its path. A reader sees the old file or the new one.

    Raises InputError where the path cannot be written to, SweeperError where writing fails.
    """
    return atomic_write(Path(path), page(sweep, status, facts, found, again, checks).encode())
