"""All that is on record of a sweep as plain rows, and back: nothing is lost, nothing overwritten.

Leases and turns stay behind: they belong to workers of the old place. What a worker holds in the
moment of the copy is open in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, Table, and_, insert, select, update

from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.store import registered_sweeps, tables
from sweeper.types import SweepState

Row = Mapping[str, Any]
_COPIED: tuple[Table, ...] = (
    tables.provenance,
    tables.bracket,
    tables.fact,
    tables.failure,
    tables.drift,
)
_KEY = ("arm", "repeat", "slot")


@dataclass(frozen=True, slots=True)
class Dump:
    """A sweep with its ranges, facts and lost attempts: rows of the tables, in a fixed order."""

    spec: str
    """The sweep as JSON, in the order of its file."""
    state: SweepState
    error: str
    created_at: float
    provenance: tuple[Row, ...]
    brackets: tuple[Row, ...]
    facts: tuple[Row, ...]
    failures: tuple[Row, ...]
    drifts: tuple[Row, ...]

    @property
    def sweep(self) -> Sweep:
        return registered_sweeps.parsed(self.spec)


def dump(connection: Connection, name: str) -> Dump:
    """Return all of a sweep, as of one moment. Raises UnknownSweepError."""
    row = registered_sweeps.get(connection, name)
    found = {table.name: _rows(connection, table, name) for table in _COPIED}
    return Dump(
        spec=row.spec,
        state=row.state,
        error=row.error or "",
        created_at=row.created_at,
        provenance=found[tables.provenance.name],
        brackets=tuple(
            {**one, "worker": None} for one in found[tables.bracket.name] if one["state"] == "done"
        ),
        facts=found[tables.fact.name],
        drifts=found[tables.drift.name],
        # Their numbers are the database's own.
        failures=tuple(
            {key: value for key, value in one.items() if key != "id"}
            for one in found[tables.failure.name]
        ),
    )


def load(connection: Connection, dumped: Dump) -> int:
    """Insert what is missing of a sweep, and return how many facts that were. May be repeated.

    The sweep gives out no slots until `finish_restore`. Raises DigestError if another sweep has its
    name, InputError if a slot has another result here, or a worker is at it, or if a strength has
    another range here and trials that were drawn from it.
    """
    sweep = dumped.sweep
    if registered_sweeps.register(connection, sweep, extend=True, restoring=True) == "new":
        at = tables.sweep.c.name == sweep.name
        connection.execute(update(tables.sweep).where(at).values(created_at=dumped.created_at))
    registered_sweeps.lock(connection, sweep.name)
    registered_sweeps.stop(connection, sweep.name, registered_sweeps.IN_PART)
    missing = _missing(connection, sweep.name, dumped.facts)
    _add_missing(connection, tables.provenance, dumped.provenance, ("digest",))
    _add_missing(connection, tables.failure, dumped.failures, ("attempt", *_KEY))
    _add_missing(connection, tables.drift, dumped.drifts, ("id",))
    _take_ranges(connection, sweep.name, dumped.brackets)
    slot = tables.slot.c
    for one in missing:
        at = and_(
            slot.sweep == sweep.name,
            slot.arm == one["arm"],
            slot.repeat == one["repeat"],
            slot.number == one["slot"],
        )
        done = update(tables.slot).where(at, slot.state == "open")
        changed = connection.execute(done.values(state="told", trial=one["trial"]))
        if changed.rowcount != 1:
            raise InputError(f"{_place(sweep.name, one)}: a worker is at it: sweeper stop first")
    if missing:
        connection.execute(insert(tables.fact), [dict(one) for one in missing])
    return len(missing)


def finish_restore(connection: Connection, dumped: Dump) -> None:
    """Put a loaded sweep into the state that it had."""
    at = tables.sweep.c.name == dumped.sweep.name
    values = {"state": dumped.state, "error": dumped.error or None}
    connection.execute(update(tables.sweep).where(at).values(**values))


def _rows(connection: Connection, table: Table, name: str) -> tuple[Row, ...]:
    order = [column for column in table.primary_key.columns if column.name != "sweep"]
    query = select(table).where(table.c.sweep == name).order_by(*order)
    return tuple(dict(row) for row in connection.execute(query).mappings())


def _missing(connection: Connection, name: str, wanted: Sequence[Row]) -> list[Row]:
    """Return the facts that are not here. Raises InputError for one that is here and differs."""
    known = {_key(row): row for row in _rows(connection, tables.fact, name)}
    taken = {(row["study"], row["trial"]) for row in known.values()}
    missing = []
    for one in wanted:
        here = known.get(_key(one))
        if here is None and (one["study"], one["trial"]) in taken:
            raise InputError(
                f"{_place(name, one)}: its trial {one['trial']} is another slot's here"
            )
        if here is None:
            missing.append(one)
        elif dict(here) != dict(one):
            raise InputError(f"{_place(name, one)}: has another result here already")
    return missing


def _take_ranges(connection: Connection, name: str, wanted: Sequence[Row]) -> None:
    """Have the ranges of a dump. Raises InputError where one differs that is in use here."""
    bracket = tables.bracket.c
    known = {(row["arm"], row["parameter"]): row for row in _rows(connection, tables.bracket, name)}
    used = connection.scalar(select(tables.fact.c.slot).where(tables.fact.c.sweep == name).limit(1))
    for one in wanted:
        place = one["arm"], one["parameter"]
        here = known[place]
        done = here["state"] == "done"
        if done and (here["low"], here["high"]) == (one["low"], one["high"]):
            continue
        if done and used is not None:
            raise InputError(
                f"{name}: {one['parameter']} of {one['arm']} has another range here already, and "
                f"trials in it: {_ends(here)} instead of {_ends(one)}; sweeper delete {name} first"
            )
        at = (bracket.sweep == name, bracket.arm == place[0], bracket.parameter == place[1])
        connection.execute(update(tables.bracket).where(*at).values(**one))


def _ends(row: Row) -> str:
    return f"{row['low']:.4g} to {row['high']:.4g}"


def _add_missing(
    connection: Connection, table: Table, rows: Sequence[Row], key: tuple[str, ...]
) -> None:
    if not rows:
        return
    columns = [table.c[name] for name in key]
    query = select(*columns).where(table.c.sweep == rows[0]["sweep"])
    known = {tuple(row) for row in connection.execute(query)}
    for one in rows:
        if tuple(one[name] for name in key) not in known:
            connection.execute(insert(table).values(**one))


def _key(row: Row) -> tuple[str, int, int]:
    return cast(tuple[str, int, int], tuple(row[name] for name in _KEY))


def _place(name: str, row: Row) -> str:
    return f"{name}: slot {row['slot']} of {row['arm']}, repeat {row['repeat']}"
