"""What is thought of a database's answers: when they are in order, and what to do if not."""

import re
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from sweeper.operations.doctor.findings import Finding
from sweeper.store.diagnostics import HEAD, DatabaseServer, ServerLink, StorageDiagnostics

OLDEST = {"PostgreSQL": (12,), "MySQL": (8,), "MariaDB": (10, 5), "SQLite": (3, 35)}
SKEW = 5.0
"""Seconds by which two clocks may differ: more confuses who reads logs."""


def server(found: DatabaseServer) -> Finding:
    """Return whether the database is new enough."""
    oldest = OLDEST[found.product]
    if found.version >= oldest:
        return Finding("version", "ok", str(found))
    return Finding(
        "version", "wrong", str(found), f"use {DatabaseServer(found.product, oldest)} or newer"
    )


def encryption(link: ServerLink) -> Finding:
    """Return whether others may read what travels, a password above all."""
    if link.encrypted:
        return Finding("encryption", "ok", "TLS")
    if link.here:
        return Finding("encryption", "ok", "none, within this machine")
    if link.password:
        todo = "add ?sslmode=require (PostgreSQL) or ?ssl_ca=FILE (MySQL) to the URL"
        return Finding("encryption", "warning", "none, and a password travels", todo)
    return Finding("encryption", "ok", "none, and no password")


def journal(mode: str) -> Finding:
    """Return whether readers and the writer of SQLite work at the same time."""
    if mode == "wal":
        return Finding("journal", "ok", "WAL")
    todo = f"sqlite3 FILE 'PRAGMA journal_mode=WAL'; with {mode} readers wait for the writer"
    return Finding("journal", "warning", mode, todo)


def schema(found: str) -> Finding:
    """Return whether our tables are this program's."""
    if not found:
        return Finding("tables", "warning", "none yet", "sweeper run or sweeper db upgrade")
    if found == HEAD:
        return Finding("tables", "ok", f"version {found}")
    todo = "install a newer sweeper" if found > HEAD else "sweeper db upgrade"
    return Finding("tables", "wrong", f"version {found}, this program needs {HEAD}", todo)


def optuna(found: str, needed: str) -> Finding:
    """Return whether Optuna's tables are the installed one's."""
    if not found:
        return Finding("optuna", "ok", "no tables yet: the first run makes them")
    if not needed or found == needed:
        return Finding("optuna", "ok", f"tables {found}")
    todo = "optuna storage upgrade, or install the Optuna that made them"
    return Finding("optuna", "wrong", f"tables {found}, the one here needs {needed}", todo)


def rights(health: StorageDiagnostics) -> Finding:
    """Return that all is allowed that is needed. Raises StorageError."""
    if health.unwritable:
        return Finding("rights", "warning", "reading only", "")
    if not health.schema():
        health.try_creating()
        return Finding("rights", "ok", "tables can be created")
    health.try_writing()
    return Finding("rights", "ok", "select, insert, update and delete")


def speed(name: str, seconds: float, slow: float) -> Finding:
    """Return whether the database answers fast enough."""
    result = f"takes {1000 * seconds:,.1f} ms"
    if seconds <= slow:
        return Finding(name, "ok", result)
    todo = "bring database and workers closer to each other, or look at its load"
    return Finding(name, "warning", f"{result}, more than {1000 * slow:g}", todo)


def clock(ahead: float) -> Finding:
    """Return whether the database's clock is this machine's, as nearly as people care."""
    if abs(ahead) <= SKEW:
        return Finding("clock", "ok", "as this machine's")
    word = "ahead of" if ahead > 0 else "behind"
    result = f"the database's is {abs(ahead):,.0f} s {word} this machine's"
    todo = "set both by NTP: leases are not harmed, but times in logs differ"
    return Finding("clock", "warning", result, todo)


def workers(living: int, stale: int) -> Finding:
    """Return who works, and who left without a word."""
    if stale:
        result = f"{living} at work, {stale} gone whose leases nobody has ended"
        return Finding("workers", "warning", result, "sweeper run frees their slots")
    return Finding("workers", "ok", f"{living} at work")


def sweeps(count: Counter[str]) -> Finding:
    """Return how the sweeps stand."""
    result = ", ".join(f"{number} {state}" for state, number in sorted(count.items())) or "none"
    if count["failed"]:
        return Finding("sweeps", "warning", result, "sweeper status NAME says why they failed")
    return Finding("sweeps", "ok", result)


def optuna_head() -> str:
    """Return the newest version of Optuna's tables that the installed one knows, '' if unknown.

    Read from its migrations: importing it takes half a second, and is left to search.
    """
    found = find_spec("optuna")
    if found is None or not found.origin:
        return ""
    folder = Path(found.origin).parent / "storages" / "_rdb" / "alembic" / "versions"
    sources = [file.read_text() for file in folder.glob("*.py")]
    known, older = (
        {name for source in sources for name in re.findall(rf'^{key} = "(.+)"', source, re.M)}
        for key in ("revision", "down_revision")
    )
    heads = known - older
    return heads.pop() if len(heads) == 1 else ""
