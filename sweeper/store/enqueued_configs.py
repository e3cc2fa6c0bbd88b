"""Enqueued configurations: given to the next slots that nobody has claimed, as part of the record.

The sampler's proposal for such a slot gives way to them, so that what a slot tries is a function of
what is on record whoever claims it, and however often. All else follows as ever.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, insert, select

from sweeper.config import Sweep
from sweeper.errors import InputError, pluralize
from sweeper.store import registered_sweeps, tables
from sweeper.store.clock import now
from sweeper.types import EnqueuedConfig, Scalar, Slot

_enqueued = tables.enqueued.c
_slot = tables.slot.c
Searches = Mapping[tuple[str, int], Sequence[Mapping[str, Scalar]]]
"""(arm, repeat) -> the parameters of its next slots, in their order."""


def register(
    connection: Connection, sweep: Sweep, first: Searches, *, extend: bool
) -> registered_sweeps.Outcome:
    """Register a sweep, as `registered_sweeps` does, with what its new slots try first."""
    outcome = registered_sweeps.register(connection, sweep, extend=extend)
    if outcome != "resumed" and first and sweep.warm_start:
        at = float(connection.scalar(select(now())) or 0.0)
        enqueue(connection, sweep.name, first, sweep.warm_start.mark, at)
    return outcome


def enqueue(
    connection: Connection, name: str, wanted: Searches, source: str, at: float
) -> tuple[EnqueuedConfig, ...]:
    """Give configurations to the next slots that were never claimed: all of them, or none.

    `at` names the call: tried again after a lost answer, it returns what it wrote. Raises
    UnknownSweepError, and InputError where there are more of them than such slots.
    """
    sweep = registered_sweeps.parsed(registered_sweeps.lock(connection, name).spec)
    of_this_call = and_(_enqueued.source == source, _enqueued.at == at)
    if written := _rows(connection, sweep, of_this_call):
        return written
    problems, rows = [], []
    for (arm, repeat), configs in wanted.items():
        free = _free_slots(connection, name, arm, repeat)
        if len(configs) > len(free):
            slots = f"{pluralize(len(free), 'slot')} that nobody has begun"
            many = pluralize(len(configs), "configuration")
            more = "a higher search.trials, taken by `run --extend`, makes more"
            problems.append(f"{name}: {arm}, repeat {repeat}: has {slots}, got {many}; {more}")
        for number, params in zip(free, configs, strict=False):
            place = {"sweep": name, "arm": arm, "repeat": repeat, "slot": number}
            rows.append({**place, "params": dict(params), "source": source, "at": at})
    if problems:
        raise InputError("\n".join(problems))
    if rows:
        connection.execute(insert(tables.enqueued), rows)
    return _rows(connection, sweep, of_this_call)


def find(connection: Connection, name: str) -> tuple[EnqueuedConfig, ...]:
    """Return all of a sweep, by arm in the order of the file, repeat and slot."""
    sweep = registered_sweeps.parsed(registered_sweeps.get(connection, name).spec)
    return _rows(connection, sweep, None)


def of_slots(connection: Connection, slots: Iterable[Slot]) -> dict[Slot, EnqueuedConfig]:
    """Return those of claimed slots: nobody changes them any more."""
    by_place = {(slot.sweep, *slot.place): slot for slot in slots}
    rows = connection.execute(
        select(tables.enqueued).where(_enqueued.sweep.in_({key[0] for key in by_place}))
    )
    return {
        by_place[key]: _config(row)
        for row in rows
        if (key := (row.sweep, row.arm, row.repeat, row.slot)) in by_place
    }


def _free_slots(connection: Connection, name: str, arm: str, repeat: int) -> list[int]:
    """Return the slots that were never claimed and are given nothing, by number."""
    failure = tables.failure.c
    given = select(_enqueued.slot).where(
        _enqueued.sweep == name, _enqueued.arm == arm, _enqueued.repeat == repeat
    )
    # A script may go on where a lost attempt was.
    tried = select(failure.slot).where(
        failure.sweep == name,
        failure.arm == arm,
        failure.repeat == repeat,
        failure.slot.is_not(None),
    )
    query = select(_slot.number).where(
        _slot.sweep == name,
        _slot.arm == arm,
        _slot.repeat == repeat,
        _slot.state == "open",
        _slot.number.not_in(given),
        _slot.number.not_in(tried),
    )
    return list(connection.scalars(query.order_by(_slot.number)))


def _rows(connection: Connection, sweep: Sweep, condition: Any) -> tuple[EnqueuedConfig, ...]:
    order = {arm: number for number, arm in enumerate(sweep.arms)}
    query = select(tables.enqueued).where(_enqueued.sweep == sweep.name)
    query = query if condition is None else query.where(condition)
    configs = map(_config, connection.execute(query))
    return tuple(sorted(configs, key=lambda one: (order[one.arm], one.repeat, one.slot)))


def _config(row: Any) -> EnqueuedConfig:
    return EnqueuedConfig(row.arm, row.repeat, row.slot, row.params, row.source)
