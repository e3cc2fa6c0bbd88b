"""Slots: claimed, linked, released, recorded, reported. Exact with any number of workers.

Each function takes a whole pack: a transaction costs more than what is written in it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Update,
    and_,
    bindparam,
    func,
    select,
    tuple_,
    update,
)

from sweeper.config import Sweep
from sweeper.errors import LeaseLost
from sweeper.store import failures, leases, paused_arms, registered_sweeps, tables, trial_records
from sweeper.store.clock import now
from sweeper.types import FailureKind, NetworkPlace, Place, Slot, TrialOutcome, TrialRecord

_worker = tables.worker.c
_slot = tables.slot.c
_bracket = tables.bracket.c
_KEY = (_slot.arm, _slot.repeat, _slot.number)


def claim(
    connection: Connection,
    worker: str,
    limit: int,
    ticket: str,
    *,
    ahead: bool = False,
    without: Collection[str] = (),
) -> tuple[Slot, ...]:
    """Claim up to `limit` slots, no more than a fair share. Raises LeaseLost.

    An arm gives out none before all its probes are done, nor while it is paused.
    `ahead`: for later; none are given out while another living worker has nothing to do.
    `without`: arms of which none is wanted.
    `ticket` names the call: tried again after a lost answer, it returns the same slots.
    """
    name = leases.lock(connection, worker)
    row = registered_sweeps.get(connection, name)
    of_this_call = and_(_slot.sweep == name, _slot.worker == worker, _slot.ticket == ticket)
    keys = connection.execute(select(*_KEY).where(of_this_call, _slot.state == "claimed")).all()
    free = not ahead or not _another_waits(connection, name, worker)
    sweep = registered_sweeps.parsed(row.spec)
    if not keys and row.state == "open" and free:
        keys = _take(connection, sweep, worker, limit, ticket, without)
    return tuple(
        Slot(name, arm, repeat, number, sweep.study(arm, repeat)) for arm, repeat, number in keys
    )


def _take(
    connection: Connection,
    sweep: Sweep,
    worker: str,
    limit: int,
    ticket: str,
    without: Collection[str],
) -> Sequence[Any]:
    name = sweep.name
    order: tuple[Column[Any], ...] = (_slot.repeat, _slot.number, _slot.arm)
    if not sweep.is_space_filling:
        # A generation arm by arm: when its last arms are trained, all of its first ones are told,
        # and nobody waits. Slot by slot over all arms, 16 workers with TPE and 4 arms stood still
        # for 4 to 9 % of the time.
        order = (_slot.repeat, _slot.generation, _slot.arm, _slot.number)
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
        .where(
            _slot.sweep == name,
            _slot.state == "open",
            _slot.arm.not_in(unprobed),
            _slot.arm.not_in(paused_arms.query(name)),
            _slot.arm.not_in(list(without)),
        )
        .order_by(*order)
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


def link(connection: Connection, worker: str, trials: Mapping[Slot, int]) -> None:
    """Note the trials of claimed slots: all, or none with LeaseLost if one is not held."""
    leases.lock(connection, worker)
    _check_held(connection, worker, trials)
    _set(connection, update(tables.slot).values(trial=bindparam("its_trial")), trials)


def release(
    connection: Connection,
    worker: str,
    slots: Sequence[Slot],
    error: str = "",
) -> None:
    """Give claimed slots back; those that are not this worker's any more are left alone.

    `error`: what training them raised; the same again and again ends the sweep.
    """
    kind: FailureKind = "error" if error else "given back"
    for name, keys in _by_sweep(slots):
        connection.execute(
            select(tables.sweep.c.name).where(tables.sweep.c.name == name).with_for_update()
        )
        held = and_(_slot.worker == worker, tuple_(*_KEY).in_(keys))
        if failures.free(connection, name, held, kind, error) and error:
            failures.give_up(connection, name, [arm for arm, _, _ in keys])


def record(connection: Connection, worker: str, outcomes: Sequence[TrialOutcome]) -> None:
    """Insert the records of slots that this worker holds: all, or none with LeaseLost.

    A slot is recorded with all of its networks. One that this worker has recorded before is passed
    over: then it was the answer that got lost.
    """
    recorded = _recorded(connection, worker, outcomes)
    new = [outcome for outcome in outcomes if recorded.get(outcome.place) != outcome.trial]
    if not new:
        return
    name = leases.lock(connection, worker)
    _check_whole(registered_sweeps.parsed(registered_sweeps.get(connection, name).spec), new)
    trials = {outcome.slot: outcome.trial for outcome in new if not outcome.network}
    _check_held(connection, worker, trials)
    done = update(tables.slot).values(state="recorded", trial=bindparam("its_trial"))
    _set(connection, done, trials)
    trial_records.add(connection, worker, new)


def mark_reported(connection: Connection, slots: Iterable[Slot]) -> None:
    """Note that Optuna knows the outcomes of recorded slots."""
    for name, keys in _by_sweep(slots):
        recorded = and_(_slot.sweep == name, _slot.state == "recorded", tuple_(*_KEY).in_(keys))
        connection.execute(update(tables.slot).where(recorded).values(state="told"))


def trials_taken(
    connection: Connection, name: str, trials: Collection[tuple[str, int]]
) -> frozenset[tuple[str, int]]:
    """Return those trials, (study, number), that have a record or belong to a slot in training."""
    sweep, fact = (
        registered_sweeps.parsed(registered_sweeps.get(connection, name).spec),
        tables.fact.c,
    )
    query = select(fact.study, fact.trial).where(tuple_(fact.study, fact.trial).in_(trials))
    taken = {(study, trial) for study, trial in connection.execute(query)}
    firsts = {trial - n for _, trial in trials for n in range(sweep.networks_of_slot)}
    linked = select(_slot.arm, _slot.repeat, _slot.trial).where(
        _slot.sweep == name, _slot.state == "claimed", _slot.trial.in_(firsts)
    )
    taken |= {
        (sweep.study(arm, of), trial)
        for arm, of, first in connection.execute(linked)
        for trial in _trials_of(sweep, first)
    }
    return frozenset(taken.intersection(trials))


def unreported(connection: Connection, name: str) -> tuple[TrialRecord, ...]:
    """Return the records that Optuna was not told and whose worker will not tell them."""
    registered_sweeps.get(connection, name)
    return trial_records.find(
        connection,
        and_(
            _slot.sweep == name,
            _slot.state == "recorded",
            _slot.worker.in_(leases.expired(name)),
        ),
    )


def trials_in_use(
    connection: Connection, name: str, arm: str, repeats: Collection[int]
) -> frozenset[int] | None:
    """Return the trials that belong to a slot; None while a claimed slot has none yet."""
    rows = connection.execute(
        select(_slot.state, _slot.trial).where(
            _slot.sweep == name,
            _slot.arm == arm,
            _slot.repeat.in_(repeats),
            _slot.state != "open",
        )
    ).all()
    if any(row.trial is None for row in rows):
        return None
    sweep = registered_sweeps.parsed(registered_sweeps.get(connection, name).spec)
    return frozenset(trial for row in rows for trial in _trials_of(sweep, row.trial))


def _trials_of(sweep: Sweep, first: int) -> range:
    """Return the trials of a slot by that of its first network."""
    return range(first, first + sweep.networks_of_slot)


def _another_waits(connection: Connection, name: str, worker: str) -> bool:
    """Tell whether another living worker holds neither a slot nor a probe."""
    held = [
        select(table.c.worker).where(table.c.sweep == name, table.c.state == "claimed")
        for table in (tables.slot, tables.bracket)
    ]
    others = select(_worker.id).where(
        _worker.sweep == name,
        _worker.lease_until > now(),
        _worker.id != worker,
        *(_worker.id.not_in(holders) for holders in held),
    )
    return connection.scalar(others.limit(1)) is not None


def _check_held(connection: Connection, worker: str, slots: Iterable[Slot]) -> None:
    """Raise LeaseLost unless this worker holds all the slots. The caller holds the lock."""
    query = select(_slot.sweep, *_KEY).where(_slot.worker == worker, _slot.state == "claimed")
    held = {tuple(row) for row in connection.execute(query)}
    for slot in slots:
        if (slot.sweep, *slot.place) not in held:
            text = f"slot {slot.number} of {slot.study} is not held by worker {worker} any more"
            raise LeaseLost(text)


def _check_whole(sweep: Sweep, outcomes: Sequence[TrialOutcome]) -> None:
    """Raise ValueError unless all networks of each slot are there, with trials in their order."""
    networks: dict[Slot, list[TrialOutcome]] = {}
    for outcome in outcomes:
        networks.setdefault(outcome.slot, []).append(outcome)
    for slot, of_slot in networks.items():
        of_slot.sort(key=lambda outcome: outcome.network)
        first = of_slot[0].trial
        whole = [(number, first + number) for number in range(sweep.networks_of_slot)]
        if [(outcome.network, outcome.trial) for outcome in of_slot] != whole:
            text = f"slot {slot.number} of {slot.study} is recorded with all of its networks"
            raise ValueError(f"{text}, {sweep.networks_of_slot}")


def _set(connection: Connection, change: Update, trials: Mapping[Slot, int]) -> None:
    """Update the rows of slots, each with its trial."""
    columns = (_slot.sweep, *_KEY)
    at = and_(*(column == bindparam(f"at_{column.name}") for column in columns))
    rows = [
        {
            "at_sweep": slot.sweep,
            "at_arm": slot.arm,
            "at_repeat": slot.repeat,
            "at_number": slot.number,
            "its_trial": trial,
        }
        for slot, trial in trials.items()
    ]
    if rows:
        connection.execute(change.where(at), rows)


def _recorded(
    connection: Connection, worker: str, outcomes: Sequence[TrialOutcome]
) -> dict[NetworkPlace, int]:
    """Return the trials of those networks that this worker has recorded before."""
    fact = tables.fact.c
    recorded: dict[NetworkPlace, int] = {}
    for name, keys in _by_sweep(outcome.slot for outcome in outcomes if not outcome.network):
        query = select(fact.arm, fact.repeat, fact.slot, fact.network, fact.trial).where(
            fact.sweep == name,
            fact.worker == worker,
            tuple_(fact.arm, fact.repeat, fact.slot).in_(keys),
        )
        for arm, repeat, number, network, trial in connection.execute(query):
            recorded[arm, repeat, number, network] = trial
    return recorded


def _by_sweep(slots: Iterable[Slot]) -> list[tuple[str, list[Place]]]:
    keys: dict[str, list[Place]] = {}
    for slot in slots:
        keys.setdefault(slot.sweep, []).append(slot.place)
    return sorted(keys.items())
