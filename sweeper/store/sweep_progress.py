"""Progress of a sweep: the numbers behind `run`, `status` and the dashboard."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, case, func, select, tuple_

from sweeper.config import Sweep
from sweeper.store import dropped_trials, failures, paused_arms, registered_sweeps, tables
from sweeper.store.clock import now
from sweeper.types import ArmProgress, FailureKind, LastError, SweepStatus, WorkerStatus


def status(connection: Connection, name: str) -> SweepStatus:
    """Return the progress of a sweep, as of one moment."""
    row = registered_sweeps.get(connection, name)
    sweep = registered_sweeps.parsed(row.spec)
    probes, probed = _probes(connection, name)
    return SweepStatus(
        name=name,
        digest=row.digest,
        state=row.state,
        created_at=row.created_at,
        now=float(connection.scalar(select(now())) or 0.0),
        arms=_arms(connection, sweep),
        workers=_workers(connection, name),
        probes=probes,
        probed=probed,
        error=row.error or "",
    )


def _probes(connection: Connection, name: str) -> tuple[int, int]:
    """Return the numbers of ranges that the sweep needs, and of those on record."""
    bracket = tables.bracket.c
    states = connection.scalars(select(bracket.state).where(bracket.sweep == name)).all()
    return len(states), states.count("done")


def _arms(connection: Connection, sweep: Sweep) -> tuple[ArmProgress, ...]:
    slot, fact, worker = tables.slot.c, tables.fact.c, tables.worker.c
    alive = select(worker.id).where(worker.sweep == sweep.name, worker.lease_until > now())
    accuracy: Any = fact[f"{sweep.sparsification.track}_val_accuracy"]
    nonzero: Any = fact[f"{sweep.sparsification.track}_nonzero"]
    dropped = dropped_trials.find(connection, sweep.name)
    if dropped:
        gone = [place for trial in dropped for place in trial.places]
        counts = tuple_(fact.arm, fact.repeat, fact.slot, fact.network).not_in(gone)
        accuracy, nonzero = case((counts, accuracy)), case((counts, nonzero))

    def count(condition: Any) -> Any:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    slots = connection.execute(
        select(
            slot.arm,
            func.count().label("budget"),
            count(slot.state.in_(["recorded", "told"])).label("done"),
            count(slot.state == "claimed").label("claimed"),
        )
        .where(slot.sweep == sweep.name)
        .group_by(slot.arm)
    )
    facts = connection.execute(
        select(
            fact.arm,
            func.count().label("networks"),
            count(fact.state == "diverged").label("diverged"),
            count(fact.state == "collapsed").label("collapsed"),
            func.max(accuracy).label("best_accuracy"),
            func.min(case((fact.state == "complete", nonzero))).label("smallest_nonzero"),
            func.sum(fact.seconds).label("seconds"),
            func.avg(case((fact.worker.in_(alive), fact.seconds))).label("pace"),
        )
        .where(fact.sweep == sweep.name)
        .group_by(fact.arm)
    )
    budgets = {row.arm: row for row in slots}
    outcomes = {row.arm: row for row in facts}
    failed = failures.counts(connection, sweep.name)
    errors = failures.last_errors(connection, sweep.name) if failed else {}
    paused = set(connection.scalars(paused_arms.query(sweep.name)))
    return tuple(
        replace(
            _arm(sweep, arm, budgets[arm], outcomes.get(arm), failed.get(arm, {}), errors.get(arm)),
            paused=arm in paused,
            dropped=len({trial.place for trial in dropped if trial.arm == arm}),
        )
        for arm in sweep.arms
    )


def _arm(
    sweep: Sweep,
    arm: str,
    slots: Any,
    facts: Any,
    failed: Mapping[FailureKind, int],
    last_error: LastError | None,
) -> ArmProgress:
    # int(): sums are Decimal on MySQL and PostgreSQL.
    return ArmProgress(
        arm=arm,
        budget=slots.budget,
        done=int(slots.done),
        claimed=int(slots.claimed),
        failures=failed,
        last_error=last_error,
        networks=int(facts.networks) if facts else 0,
        diverged=int(facts.diverged) if facts else 0,
        collapsed=int(facts.collapsed) if facts else 0,
        best_accuracy=facts.best_accuracy if facts else None,
        smallest_nonzero=facts.smallest_nonzero if facts else None,
        seconds=facts.seconds if facts else 0.0,
        pace=facts.pace * sweep.networks_of_slot if facts and facts.pace is not None else None,
    )


def _workers(connection: Connection, name: str) -> tuple[WorkerStatus, ...]:
    worker, slot, fact = tables.worker.c, tables.slot.c, tables.fact.c
    # Each once for all workers: asked for worker by worker, fifty of them read all trials as often.
    held = _counts(connection, slot.worker, slot.sweep == name, slot.state == "claimed")
    done = _counts(connection, fact.worker, fact.sweep == name, fact.network == 0)
    alive = case((worker.lease_until > now(), 1), else_=0)
    rows = connection.execute(
        select(tables.worker, alive.label("alive"))
        .where(worker.sweep == name)
        .order_by(worker.joined_at, worker.id)
    )
    return tuple(
        WorkerStatus(
            id=row.id,
            host=row.host,
            pid=row.pid,
            device=row.device,
            alive=bool(row.alive),
            slots=held.get(row.id, 0),
            done=done.get(row.id, 0),
            started_at=row.joined_at,
            progress=row.progress,
        )
        for row in rows
    )


def _counts(connection: Connection, worker: Any, *conditions: Any) -> dict[str, int]:
    """Return the numbers of rows by worker."""
    query = select(worker, func.count()).where(*conditions).group_by(worker)
    return {id_: int(count) for id_, count in connection.execute(query)}
