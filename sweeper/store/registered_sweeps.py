"""Sweeps: registered, extended, stopped, deleted."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from sweeper.config import Sweep, name_clashes
from sweeper.config.probe_plan import probe_key
from sweeper.config.sweep_difference import differences
from sweeper.errors import (
    DigestError,
    InputError,
    SpecError,
    UnknownSweepError,
    UnreadableError,
    choices,
)
from sweeper.store import tables
from sweeper.store.clock import now
from sweeper.types import SweepState

Outcome = Literal["new", "resumed", "extended"]
IN_PART = "it is restored in part only: the same `sweeper restore` goes on"
"""Error of a sweep whose records are here, but not yet all of Optuna's trials."""


@dataclass(frozen=True, slots=True)
class SweepVersion:
    """Version of a sweep: it changes whenever what is on record does, which is only ever added."""

    name: str
    digest: str
    state: SweepState
    created_at: float
    facts: int
    """Number of records."""
    dropped: int = 0
    """How often trials were dropped, or dropped ones taken back."""


def lock(connection: Connection, name: str) -> Row[Any]:
    """Lock a sweep and return its row. Raises UnknownSweepError.

    Every transaction that changes slots or records begins with it, so that they come one after
    another and cannot deadlock. (SQLite locks the whole file when a transaction to write begins.)
    """
    query = select(tables.sweep).where(tables.sweep.c.name == name)
    # FOR NO KEY UPDATE on PostgreSQL: foreign keys may still be checked meanwhile.
    row = connection.execute(query.with_for_update(key_share=True)).one_or_none()
    return row if row is not None else _unknown(connection, name)


def get(connection: Connection, name: str) -> Row[Any]:
    """Return the row of a sweep. Raises UnknownSweepError."""
    row = connection.execute(select(tables.sweep).where(tables.sweep.c.name == name)).one_or_none()
    return row if row is not None else _unknown(connection, name)


@lru_cache(maxsize=128)  # the dashboard looks at all sweeps
def parsed(spec: str) -> Sweep:
    """Return the sweep that a row holds; a worker asks for the same one all the time."""
    try:
        return Sweep.from_json(spec)
    except ValueError as error:
        name = json.loads(spec).get("name")
        text = f"sweep {name!r} was registered by another version of sweeper and cannot be read"
        raise UnreadableError(text) from error


def names(connection: Connection) -> tuple[str, ...]:
    """Return all names, oldest first."""
    columns = tables.sweep.c
    query = select(columns.name).order_by(columns.created_at, columns.name)
    return tuple(connection.scalars(query))


def versions(connection: Connection, name: str | None = None) -> tuple[SweepVersion, ...]:
    """Return the marks of all sweeps, oldest first, or of the one of that name."""
    sweep, fact = tables.sweep.c, tables.fact.c
    counted = select(func.count()).where(fact.sweep == sweep.name).scalar_subquery()
    dropped = tables.dropped.c
    drops = select(func.count()).where(dropped.sweep == sweep.name).scalar_subquery()
    query = select(
        sweep.name,
        sweep.digest,
        sweep.state,
        sweep.created_at,
        counted.label("facts"),
        drops.label("dropped"),
    ).order_by(sweep.created_at, sweep.name)
    if name is not None:
        query = query.where(sweep.name == name)
    return tuple(SweepVersion(**row._mapping) for row in connection.execute(query))


def would_register(connection: Connection, sweep: Sweep, *, extend: bool) -> Outcome:
    """Return the outcome of a `register` that changes nothing. Raises as it does."""
    row = connection.execute(
        select(tables.sweep).where(tables.sweep.c.name == sweep.name)
    ).one_or_none()
    if row is not None:
        return _compared(row, sweep, extend=extend)
    _refuse_alike(connection, sweep)
    return "new"


def register(
    connection: Connection, sweep: Sweep, *, extend: bool, restoring: bool = False
) -> Outcome:
    """Insert a sweep, its slots and probes, or open it again.

    Raises DigestError if another study file has its name, InputError if it is restored in part, or
    if names of a new one are alike.
    """
    if sweep.name not in names(connection):
        _refuse_alike(connection, sweep, restoring=restoring)
    if _insert(connection, sweep):
        _add_slots(connection, sweep, ())
        _add_probes(connection, sweep)
        return "new"
    row = lock(connection, sweep.name)
    if _compared(row, sweep, extend=extend, restoring=restoring) == "resumed":
        _open(connection, sweep.name)
        return "resumed"
    columns = tables.slot.c
    existing = connection.execute(
        select(columns.arm, columns.repeat, columns.number).where(columns.sweep == sweep.name)
    )
    _add_slots(connection, sweep, (tuple(slot) for slot in existing))
    _add_probes(connection, sweep)
    ordered = _with_arms_in_place(sweep, parsed(row.spec))
    _open(connection, sweep.name, spec=_text(ordered), digest=sweep.digest)
    return "extended"


def _with_arms_in_place(sweep: Sweep, registered: Sweep) -> Sweep:
    """Return a sweep with new arms last: the place of an arm decides on its look in pictures."""
    names = dict.fromkeys([*registered.arms, *sweep.arms])
    return sweep.model_copy(update={"arms": {name: sweep.arms[name] for name in names}})


