"""Report of a stored sweep: its record with what it needs, and the file that it goes to."""

from pathlib import Path

from sweeper.analysis.sweep_record import SweepRecord
from sweeper.errors import InputError
from sweeper.lifecycle import load_record
from sweeper.settings import sweep_folder
from sweeper.store import Store


def reported_record(store: Store, name: str, artifacts: str | None) -> SweepRecord:
    """Return what a report is made of. Raises InputError for a confirmation, UnknownSweepError."""
    sweep = store.sweep(name)
    if sweep.confirms:
        raise InputError(f"{name}: is part of another report: sweeper report {sweep.confirms.of}")
    return load_record(store, name, artifacts=artifacts)


def report_path(name: str) -> Path:
    """Return the path of the report of a sweep, unless told otherwise."""
    return sweep_folder(name) / "report.html"
