"""Counts of slots, trials and failures of all sweeps, as of one moment: one query a table.

For whoever asks often and about everything; `sweep_progress` says more of a single sweep.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, case, func, literal_column, select

from sweeper.store import tables
from sweeper.store.clock import now
from sweeper.types import FailureKind

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class TrialCounts:
    """Slots, records and failed attempts of one arm."""

    budget: int
    claimed: int
    open: int
    networks: Mapping[str, int]
    """On record by state: complete, diverged, collapsed; a trial may bring several."""
    lost: Mapping[FailureKind, int]
    """Attempts that came to nothing, by class; classes that never came up are left out."""

    @property
    def recorded(self) -> int:
        """Number of slots that are on record."""
        return self.budget - self.left

    @property
    def left(self) -> int:
        """Number of slots that are not on record yet."""
        return self.claimed + self.open


@dataclass(frozen=True, slots=True)
class SweepCounts:
    """One sweep."""

    arms: Mapping[str, TrialCounts]
    workers: Mapping[str, int]
    """Living ones, by device."""
    last_hour: int
    """Trials recorded within the last hour of the database's clock."""


@dataclass(frozen=True, slots=True)
class StorageCounts:
    """All sweeps, oldest first, and how long the database took to say its time."""

    sweeps: Mapping[str, SweepCounts]
    latency_seconds: float


def census(connection: Connection) -> StorageCounts:
    """Count everything, as of one moment."""
    began = time.perf_counter()
    hour_ago = float(connection.scalar(select(now())) or 0.0) - HOUR
    latency = time.perf_counter() - began
    slot, fact, failure = tables.slot.c, tables.fact.c, tables.failure.c
    worker, sweep = tables.worker.c, tables.sweep.c
    slots = _tree(_counted(connection, slot.sweep, slot.arm, slot.state))
    lost = _tree(_counted(connection, failure.sweep, failure.arm, failure.kind))
    alive = _tree(
        _counted(connection, worker.sweep, worker.device, where=worker.lease_until > now())
    )
    # Facts are wide: both in one pass.
    recent = case((and_(fact.recorded_at > hour_ago, fact.network == 0), 1), else_=0)
    of_facts = _counted(connection, fact.sweep, fact.arm, fact.state, recent)
    facts = _tree(of_facts)
    last_hour: Counter[str] = Counter()
    for name, _, _, is_recent, number in of_facts:
        last_hour[name] += is_recent * number
    names = connection.scalars(select(sweep.name).order_by(sweep.created_at, sweep.name))
    return StorageCounts(
        {
            name: SweepCounts(
                arms={
                    arm: TrialCounts(
                        budget=sum(states.values()),
                        claimed=states.get("claimed", 0),
                        open=states.get("open", 0),
                        networks={
                            state: sum(numbers.values())
                            for state, numbers in facts.get(name, {}).get(arm, {}).items()
                        },
                        lost=lost.get(name, {}).get(arm, {}),
                    )
                    for arm, states in slots.get(name, {}).items()
                },
                workers=alive.get(name, {}),
                last_hour=last_hour[name],
            )
            for name in names
        },
        latency,
    )


def _counted(connection: Connection, *by: Any, where: Any = None) -> list[tuple[Any, ...]]:
    """Count rows by some columns; the number stands after these."""
    # By their places: PostgreSQL would not know an expression with a parameter again.
    places: list[Any] = [literal_column(str(number)) for number in range(1, len(by) + 1)]
    query: Select[Any] = select(*by, func.count()).group_by(*places)
    rows = connection.execute(query if where is None else query.where(where))
    return [tuple(row) for row in rows]


def _tree(rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    """Return counted rows as dictionaries within each other, a level for each column."""
    tree: dict[str, Any] = {}
    for *keys, last, number in sorted(rows):
        below = tree
        for key in keys:
            below = below.setdefault(key, {})
        below[last] = number
    return tree
