"""Leases: one per worker, in the database's time.

Whose lease is over may be ended by anybody, and then owns nothing any more. Until somebody has done
so, under the lock of the sweep, it still owns what it holds and may renew: after an outage in which
nobody could, workers go on with what they have trained.
"""

import hashlib
import os
import socket
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, insert, select, update

from sweeper.errors import InputError, LeaseLost, UnknownSweepError
from sweeper.store import failures, registered_sweeps, tables
from sweeper.store.clock import now

MOST_ON_SQLITE = 8
"""Workers that may live on a SQLite file: it lets one write at a time, and others wait for it."""

_worker = tables.worker.c
_slot = tables.slot.c
_bracket = tables.bracket.c


def join(connection: Connection, name: str, worker: str, device: str, seconds: float) -> None:
    """Begin a lease. Raises UnknownSweepError, and InputError for one too many on SQLite."""
    registered_sweeps.lock(connection, name)
    if connection.scalar(select(_worker.id).where(_worker.id == worker)) is not None:
        return  # this is the second attempt of a transaction that was committed
    if connection.dialect.name == "sqlite":
        columns = (_worker.machine, _worker.pid, _worker.process_start)
        rows = connection.execute(select(*columns).where(_worker.lease_until > now())).all()
        if sum(not _is_dead_here(row) for row in rows) >= MOST_ON_SQLITE:
            raise InputError(
                f"workers: SQLite is for at most {MOST_ON_SQLITE}, and so many are at work: "
                "use PostgreSQL for more"
            )
    connection.execute(
        insert(tables.worker).values(
            id=worker,
            sweep=name,
            host=socket.gethostname()[:255],
            machine=machine(),
            pid=os.getpid(),
            process_start=process_start(os.getpid()) or "",
            device=device,
            joined_at=now(),
            lease_until=now() + seconds,
            progress=0.0,
        )
    )


def renew(connection: Connection, worker: str, seconds: float, progress: float) -> None:
    """Extend a lease that nobody has ended. Raises LeaseLost: one that was never lives again."""
    renewed = connection.execute(
        update(tables.worker)
        .where(_worker.id == worker, _worker.lease_until > 0)
        .values(lease_until=now() + seconds, progress=progress)
    )
    if renewed.rowcount == 0:
        raise _lost(worker)


def leave(connection: Connection, worker: str) -> None:
    """End a lease and give back what it held; nothing happens if it is over and reaped."""
    name = connection.scalar(select(_worker.sweep).where(_worker.id == worker))
    if name is not None:
        registered_sweeps.lock(connection, name)
        _end(connection, _worker.id == worker)
        failures.free(connection, name, _slot.worker == worker, "given back")
        free_probes(connection, name, _bracket.worker == worker)


def lock(connection: Connection, worker: str) -> str:
    """Lock the sweep of a worker whose lease was not ended, return its name. Raises LeaseLost."""
    name = connection.scalar(select(_worker.sweep).where(_worker.id == worker))
    if name is None:
        raise _lost(worker)
    try:
        registered_sweeps.lock(connection, name)
    except UnknownSweepError:  # deleted between these two statements
        raise _lost(worker) from None
    # Only now: somebody may have ended the lease while this waited for the lock.
    alive = select(_worker.id).where(_worker.id == worker, _worker.lease_until > 0)
    if connection.scalar(alive) is None:
        raise _lost(worker)
    return str(name)


def reap(connection: Connection, name: str) -> int:
    """End the leases of workers that are dead or past them, free their slots; return how many.

    So with the probes that they have claimed, which are not counted.
    """
    registered_sweeps.lock(connection, name)
    candidates = connection.execute(
        select(
            _worker.id,
            _worker.machine,
            _worker.pid,
            _worker.process_start,
            (_worker.lease_until <= now()).label("late"),
        ).where(_worker.sweep == name, _worker.lease_until > 0)
    ).all()
    dead = [row.id for row in candidates if _is_dead_here(row)]
    late = [row.id for row in candidates if row.late and row.id not in dead]
    _end(connection, _worker.id.in_(dead))
    # One that renews in this moment keeps its lease.
    _end(connection, and_(_worker.id.in_(late), _worker.lease_until <= now()))
    free_probes(connection, name, _bracket.worker.in_(expired(name)))
    killed = failures.free(connection, name, _slot.worker.in_(dead), "killed")
    return killed + failures.free(connection, name, _slot.worker.in_(expired(name)), "lease over")


def reapable(connection: Connection, name: str) -> bool:
    """Tell, without a lock, whether `reap` may find something."""
    registered_sweeps.get(connection, name)
    rows = connection.execute(
        select(
            _worker.machine,
            _worker.pid,
            _worker.process_start,
            (_worker.lease_until <= now()).label("late"),
        ).where(_worker.sweep == name, _worker.lease_until > 0)
    )
    return any(row.late or _is_dead_here(row) for row in rows)


def expired(name: str) -> Select[Any]:
    """Return the query for the workers of a sweep whose lease was ended."""
    return select(_worker.id).where(_worker.sweep == name, _worker.lease_until <= 0)


def free_probes(connection: Connection, name: str, whose: ColumnElement[bool]) -> None:
    """Open claimed probes again."""
    connection.execute(
        update(tables.bracket)
        .where(_bracket.sweep == name, _bracket.state == "claimed", whose)
        .values(state="open", worker=None)
    )


@cache
def machine() -> str:
    """Return the scope of this process's id, from host, boot and pid namespace; or ''."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return ""  # elsewhere than on Linux a dead worker is known by its lease alone
    text = f"{socket.gethostname()}\n{boot}\n{namespace}"
    return hashlib.sha256(text.encode()).hexdigest()


def is_dead(pid: int, start: str) -> bool:
    """Tell whether the process of this machine that began at `start` is known to be over."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it lives, as another user's
    started = process_start(pid)
    if started is None:
        # A zombie of our own, or one that /proc hides: then the lease decides.
        return Path(f"/proc/{pid}/stat").exists()
    return started != start


def _is_dead_here(row: Any) -> bool:
    at_home = bool(row.machine) and row.machine == machine()
    return at_home and is_dead(row.pid, row.process_start)


def process_start(pid: int) -> str | None:
    """Return the start of a process of this machine: a later one may have its id.

    In ticks since the boot, which no change of the clock moves. psutil's `create_time` adds the
    time of the boot: after a step of the clock a living worker would be taken for a dead one.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    state, start = fields[0], fields[19]  # fields 3 and 22 of proc(5)
    return None if state in (b"Z", b"X") else start.decode()  # a killed child that none waited for


def _end(connection: Connection, which: ColumnElement[bool]) -> None:
    connection.execute(update(tables.worker).where(which).values(lease_until=0.0))


def _lost(worker: str) -> LeaseLost:
    return LeaseLost(f"the lease of worker {worker} is over; its slots belong to others now")
