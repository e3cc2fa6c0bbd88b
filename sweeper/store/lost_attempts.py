"""Lost attempts of a slot, oldest first, with what became of the slot: its history."""

from sqlalchemy import Connection, select

from sweeper.store import tables
from sweeper.types import LostAttempt, Place, SlotHistory


def find(connection: Connection, name: str, place: Place) -> SlotHistory | None:
    """Return the history of a slot; None if the sweep has no such slot, or is not there."""
    slot, failure, worker = tables.slot.c, tables.failure.c, tables.worker.c
    arm, repeat, number = place
    row = connection.execute(
        select(slot.state, slot.trial, worker.host)
        .join_from(tables.slot, tables.worker, slot.worker == worker.id, isouter=True)
        .where(slot.sweep == name, slot.arm == arm, slot.repeat == repeat, slot.number == number)
    ).one_or_none()
    if row is None:
        return None
    lost = connection.execute(
        select(failure.kind, failure.error, failure.at, worker.host)
        .join_from(tables.failure, tables.worker, failure.worker == worker.id, isouter=True)
        .where(
            failure.sweep == name,
            failure.arm == arm,
            failure.repeat == repeat,
            failure.slot == number,
        )
        .order_by(failure.id)
    )
    attempts = tuple(LostAttempt(each.kind, each.error, each.at, each.host or "") for each in lost)
    return SlotHistory(row.state, row.trial, row.host or "", attempts)
