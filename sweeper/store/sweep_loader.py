"""Loader of a `SweepRecord`: a sweep with its confirmation as on record, in one transaction."""

from contextlib import suppress

from sqlalchemy import Connection

from sweeper.analysis.sweep_record import SweepRecord
from sweeper.errors import UnknownSweepError
from sweeper.store import (
    dropped_trials,
    enqueued_configs,
    recorded_ranges,
    registered_sweeps,
    reproducibility_checks,
    sweep_progress,
    trial_records,
)


def sweep_record(connection: Connection, name: str) -> SweepRecord:
    """Return the record of a sweep with that of its confirmation, as of one moment.

    Raises UnknownSweepError.
    """
    sweep = registered_sweeps.parsed(registered_sweeps.get(connection, name).spec)
    record = SweepRecord(
        sweep=sweep,
        status=sweep_progress.status(connection, name),
        records=trial_records.sorted_by_place(connection, sweep),
        ranges=recorded_ranges.find(connection, name),
        reproducibility_checks=reproducibility_checks.find(connection, name),
        enqueued=enqueued_configs.find(connection, name),
    ).with_dropped(dropped_trials.find(connection, name))
    with suppress(UnknownSweepError):
        row = registered_sweeps.get(connection, sweep.confirmation_name)
        confirmation = registered_sweeps.parsed(row.spec)
        confirmed = trial_records.sorted_by_place(connection, confirmation)
        dropped = dropped_trials.find(connection, confirmation.name)
        return record.with_confirmation(confirmation, confirmed, dropped)
    return record
