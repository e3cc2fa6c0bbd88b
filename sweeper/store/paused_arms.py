"""Paused arms: those of which no slot and no probe is claimed, until they are resumed.

What is claimed already is trained and recorded as ever. A generation waits for slots of its own
(arm, repeat) alone, so that no other arm waits for a paused one.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, select

from sweeper.errors import InputError, choices
from sweeper.store import registered_sweeps, tables
from sweeper.store.clock import now

_paused = tables.paused.c


def query(name: str) -> Select[Any]:
    """Return the query for the paused arms of a sweep."""
    return select(_paused.arm).where(_paused.sweep == name)


def names(connection: Connection, name: str) -> tuple[str, ...]:
    """Return the paused arms of a sweep, in the order of the file."""
    sweep = registered_sweeps.parsed(registered_sweeps.get(connection, name).spec)
    paused = set(connection.scalars(query(name)))
    return tuple(arm for arm in sweep.arms if arm in paused)


def pause(connection: Connection, name: str, arms: Sequence[str]) -> tuple[str, ...]:
    """Pause arms, or all that are not finished if none is named; return those that are new.

    Raises UnknownSweepError, and InputError for an arm that is none or is finished.
    """
    chosen = _named(connection, name, arms)
    finished = _finished(connection, name)
    over = [arm for arm in chosen if arm in finished]
    if arms and over:
        raise InputError(
            "\n".join(f"{name}: {arm} is finished, there is nothing to pause" for arm in over)
        )
    if len(over) == len(chosen):
        raise InputError(f"{name}: is finished, there is nothing to pause")
    paused = set(connection.scalars(query(name)))
    new = tuple(arm for arm in chosen if arm not in paused and arm not in finished)
    for arm in new:
        connection.execute(insert(tables.paused).values(sweep=name, arm=arm, at=now()))
    return new


def resume(connection: Connection, name: str, arms: Sequence[str]) -> tuple[str, ...]:
    """Go on with arms, or with all if none is named; return those that were paused.

    Raises UnknownSweepError, and InputError for an arm that is none.
    """
    chosen = _named(connection, name, arms)
    paused = set(connection.scalars(query(name)))
    resumed = tuple(arm for arm in chosen if arm in paused)
    at = _paused.sweep == name, _paused.arm.in_(resumed)
    connection.execute(delete(tables.paused).where(*at))
    return resumed


def holds_up(connection: Connection, name: str) -> bool:
    """Tell whether all that could be claimed, slots and probes, is of paused arms."""
    slot = tables.slot.c
    left = slot.sweep == name, slot.state.in_(["open", "claimed"])
    others = select(slot.number).where(*left, slot.arm.not_in(query(name))).limit(1)
    if connection.execute(query(name).limit(1)).first() is None:
        return False
    return connection.execute(others).first() is None


def _named(connection: Connection, name: str, arms: Sequence[str]) -> tuple[str, ...]:
    """Return arms by name, or all, each once, in the order of the file; locks the sweep."""
    sweep = registered_sweeps.parsed(registered_sweeps.lock(connection, name).spec)
    problems = [
        f"{name}: no such arm: {choices(arm, sweep.arms)}" for arm in arms if arm not in sweep.arms
    ]
    if problems:
        raise InputError("\n".join(problems))
    return tuple(arm for arm in sweep.arms if not arms or arm in arms)


def _finished(connection: Connection, name: str) -> set[str]:
    """Return the arms all of whose slots are on record."""
    slot = tables.slot.c
    left = select(slot.arm).where(slot.sweep == name, slot.state.in_(["open", "claimed"]))
    all_arms = set(connection.scalars(select(slot.arm).where(slot.sweep == name).distinct()))
    return all_arms - set(connection.scalars(left.distinct()))
