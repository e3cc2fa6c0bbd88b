"""Slots: claimed, linked, given back, recorded, told. Exact with any number of workers."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select, tuple_, update

from sweeper.errors import LeaseLost
from sweeper.results import Fact, Slot
from sweeper.store import facts, leases, sweeps, tables
from sweeper.store.clock import now
from sweeper.store.facts import Outcome

_worker = tables.worker.c
_slot = tables.slot.c
_bracket = tables.bracket.c
_KEY = (_slot.arm, _slot.repeat, _slot.number)


def claim(connection: Connection, worker: str, limit: int, ticket: str) -> tuple[Slot, ...]:
    """Claim up to `limit` slots, no more than a fair share. Raises LeaseLost.

    An arm gives out none before all its probes are done.
    `ticket` names the call: tried again after a lost answer, it returns the same slots.
    """
    name = leases.lock(connection, worker)
    row = sweeps.get(connection, name)
    mine = and_(_slot.sweep == name, _slot.worker == worker, _slot.ticket == ticket)
    taken = connection.execute(select(*_KEY).where(mine, _slot.state == "claimed")).all()
    if not taken and row.state == "open":
        taken = _take(connection, name, worker, limit, ticket)
    sweep = sweeps.parsed(row.spec)
    return tuple(
        Slot(name, arm, repeat, number, sweep.study(arm, repeat)) for arm, repeat, number in taken
    )


def _take(connection: Connection, name: str, worker: str, limit: int, ticket: str) -> Sequence[Any]:
    waited_for = (
        select(_slot.arm, _slot.repeat, func.min(_slot.generation).label("generation"))
        .where(_slot.sweep == name, _slot.state != "told")
        .group_by(_slot.arm, _slot.repeat)
        .subquery()
    )
    unprobed = select(_bracket.arm).where(_bracket.sweep == name, _bracket.state != "done")
    query = (
        select(*_KEY)
        .join(
            waited_for,
            and_(
                _slot.arm == waited_for.c.arm,
                _slot.repeat == waited_for.c.repeat,
                _slot.generation == waited_for.c.generation,
            ),
        )
        .where(_slot.sweep == name, _slot.state == "open", _slot.arm.not_in(unprobed))
        .order_by(_slot.repeat, _slot.number, _slot.arm)
    )
    living = select(func.count()).where(_worker.sweep == name, _worker.lease_until > now())
    workers = connection.scalar(living) or 1
    claimable = connection.scalar(select(func.count()).select_from(query.subquery())) or 0
    share = -(-claimable // workers)
    chosen = connection.execute(query.limit(max(0, min(limit, share)))).all()
    if chosen:
        connection.execute(
            update(tables.slot)
            .where(_slot.sweep == name, tuple_(*_KEY).in_([tuple(key) for key in chosen]))
            .values(state="claimed", worker=worker, ticket=ticket, trial=None)
        )
    return chosen


def link(connection: Connection, worker: str, slot: Slot, trial: int) -> None:
    """Note the trial of a claimed slot. Raises LeaseLost if it is not this worker's any more."""
    leases.lock(connection, worker)
    held = and_(_at(slot), _slot.worker == worker, _slot.state == "claimed")
    if connection.execute(update(tables.slot).where(held).values(trial=trial)).rowcount == 0:
        raise _not_held(worker, slot)


def release(connection: Connection, worker: str, slots: Sequence[Slot]) -> None:
    """Give claimed slots back; those that are not this worker's any more are left alone."""
    for name in sorted({slot.sweep for slot in slots}):
        keys = [(slot.arm, slot.repeat, slot.number) for slot in slots if slot.sweep == name]
        connection.execute(
            select(tables.sweep.c.name).where(tables.sweep.c.name == name).with_for_update()
        )
        leases.free(connection, name, and_(_slot.worker == worker, tuple_(*_KEY).in_(keys)))


def record(connection: Connection, worker: str, outcomes: Sequence[Outcome]) -> None:
    """Insert the facts of slots that this worker holds: all, or none with LeaseLost.

    One that this worker has recorded before is passed over: then it was the answer that got lost.
    """
    new = [outcome for outcome in outcomes if not _is_recorded(connection, worker, outcome)]
    if not new:
        return
    leases.lock(connection, worker)
    for outcome in new:
        changed = connection.execute(
            update(tables.slot)
            .where(_at(outcome.slot), _slot.worker == worker, _slot.state == "claimed")
            .values(state="recorded", trial=outcome.trial)
        )
        if changed.rowcount == 0:
            raise _not_held(worker, outcome.slot)
    facts.add(connection, worker, new)


def told(connection: Connection, slot: Slot) -> None:
    """Note that Optuna knows a recorded slot's outcome."""
    connection.execute(
        update(tables.slot).where(_at(slot), _slot.state == "recorded").values(state="told")
    )


def untold(connection: Connection, name: str) -> tuple[Fact, ...]:
    """Return recorded facts that Optuna was not told and whose worker will not tell them."""
    sweeps.get(connection, name)
    return facts.find(
        connection,
        and_(
            _slot.sweep == name,
            _slot.state == "recorded",
            _slot.worker.in_(leases.gone(name)),
        ),
    )


def trials_in_use(
    connection: Connection, name: str, arm: str, repeat: int
) -> frozenset[int] | None:
    """Return the trials that belong to a slot; None while a claimed slot has none yet."""
    rows = connection.execute(
        select(_slot.state, _slot.trial).where(
            _slot.sweep == name,
            _slot.arm == arm,
            _slot.repeat == repeat,
            _slot.state != "open",
        )
    ).all()
    if any(row.trial is None for row in rows):
        return None
    return frozenset(row.trial for row in rows)


def _at(slot: Slot) -> ColumnElement[bool]:
    return and_(
        _slot.sweep == slot.sweep,
        _slot.arm == slot.arm,
        _slot.repeat == slot.repeat,
        _slot.number == slot.number,
    )


def _is_recorded(connection: Connection, worker: str, outcome: Outcome) -> bool:
    fact, slot = tables.fact.c, outcome.slot
    trial = connection.scalar(
        select(fact.trial).where(
            fact.sweep == slot.sweep,
            fact.arm == slot.arm,
            fact.repeat == slot.repeat,
            fact.slot == slot.number,
            fact.worker == worker,
        )
    )
    return trial == outcome.trial


def _not_held(worker: str, slot: Slot) -> LeaseLost:
    return LeaseLost(f"slot {slot.number} of {slot.study} is not held by worker {worker} any more")
