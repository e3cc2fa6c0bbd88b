"""Dropped trials: on record, and left out of fronts, tables and comparisons by a person.

Each drop is a row, each taking back another: nothing is updated or deleted, and the last row of a
network counts. What a sampler was told of a trial stays told.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select

from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.store import registered_sweeps, tables
from sweeper.store.clock import now
from sweeper.types import DroppedTrial, NetworkPlace, Place

_dropped = tables.dropped.c
_fact = tables.fact.c
LATER = 1e-6
"""Seconds by which a row is later than the one before it, whatever the clock says."""


@dataclass(frozen=True, slots=True)
class NamedTrial:
    """Networks of a slot that somebody names."""

    place: Place
    networks: tuple[int, ...] | None = None
    """Their numbers within the slot; None for all of them."""

    @property
    def rows(self) -> tuple[int | None, ...]:
        """Numbers as they are written, a row each."""
        return (None,) if self.networks is None else self.networks


def drop(
    connection: Connection, name: str, trials: Sequence[NamedTrial], why: str, ids: Sequence[str]
) -> tuple[NamedTrial, ...]:
    """Leave trials out; return those of which a network was not left out before.

    `ids` are those of the rows, one for each network that is named. Raises UnknownSweepError, and
    InputError for a trial that is not on record.
    """
    return _write(connection, name, trials, why, ids, undone=False)


def take_back(
    connection: Connection, name: str, trials: Sequence[NamedTrial], ids: Sequence[str]
) -> tuple[NamedTrial, ...]:
    """Have dropped trials count again; return those of which a network was left out.

    Raises as `drop` does.
    """
    return _write(connection, name, trials, "", ids, undone=True)


def find(connection: Connection, name: str) -> tuple[DroppedTrial, ...]:
    """Return the dropped trials by arm in the order of the file, repeat, slot and time."""
    sweep = registered_sweeps.parsed(registered_sweeps.get(connection, name).spec)
    by_reason: dict[tuple[Place, str, float], list[int]] = {}
    for (arm, repeat, slot, network), (why, at) in _state(connection, sweep).items():
        by_reason.setdefault(((arm, repeat, slot), why, at), []).append(network)
    order = {arm: number for number, arm in enumerate(sweep.arms)}
    trials = [
        DroppedTrial(
            *place,
            networks=tuple(sorted(networks)),
            is_whole=len(networks) == sweep.networks_of_slot,
            why=why,
            at=at,
        )
        for (place, why, at), networks in by_reason.items()
    ]
    return tuple(sorted(trials, key=lambda one: (order[one.arm], one.repeat, one.slot, one.at)))


def place_of(connection: Connection, name: str, study: str, trial: int) -> NetworkPlace | None:
    """Return the place of a trial of Optuna's; None if it is not on record."""
    columns = (_fact.arm, _fact.repeat, _fact.slot, _fact.network)
    at = _fact.sweep == name, _fact.study == study, _fact.trial == trial
    row = connection.execute(select(*columns).where(*at)).one_or_none()
    return None if row is None else (row.arm, row.repeat, row.slot, row.network)


def _write(
    connection: Connection,
    name: str,
    trials: Sequence[NamedTrial],
    why: str,
    ids: Sequence[str],
    *,
    undone: bool,
) -> tuple[NamedTrial, ...]:
    sweep = registered_sweeps.parsed(registered_sweeps.lock(connection, name).spec)
    if connection.scalar(select(_dropped.id).where(_dropped.id.in_(ids)).limit(1)) is not None:
        return tuple(trials)  # this is the second attempt of a transaction that was committed
    _check_recorded(connection, name, [trial.place for trial in trials])
    state, written = _state(connection, sweep).keys(), []
    latest = connection.scalar(select(func.max(_dropped.at)).where(_dropped.sweep == name))
    at = max(float(connection.scalar(select(now())) or 0.0), (latest or 0.0) + LATER)
    left = list(ids)
    for trial in dict.fromkeys(trials):
        numbers = trial.networks or range(sweep.networks_of_slot)
        if all(((*trial.place, number) in state) != undone for number in numbers):
            continue
        written.append(trial)
        arm, repeat, slot = trial.place
        for network in trial.rows:
            row = {"arm": arm, "repeat": repeat, "slot": slot, "network": network}
            values = {"sweep": name, "id": left.pop(), **row, "why": why, "at": at}
            connection.execute(insert(tables.dropped).values(**values, undone=undone))
    return tuple(written)


def _check_recorded(connection: Connection, name: str, places: Collection[Place]) -> None:
    columns = (_fact.arm, _fact.repeat, _fact.slot)
    at = _fact.sweep == name, _fact.network == 0
    recorded = {tuple(row) for row in connection.execute(select(*columns).where(*at))}
    problems = [
        f"{name}: {arm}/{repeat}/{slot} is not on record"
        for arm, repeat, slot in places
        if (arm, repeat, slot) not in recorded
    ]
    if problems:
        raise InputError("\n".join(problems))


def _state(connection: Connection, sweep: Sweep) -> dict[NetworkPlace, tuple[str, float]]:
    """Return the networks that are dropped, with the reason and the time of each."""
    rows = connection.execute(
        select(tables.dropped)
        .where(_dropped.sweep == sweep.name)
        .order_by(_dropped.at, _dropped.id)
    )
    state: dict[NetworkPlace, tuple[str, float]] = {}
    for row in rows:
        numbers = range(sweep.networks_of_slot) if row.network is None else (row.network,)
        for number in numbers:
            place = (row.arm, row.repeat, row.slot, number)
            if row.undone:
                state.pop(place, None)
            else:
                # The first reason stays.
                state.setdefault(place, (row.why, row.at))
    return state