def _compared(row: Row[Any], sweep: Sweep, *, extend: bool, restoring: bool = False) -> Outcome:
    """Return the outcome for a registered sweep. Raises as `register` does."""
    if row.state == "stopped" and row.error and not restoring:
        raise InputError(f"{sweep.name}: {row.error}")
    # Not the stored digest: a newer program may know keys with defaults that it lacks.
    changed = differences(parsed(row.spec), sweep)
    if not changed:
        return "resumed"
    if not (extend and all(difference.appends for difference in changed)):
        advice = (
            "--extend takes more trials, more repeats, further arms and other targets only"
            if extend
            else "run with --extend to go on with it"
            if all(difference.appends for difference in changed)
            else "give the changed file another name"
        )
        head = f"sweep {sweep.name!r} is registered from another study file; {advice}:"
        if all(difference.is_of_data for difference in changed):
            head = (
                f"the data of sweep {sweep.name!r} are other ones than when it was registered; "
                "bring those back, or give the study another name:"
            )
        raise DigestError("\n  ".join([head, *map(str, changed)]))
    if not sweep.confirms and (clashes := name_clashes.problems(sweep, parsed(row.spec))):
        raise SpecError(f"{sweep.name}: {problem}" for problem in clashes)
    return "extended"


def _refuse_alike(connection: Connection, sweep: Sweep, *, restoring: bool = False) -> None:
    """Raise SpecError for names of a new sweep that MySQL takes for one, on every database.

    What is on record elsewhere may be restored, and confirmed, where the database tells them apart.
    """
    apart = connection.dialect.name not in ("mysql", "mariadb")
    if apart and (restoring or sweep.confirms):
        return
    folded = name_clashes.folded(sweep.name)
    others = [name for name in names(connection) if name_clashes.folded(name) == folded]
    clashes = [
        f"name: differs from that of the sweep {other!r} in case alone, {name_clashes.ADVICE}"
        for other in others
    ]
    if clashes := clashes + name_clashes.problems(sweep):
        raise SpecError(f"{sweep.name}: {problem}" for problem in clashes)


def stop(connection: Connection, name: str, why: str | None = None) -> None:
    """Set the state in which no slot is claimed; a failed sweep stays so."""
    if lock(connection, name).state == "open":
        _set(connection, name, state="stopped", error=why)


def remove(connection: Connection, name: str) -> None:
    """Delete all rows of a sweep, records too; nothing happens if there are none."""
    table = tables.sweep
    connection.execute(select(table.c.name).where(table.c.name == name).with_for_update())
    for child in (
        tables.enqueued,
        tables.dropped,
        tables.paused,
        tables.fact,
        tables.bracket,
        tables.drift,
        tables.provenance,
        tables.slot,
        tables.worker,
        tables.failure,
        tables.turn,
    ):
        connection.execute(delete(child).where(child.c.sweep == name))
    connection.execute(delete(table).where(table.c.name == name))


def finished(connection: Connection, name: str) -> bool:
    """Tell whether every slot has its record."""
    get(connection, name)
    columns = tables.slot.c
    left = select(columns.number).where(
        columns.sweep == name, columns.state.in_(["open", "claimed"])
    )
    return connection.execute(left.limit(1)).first() is None


def _insert(connection: Connection, sweep: Sweep) -> bool:
    if sweep.name in names(connection):
        return False
    row = insert(tables.sweep).values(
        name=sweep.name,
        digest=sweep.digest,
        spec=_text(sweep),
        state="open",
        created_at=now(),
        opened_at=now(),
        identity=uuid4().hex,
    )
    try:
        with connection.begin_nested():
            connection.execute(row)
    except IntegrityError:  # somebody else registered it in this moment
        return False
    return True


def _add_slots(connection: Connection, sweep: Sweep, existing: Iterable[tuple[Any, ...]]) -> None:
    there = set(existing)
    rows = [
        {
            "sweep": sweep.name,
            "arm": arm,
            "repeat": repeat,
            "number": number,
            "generation": sweep.generation(number),
            "state": "open",
        }
        for arm in sweep.arms
        for repeat, number in sweep.slots(arm)
        if (arm, repeat, number) not in there
    ]
    if rows:  # other targets add none
        connection.execute(insert(tables.slot), rows)


def _add_probes(connection: Connection, sweep: Sweep) -> None:
    columns = tables.bracket.c
    existing = connection.execute(
        select(columns.arm, columns.parameter).where(columns.sweep == sweep.name)
    )
    there = {tuple(row) for row in existing}
    rows = [
        {
            "sweep": sweep.name,
            "arm": arm,
            "parameter": parameter,
            "key": probe_key(sweep, arm, parameter),
            "state": "open",
            "reused": False,
        }
        for arm in sweep.arms
        for parameter in sweep.auto_parameters(arm)
        if (arm, parameter) not in there
    ]
    if rows:
        connection.execute(insert(tables.bracket), rows)


def _open(connection: Connection, name: str, **values: str) -> None:
    """Give out slots from now on; what failed before does not count any more."""
    _set(connection, name, state="open", error=None, opened_at=now(), **values)


def _set(connection: Connection, name: str, **values: Any) -> None:
    connection.execute(update(tables.sweep).where(tables.sweep.c.name == name).values(**values))


def _text(sweep: Sweep) -> str:
    # Not the canonical JSON, whose sorted keys forget the order of the arms.
    return json.dumps(sweep.model_dump(mode="json"))


def _unknown(connection: Connection, name: str) -> Any:
    registered = names(connection)
    end = choices(name, registered) if registered else f"got {name!r}; there are none yet"
    raise UnknownSweepError(f"no such sweep: {end}")
