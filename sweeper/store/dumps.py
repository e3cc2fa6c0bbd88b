"""Dumps: a whole sweep as plain rows, and back; nothing is lost, nothing overwritten.

Leases and turns stay behind: they belong to workers of the old place. What a worker holds in the
moment of the copy is open in it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, Table, and_, bindparam, insert, select, update

from sweeper.config import Sweep
from sweeper.errors import InputError
from sweeper.store import registered_sweeps, tables
from sweeper.types import NetworkPlace, Place, SweepState

Row = Mapping[str, Any]
_COPIED: tuple[Table, ...] = (
    tables.provenance,
    tables.bracket,
    tables.fact,
    tables.failure,
    tables.drift,
    tables.paused,
    tables.dropped,
    tables.enqueued,
)
_SLOT = ("arm", "repeat", "slot")
_KEY = (*_SLOT, "network")


@dataclass(frozen=True, slots=True)
class Dump:
    """A sweep with all that is on record of it: rows of tables, in a fixed order."""

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
    paused: tuple[Row, ...] = ()
    dropped: tuple[Row, ...] = ()
    enqueued: tuple[Row, ...] = ()

    @property
    def sweep(self) -> Sweep:
        return registered_sweeps.parsed(self.spec)


def dump(connection: Connection, name: str) -> Dump:
    """Return all of a sweep, as of one moment. Raises UnknownSweepError."""
    row = registered_sweeps.get(connection, name)
    rows_of = {table.name: _rows(connection, table, name) for table in _COPIED}
    return Dump(
        spec=row.spec,
        state=row.state,
        error=row.error or "",
        created_at=row.created_at,
        provenance=rows_of[tables.provenance.name],
        brackets=tuple(
            {**row, "worker": None}
            for row in rows_of[tables.bracket.name]
            if row["state"] == "done"
        ),
        facts=rows_of[tables.fact.name],
        drifts=rows_of[tables.drift.name],
        paused=rows_of[tables.paused.name],
        dropped=rows_of[tables.dropped.name],
        enqueued=rows_of[tables.enqueued.name],
        # Their numbers are the database's own.
        failures=tuple(
            {key: value for key, value in row.items() if key != "id"}
            for row in rows_of[tables.failure.name]
        ),
    )


def load(connection: Connection, dumped: Dump) -> int:
    """Insert what is missing of a sweep, and return the number of records added. May be repeated.

    The sweep gives out no slots until `finish_restore`. Raises DigestError if another sweep has its
    name, InputError if a slot has another result here, or a worker is at it, if other parameters
    were enqueued for it, or if a strength has another range here and trials that were drawn from
    it.
    """
    sweep = dumped.sweep
    if registered_sweeps.register(connection, sweep, extend=True, restoring=True) == "new":
        at = tables.sweep.c.name == sweep.name
        connection.execute(update(tables.sweep).where(at).values(created_at=dumped.created_at))
    registered_sweeps.lock(connection, sweep.name)
    registered_sweeps.stop(connection, sweep.name, registered_sweeps.IN_PART)
    missing = _missing(connection, sweep.name, dumped.facts)
    _take_enqueued(connection, dumped, {_place_of(row) for row in missing})
    _add_missing(connection, tables.provenance, dumped.provenance, ("digest",))
    _add_missing(connection, tables.failure, dumped.failures, ("attempt", *_SLOT))
    _add_missing(connection, tables.drift, dumped.drifts, ("id",))
    _add_missing(connection, tables.paused, dumped.paused, ("arm",))
    _add_missing(connection, tables.dropped, dumped.dropped, ("id",))
    _take_ranges(connection, sweep.name, dumped.brackets)
    _mark_told(connection, sweep.name, [row for row in missing if not row["network"]])
    if missing:
        connection.execute(insert(tables.fact), [dict(row) for row in missing])
    return len(missing)


def _mark_told(connection: Connection, name: str, rows: Sequence[Row]) -> None:
    """Mark the slots of first networks as told. The caller holds the lock.

    Raises InputError where a worker holds one.
    """
    slot = tables.slot.c
    free = select(slot.arm, slot.repeat, slot.number).where(
        slot.sweep == name, slot.state == "open"
    )
    open_places = {tuple(place) for place in connection.execute(free)}
    for row in rows:
        if _place_of(row) not in open_places:
            raise InputError(f"{_place(name, row)}: a worker is at it: sweeper stop first")
    at = and_(
        slot.sweep == name,
        slot.arm == bindparam("its_arm"),
        slot.repeat == bindparam("its_repeat"),
        slot.number == bindparam("its_number"),
    )
    told = update(tables.slot).where(at).values(state="told", trial=bindparam("its_trial"))
    places = [
        {
            "its_arm": row["arm"],
            "its_repeat": row["repeat"],
            "its_number": row["slot"],
            "its_trial": row["trial"],
        }
        for row in rows
    ]
    if places:
        connection.execute(told, places)


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
    """Return the records that are not here. Raises InputError for one that is here and differs."""
    rows = {_key(row): row for row in _rows(connection, tables.fact, name)}
    taken = {(row["study"], row["trial"]) for row in rows.values()}
    missing = []
    for row in wanted:
        here = rows.get(_key(row))
        if here is None and (row["study"], row["trial"]) in taken:
            raise InputError(
                f"{_place(name, row)}: its trial {row['trial']} is another slot's here"
            )
        if here is None:
            missing.append(row)
        elif dict(here) != dict(row):
            raise InputError(f"{_place(name, row)}: has another result here already")
    return missing


def _take_ranges(connection: Connection, name: str, wanted: Sequence[Row]) -> None:
    """Have the ranges of a dump. Raises InputError where one differs that is in use here."""
    bracket = tables.bracket.c
    ranges = {
        (row["arm"], row["parameter"]): row for row in _rows(connection, tables.bracket, name)
    }
    used = connection.scalar(select(tables.fact.c.slot).where(tables.fact.c.sweep == name).limit(1))
    for row in wanted:
        place = row["arm"], row["parameter"]
        here = ranges[place]
        done = here["state"] == "done"
        if done and (here["low"], here["high"]) == (row["low"], row["high"]):
            continue
        if done and used is not None:
            raise InputError(
                f"{name}: {row['parameter']} of {row['arm']} has another range here already, and "
                f"trials in it: {_ends(here)} instead of {_ends(row)}; sweeper delete {name} first"
            )
        at = (bracket.sweep == name, bracket.arm == place[0], bracket.parameter == place[1])
        connection.execute(update(tables.bracket).where(*at).values(**row))


def _take_enqueued(connection: Connection, dumped: Dump, missing: Collection[Place]) -> None:
    """Have the parameters that a dump gives to slots; `missing` are those whose records it brings.

    Raises InputError where a slot has others here, or was tried without.
    """
    name = dumped.sweep.name
    here = {_place_of(row): row for row in _rows(connection, tables.enqueued, name)}
    wanted = {_place_of(row): row for row in dumped.enqueued}
    recorded = {_place_of(row) for row in dumped.facts}
    query = select(tables.slot.c.arm, tables.slot.c.repeat, tables.slot.c.number).where(
        tables.slot.c.sweep == name, tables.slot.c.state != "open"
    )
    begun = {tuple(row) for row in connection.execute(query)} - recorded
    for place in sorted(wanted.keys() | (here.keys() & missing)):
        old, new = here.get(place), wanted.get(place)
        if (old and new and old["params"] == new["params"]) or (not old and place not in begun):
            continue
        raise InputError(f"{_named(name, place)}: other parameters are enqueued for it here")
    _add_missing(connection, tables.enqueued, dumped.enqueued, _SLOT)


def _ends(row: Row) -> str:
    return f"{row['low']:.4g} to {row['high']:.4g}"


def _add_missing(
    connection: Connection, table: Table, rows: Sequence[Row], key: tuple[str, ...]
) -> None:
    if not rows:
        return
    columns = [table.c[name] for name in key]
    query = select(*columns).where(table.c.sweep == rows[0]["sweep"])
    keys = {tuple(row) for row in connection.execute(query)}
    for row in rows:
        if tuple(row[name] for name in key) not in keys:
            connection.execute(insert(table).values(**row))


def _key(row: Row) -> NetworkPlace:
    return cast(NetworkPlace, tuple(row[name] for name in _KEY))


def _place_of(row: Row) -> Place:
    return row["arm"], row["repeat"], row["slot"]


def _place(name: str, row: Row) -> str:
    network = f", network {row['network']}" if row["network"] else ""
    return _named(name, _place_of(row)) + network


def _named(name: str, place: Place) -> str:
    arm, repeat, number = place
    return f"{name}: slot {number} of {arm}, repeat {repeat}"
