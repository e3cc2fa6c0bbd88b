"""Throttle across processes: work that anyone may do, one at a time and not too often."""

from sqlalchemy import Connection, insert, select, update

from sweeper.store import registered_sweeps, tables
from sweeper.store.clock import now

_turn = tables.turn.c


def is_due(connection: Connection, name: str, what: str, every: float) -> bool:
    """Tell, without a lock, whether `every` seconds have passed since the last turn."""
    registered_sweeps.get(connection, name)
    query = select(_turn.taken_at, now()).where(_turn.sweep == name, _turn.what == what)
    row = connection.execute(query).one_or_none()
    if row is None:
        return True
    taken_at, current = row
    # A turn in the future: the clock was set back, and nobody should wait for it.
    return not taken_at <= current < taken_at + every


def try_throttle(connection: Connection, name: str, what: str, every: float) -> bool:
    """Take the turn if it is due."""
    registered_sweeps.lock(connection, name)
    if not is_due(connection, name, what, every):
        return False
    here = (_turn.sweep == name, _turn.what == what)
    if connection.scalar(select(_turn.what).where(*here)) is None:
        connection.execute(insert(tables.turn).values(sweep=name, what=what, taken_at=now()))
    else:
        connection.execute(update(tables.turn).where(*here).values(taken_at=now()))
    return True
