"""How many of what all sweeps hold, as of one moment: one query for each table, whatever they are.

For whoever asks often and about everything; `progress` says more of a single sweep.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from sweeper.results import FailureKind
from sweeper.store import tables
from sweeper.store.clock import now

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Slots, facts and lost attempts of one arm."""

    budget: int
    claimed: int
    open: int
    facts: Mapping[str, int]
    """By state: complete, diverged, collapsed."""
    lost: Mapping[FailureKind, int]
    """Attempts that came to nothing, by class; classes that never came up are left out."""

    @property
    def left(self) -> int:
        """What is not on record yet."""
        return self.claimed + self.open


@dataclass(frozen=True, slots=True)
class SweepCensus:
    """One sweep."""

    arms: Mapping[str, Counts]
    workers: Mapping[str, int]
    """Living ones, by device."""
    last_hour: int
    """Facts of the last hour, by the database's clock."""


@dataclass(frozen=True, slots=True)
class Census:
    """All sweeps, oldest first, and how long the database took to say its time."""

    sweeps: Mapping[str, SweepCensus]
    latency_seconds: float


def census(connection: Connection) -> Census:
    """Count everything, as of one moment."""
    began = time.perf_counter()
    hour_ago = float(connection.scalar(select(now())) or 0.0) - HOUR
    latency = time.perf_counter() - began
    slot, fact, failure = tables.slot.c, tables.fact.c, tables.failure.c
    worker, sweep = tables.worker.c, tables.sweep.c
    slots = _grouped(connection, slot.sweep, slot.arm, slot.state)
    facts = _grouped(connection, fact.sweep, fact.arm, fact.state)
    lost = _grouped(connection, failure.sweep, failure.arm, failure.kind)
    alive = _grouped(connection, worker.sweep, worker.device, where=worker.lease_until > now())
    recent = _grouped(connection, fact.sweep, where=fact.recorded_at > hour_ago)
    names = connection.scalars(select(sweep.name).order_by(sweep.created_at, sweep.name))
    return Census(
        {
            name: SweepCensus(
                arms={
                    arm: _counts(states, facts(name, arm), lost(name, arm))
                    for arm, states in slots(name).items()
                },
                workers=alive(name),
                last_hour=recent().get(name, 0),
            )
            for name in names
        },
        latency,
    )


def _counts(slots: Mapping[str, int], facts: Any, lost: Any) -> Counts:
    return Counts(
        budget=sum(slots.values()),
        claimed=slots.get("claimed", 0),
        open=slots.get("open", 0),
        facts=facts,
        lost=lost,
    )


def _grouped(connection: Connection, *by: Any, where: Any = None) -> Callable[..., dict[str, Any]]:
    """Count rows by some columns; what is returned looks up the counts below their first ones."""
    query = select(*by, func.count()).group_by(*by).order_by(*by)
    found: dict[str, Any] = {}
    for *keys, last, number in connection.execute(query if where is None else query.where(where)):
        below = found
        for key in keys:
            below = below.setdefault(key, {})
        below[last] = number

    def look_up(*keys: str) -> dict[str, Any]:
        below = found
        for key in keys:
            below = below.get(key, {})
        return below

    return look_up
