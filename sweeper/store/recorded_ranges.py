"""Recorded strength ranges: a probe for each, claimed like slots, recorded once, reused."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select, update

from sweeper.errors import LeaseLost
from sweeper.store import failures, leases, paused_arms, registered_sweeps, tables, trial_records
from sweeper.store.clock import now
from sweeper.types import ProbePoint, ProbeTask, Provenance, RecordedRange, StrengthRange

_worker = tables.worker.c
_bracket = tables.bracket.c


def claimable(connection: Connection, worker: str) -> bool:
    """Tell, without a lock, whether `claim` may find a probe or has to raise LeaseLost."""
    living = select(_worker.sweep).where(_worker.id == worker, _worker.lease_until > 0)
    name = connection.scalar(living)
    if name is None:
        return True
    left = select(_bracket.arm).where(
        _bracket.sweep == name,
        _bracket.state != "done",
        or_(_bracket.worker == worker, _bracket.arm.not_in(paused_arms.query(name))),
    )
    return connection.execute(left.limit(1)).first() is not None


def claim(connection: Connection, worker: str) -> ProbeTask | None:
    """Claim one probe of an arm that is not paused, first in the file. Raises LeaseLost.

    A worker holds one at a time: tried again after a lost answer, it returns the same.
    """
    name = leases.lock(connection, worker)
    row = registered_sweeps.get(connection, name)
    left = {
        (probe.arm, probe.parameter): probe
        for probe in connection.execute(
            select(tables.bracket).where(_bracket.sweep == name, _bracket.state != "done")
        )
    }
    claimed = [probe for probe in left.values() if probe.state == "claimed"]
    for probe in claimed:
        if probe.worker == worker:
            return _task(probe)
    if row.state != "open":
        return None
    paused = set(connection.scalars(paused_arms.query(name)))
    for place in _order(row.spec):
        if place not in left or left[place].state != "open" or place[0] in paused:
            continue
        task = _task(left[place])
        equal = connection.execute(
            _done(_bracket.key == task.key)
            .order_by(_bracket.recorded_at, _bracket.sweep, _bracket.arm, _bracket.parameter)
            .limit(1)
        ).one_or_none()
        if equal is not None:
            recorded = _recorded_range(equal._mapping)
            _finish(connection, task, recorded.range, recorded.provenance, reused=True)
        elif task.key not in {probe.key for probe in claimed}:
            connection.execute(
                update(tables.bracket).where(_at(task)).values(state="claimed", worker=worker)
            )
            return task
    return None


def record(
    connection: Connection,
    worker: str,
    task: ProbeTask,
    bracket: StrengthRange,
    provenance: Provenance,
) -> None:
    """Complete a probe that this worker holds, else raise LeaseLost.

    One that this worker has recorded before is passed over: then it was the answer that got lost.
    """
    claimed_here = and_(_at(task), _bracket.worker == worker)
    if connection.scalar(select(_bracket.state).where(claimed_here)) == "done":
        return
    leases.lock(connection, worker)
    if connection.scalar(select(_bracket.state).where(claimed_here)) != "claimed":
        raise LeaseLost(
            f"the probe of {task.parameter} of {task.arm} is not held by worker {worker} any more"
        )
    _finish(connection, task, bracket, provenance, reused=False)


def release(
    connection: Connection, worker: str, task: ProbeTask, attempt: str, error: str = ""
) -> None:
    """Give a claimed probe back; one that is not this worker's any more is left alone.

    `error`: what training it raised; the same again and again ends the sweep.
    """
    connection.execute(
        select(tables.sweep.c.name).where(tables.sweep.c.name == task.sweep).with_for_update()
    )
    leases.free_probes(connection, task.sweep, and_(_at(task), _bracket.worker == worker))
    if error:
        failures.note(connection, task.sweep, worker, attempt, [task.arm], "error", error)
        failures.give_up(connection, task.sweep, [task.arm])


def find(connection: Connection, name: str) -> tuple[RecordedRange, ...]:
    """Return the ranges on record, in the order of the file."""
    row = registered_sweeps.get(connection, name)
    rows = connection.execute(_done(_bracket.sweep == name))
    ranges = {
        (range_row.arm, range_row.parameter): _recorded_range(range_row._mapping)
        for range_row in rows
    }
    return tuple(ranges[place] for place in _order(row.spec) if place in ranges)


def _finish(
    connection: Connection,
    task: ProbeTask,
    bracket: StrengthRange,
    provenance: Provenance,
    *,
    reused: bool,
) -> None:
    """Write a range. The caller holds the lock of the sweep and has seen that it is not done."""
    connection.execute(
        update(tables.bracket)
        .where(_at(task))
        .values(
            state="done",
            reused=reused,
            provenance=trial_records.add_provenance(connection, task.sweep, provenance),
            recorded_at=now(),
            low=bracket.low,
            high=bracket.high,
            open_below=bracket.open_below,
            open_above=bracket.open_above,
            seconds=bracket.seconds,
            points=[_written(point) for point in bracket.points],
        )
    )


def _done(condition: ColumnElement[bool]) -> Select[Any]:
    provenance = tables.provenance.c
    origin = and_(
        _bracket.sweep == provenance.sweep,
        _bracket.provenance == provenance.digest,
    )
    return (
        select(tables.bracket, *trial_records.FROM)
        .join(tables.provenance, origin)
        .where(_bracket.state == "done", condition)
    )


def _recorded_range(row: Mapping[Any, Any]) -> RecordedRange:
    return RecordedRange(
        arm=row["arm"],
        parameter=row["parameter"],
        range=StrengthRange(
            low=row["low"],
            high=row["high"],
            points=tuple(_point(raw) for raw in row["points"]),
            open_below=row["open_below"],
            open_above=row["open_above"],
            seconds=row["seconds"],
        ),
        provenance=trial_records.provenance_of(row),
        reused=row["reused"],
    )


def _written(point: ProbePoint) -> dict[str, Any]:
    # JSON knows no infinity, and PostgreSQL refuses it.
    return {**asdict(point), "moved": None if point.moved == math.inf else point.moved}


def _point(raw: Mapping[str, Any]) -> ProbePoint:
    return ProbePoint(**{**raw, "moved": math.inf if raw["moved"] is None else raw["moved"]})


def _order(spec: str) -> list[tuple[str, str]]:
    sweep = registered_sweeps.parsed(spec)
    return [(arm, parameter) for arm in sweep.arms for parameter in sweep.auto_parameters(arm)]


def _task(row: Any) -> ProbeTask:
    return ProbeTask(row.sweep, row.arm, row.parameter, row.key)


def _at(task: ProbeTask) -> ColumnElement[bool]:
    return and_(
        _bracket.sweep == task.sweep,
        _bracket.arm == task.arm,
        _bracket.parameter == task.parameter,
    )
