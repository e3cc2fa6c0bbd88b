"""Failed attempts by class; the same error again and again ends the sweep.

killed       the worker's process died
lease over   nobody heard of the worker for a lease: killed elsewhere, frozen, cut off
given back   the worker was asked to stop, or its launcher ended
memory       a pack was halved, or a single network did not fit
error        training raised
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    func,
    insert,
    literal,
    select,
    update,
)

from sweeper.store import tables
from sweeper.store.clock import now
from sweeper.types import FailureKind, LastError, Slot

ATTEMPTS = 3
"""Times that an arm, or one slot, may fail with the same error before the sweep is given up."""
KINDS: tuple[FailureKind, ...] = get_args(FailureKind)

_failure = tables.failure.c
_slot = tables.slot.c
_LENGTH = 500
_NOTED = ("sweep", "arm", "repeat", "slot", "worker", "attempt", "kind", "error", "at")


def free(
    connection: Connection,
    name: str,
    whose: ColumnElement[bool],
    kind: FailureKind,
    error: str = "",
) -> int:
    """Open claimed slots again and note why; return how many. The caller holds the lock."""
    claimed = and_(_slot.sweep == name, _slot.state == "claimed", whose)
    noted = select(
        _slot.sweep,
        _slot.arm,
        _slot.repeat,
        _slot.number,
        _slot.worker,
        _slot.ticket,
        literal(kind),
        literal(error[:_LENGTH], _failure.error.type),
        now(),
    ).where(claimed)
    connection.execute(insert(tables.failure).from_select(_NOTED, noted))
    opened = update(tables.slot).values(state="open", worker=None, ticket=None, trial=None)
    return connection.execute(opened.where(claimed)).rowcount


def note(
    connection: Connection,
    name: str,
    worker: str,
    attempt: str,
    arms: Sequence[str],
    kind: Literal["memory", "error"],
    error: str,
) -> None:
    """Note what costs no slot: a pack that was halved, a probe that failed. Once per attempt."""
    if connection.scalar(select(_failure.id).where(_failure.attempt == attempt).limit(1)):
        return
    rows = [
        {
            "sweep": name,
            "arm": arm,
            "worker": worker,
            "attempt": attempt,
            "kind": kind,
            "error": error[:_LENGTH],
            "at": now(),
        }
        for arm in arms
    ]
    for row in rows:
        connection.execute(insert(tables.failure).values(**row))


def note_out_of_memory(
    connection: Connection, worker: str, attempt: str, slots: Sequence[Slot], message: str
) -> None:
    """Note that the pack of slots of one sweep did not fit into memory. Once per attempt."""
    arms = list(dict.fromkeys(slot.arm for slot in slots))
    for name in {slot.sweep for slot in slots}:
        note(connection, name, worker, attempt, arms, "memory", message)


def give_up(connection: Connection, name: str, arms: Sequence[str]) -> bool:
    """End the sweep if one of its arms or slots has failed too often; tell whether it was ended.

    Errors count since the sweep was opened last; those of an arm, since its last result.
    """
    sweep = tables.sweep.c
    for arm in dict.fromkeys(arms):
        error = _again_and_again(connection, name, arm)
        if error is not None:
            text = f"arm {arm}: {error} ({ATTEMPTS} times)"
            gives_up = update(tables.sweep).where(sweep.name == name, sweep.state == "open")
            connection.execute(gives_up.values(state="failed", error=text))
            return True
    return False


def counts(connection: Connection, name: str) -> dict[str, dict[FailureKind, int]]:
    """Return arm -> class -> how many attempts; classes that never came up are left out."""
    rows = connection.execute(
        select(_failure.arm, _failure.kind, func.count())
        .where(_failure.sweep == name)
        .group_by(_failure.arm, _failure.kind)
    )
    by_arm: dict[str, dict[FailureKind, int]] = {}
    for arm, kind, number in rows:
        by_arm.setdefault(arm, {})[kind] = number
    return {arm: {kind: of[kind] for kind in KINDS if kind in of} for arm, of in by_arm.items()}


def attempts(connection: Connection, slots: Iterable[Slot]) -> dict[Slot, int]:
    """Return how often slots were claimed, this time included: more each time that one was freed.

    Of slots that are claimed: who is given such a number has it alone.
    """
    numbers: dict[Slot, int] = {}
    for slot in slots:
        freed = select(func.count()).where(
            _failure.sweep == slot.sweep,
            _failure.arm == slot.arm,
            _failure.repeat == slot.repeat,
            _failure.slot == slot.number,
        )
        numbers[slot] = 1 + (connection.scalar(freed) or 0)
    return numbers


def last_errors(connection: Connection, name: str) -> Mapping[str, LastError]:
    """Return the latest error of each arm that had one."""
    latest = (
        select(func.max(_failure.id))
        .where(_failure.sweep == name, _failure.kind.in_(["error", "memory"]))
        .group_by(_failure.arm)
    )
    shown = (_failure.arm, _failure.error, _failure.at, _failure.repeat, _failure.slot)
    rows = connection.execute(select(*shown).where(_failure.id.in_(latest)))
    return {row.arm: LastError(row.error, row.at, row.repeat, row.slot) for row in rows}


def _again_and_again(connection: Connection, name: str, arm: str) -> str | None:
    """Return the error that an arm without a result since, or one slot of it, fails with."""
    sweep, fact = tables.sweep.c, tables.fact.c
    opened = select(sweep.opened_at).where(sweep.name == name).scalar_subquery()
    result = (
        select(func.coalesce(func.max(fact.recorded_at), 0.0))
        .where(fact.sweep == name, fact.arm == arm)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(
            _failure.repeat,
            _failure.slot,
            _failure.attempt,
            _failure.error,
            (_failure.at > result).label("without_result"),
        )
        .where(
            _failure.sweep == name,
            _failure.arm == arm,
            _failure.kind == "error",
            _failure.at > opened,
        )
        .order_by(_failure.id)
    ).all()
    attempts: dict[object, set[str]] = {}
    for row in rows:
        # The kind alone: what follows may differ each time, as an address does.
        kind = row.error.partition(":")[0]
        places = [(row.repeat, row.slot)] if row.slot is not None else []
        for place in [*places, *(["arm"] if row.without_result else [])]:
            tried = attempts.setdefault((place, kind), set())
            tried.add(row.attempt)
            if len(tried) >= ATTEMPTS:
                return str(row.error)
    return None
