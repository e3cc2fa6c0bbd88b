"""Diagnosis of a database: its answers turned into findings, by thresholds, with advice."""

import re
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

from sweeper.operations.doctor.findings import Finding
from sweeper.store.diagnostics import HEAD, DatabaseServer, ServerLink, StorageDiagnostics

OLDEST = {"PostgreSQL": (12,), "MySQL": (8,), "MariaDB": (10, 5), "SQLite": (3, 35)}
SKEW = 5.0
"""Seconds by which two clocks may differ: more confuses the reader of logs."""


def server(database: DatabaseServer) -> Finding:
    """Return the finding on the version of the database."""
    oldest = OLDEST[database.product]
    if database.version >= oldest:
        return Finding("version", "ok", str(database))
    advice = f"use {DatabaseServer(database.product, oldest)} or newer"
    return Finding("version", "wrong", str(database), advice)


def encryption(link: ServerLink) -> Finding:
    """Return the finding on the encryption of the connection, a password above all."""
    if link.encrypted:
        return Finding("encryption", "ok", "TLS")
    if link.here:
        return Finding("encryption", "ok", "none, within this machine")
    if link.password:
        todo = "add ?sslmode=require (PostgreSQL) or ?ssl_ca=FILE (MySQL) to the URL"
        return Finding("encryption", "warning", "none, and a password travels", todo)
    return Finding("encryption", "ok", "none, and no password")


def journal(mode: str) -> Finding:
    """Return the finding on SQLite's journal: do readers and the writer work at the same time?"""
    if mode == "wal":
        return Finding("journal", "ok", "WAL")
    todo = f"sqlite3 FILE 'PRAGMA journal_mode=WAL'; with {mode} readers wait for the writer"
    return Finding("journal", "warning", mode, todo)


def schema(version: str) -> Finding:
    """Return the finding on our tables: are they this program's?"""
    if not version:
        return Finding("tables", "warning", "none yet", "sweeper run or sweeper db upgrade")
    if version == HEAD:
        return Finding("tables", "ok", f"version {version}")
    todo = "install a newer sweeper" if version > HEAD else "sweeper db upgrade"
    return Finding("tables", "wrong", f"version {version}, this program needs {HEAD}", todo)


def optuna(version: str, needed: str) -> Finding:
    """Return the finding on Optuna's tables: are they the installed one's?"""
    if not version:
        return Finding("optuna", "ok", "no tables yet: the first run makes them")
    if not needed or version == needed:
        return Finding("optuna", "ok", f"tables {version}")
    todo = "optuna storage upgrade, or install the Optuna that made them"
    return Finding("optuna", "wrong", f"tables {version}, the one here needs {needed}", todo)


def rights(health: StorageDiagnostics) -> Finding:
    """Return the finding on the rights of this account. Raises StorageError if one is missing."""
    if health.unwritable:
        return Finding("rights", "warning", "reading only", "")
    if not health.schema():
        health.try_creating()
        return Finding("rights", "ok", "tables can be created")
    health.try_writing()
    return Finding("rights", "ok", "select, insert, update and delete")


def speed(name: str, seconds: float, slow: float) -> Finding:
    """Return the finding on the time of an answer."""
    result = f"takes {1000 * seconds:,.1f} ms"
    if seconds <= slow:
        return Finding(name, "ok", result)
    todo = "bring database and workers closer to each other, or look at its load"
    return Finding(name, "warning", f"{result}, more than {1000 * slow:g}", todo)


def clock(ahead: float) -> Finding:
    """Return the finding on the database's clock: is it this machine's, nearly?"""
    if abs(ahead) <= SKEW:
        return Finding("clock", "ok", "as this machine's")
    word = "ahead of" if ahead > 0 else "behind"
    result = f"the database's is {abs(ahead):,.0f} s {word} this machine's"
    todo = "set both by NTP: leases are not harmed, but times in logs differ"
    return Finding("clock", "warning", result, todo)


def workers(living: int, stale: int) -> Finding:
    """Return the finding on workers: those at work, and those that left without a word."""
    if stale:
        result = f"{living} at work, {stale} gone whose leases nobody has ended"
        return Finding("workers", "warning", result, "sweeper run frees their slots")
    return Finding("workers", "ok", f"{living} at work")


def sweeps(count: Counter[str]) -> Finding:
    """Return the finding on the states of all sweeps."""
    result = ", ".join(f"{number} {state}" for state, number in sorted(count.items())) or "none"
    if count["failed"]:
        return Finding("sweeps", "warning", result, "sweeper status NAME says why they failed")
    return Finding("sweeps", "ok", result)


def optuna_head() -> str:
    """Return the newest version of Optuna's tables that the installed one knows, '' if unknown.

    Read from its migrations: importing it takes half a second, and is left to search.
    """
    spec = find_spec("optuna")
    if spec is None or not spec.origin:
        return ""
    folder = Path(spec.origin).parent / "storages" / "_rdb" / "alembic" / "versions"
    sources = [file.read_text() for file in folder.glob("*.py")]
    revisions, older = (
        {name for source in sources for name in re.findall(rf'^{key} = "(.+)"', source, re.M)}
        for key in ("revision", "down_revision")
    )
    heads = revisions - older
    return heads.pop() if len(heads) == 1 else ""
