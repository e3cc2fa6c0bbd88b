"""Reproducibility checks: trials of other machines, trained again on one, on record."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, insert, select

from sweeper.store import registered_sweeps, tables, trial_records
from sweeper.store.clock import now
from sweeper.types import ReproducibilityCheck, RetrainedTrial

_drift = tables.drift.c


def record(connection: Connection, name: str, id_: str, check: ReproducibilityCheck) -> None:
    """Insert a check; nothing happens if it is there, for then the answer got lost."""
    registered_sweeps.lock(connection, name)
    here = (_drift.sweep == name, _drift.id == id_)
    if connection.scalar(select(_drift.id).where(*here)) is not None:
        return
    connection.execute(
        insert(tables.drift).values(
            sweep=name,
            id=id_,
            provenance=trial_records.add_provenance(connection, name, check.provenance),
            redone=[_written(trial) for trial in check.redone],
            recorded_at=now(),
        )
    )


def _written(trial: RetrainedTrial) -> dict[str, Any]:
    row = asdict(trial)
    if not trial.network:
        del row["network"]  # as it was before a slot had several
    return row


def find(connection: Connection, name: str) -> tuple[ReproducibilityCheck, ...]:
    """Return the checks of a sweep, oldest first."""
    provenance = tables.provenance
    query = (
        select(_drift.redone, *trial_records.FROM)
        .join(
            provenance,
            (provenance.c.sweep == _drift.sweep) & (provenance.c.digest == _drift.provenance),
        )
        .where(_drift.sweep == name)
        .order_by(_drift.recorded_at, _drift.id)
    )
    return tuple(
        ReproducibilityCheck(
            trial_records.provenance_of(row._mapping),
            tuple(RetrainedTrial(**trial) for trial in row.redone),
        )
        for row in connection.execute(query)
    )
