"""Storage checks: reach, rights, versions, speed, clock, and the workers at it."""

import os
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sweeper.errors import SweeperError
from sweeper.operations.doctor import diagnosis
from sweeper.operations.doctor.findings import GIB, Check, Finding, findings, refusal
from sweeper.retry import RetryPolicy
from sweeper.settings import PASSWORD_FILE_VARIABLE, STORAGE_VARIABLE
from sweeper.store import Store
from sweeper.store.diagnostics import HEAD, StorageDiagnostics
from sweeper.store.filesystem import filesystem, is_between_machines
from sweeper.store.sqlite import is_there

SLOW_READ, SLOW_WRITE = 0.02, 0.1
"""Seconds for an answer from which on workers wait more than they should."""
LEAST_SPACE = GIB
"""Bytes under which a disk may fill up."""
GRANT = "GRANT SELECT, INSERT, UPDATE, DELETE on the tables, CREATE on the schema"
COPY = "reading works here; to run sweeps, copy the file to a folder of your own"
SERVER = (
    f"is it running, do address, user and password fit? {STORAGE_VARIABLE}, "
    f"{PASSWORD_FILE_VARIABLE}"
)


def examine_storage(url: str) -> Iterator[Finding]:
    """Yield the findings about a storage, in which nothing is changed."""
    try:
        store = Store(url, patience=RetryPolicy(0.0))
    except Exception as error:
        is_ours = isinstance(error, SweeperError)  # whose texts hold no password
        message = str(error) if is_ours else type(error).__name__
        yield Finding("storage", "wrong", message, f"mend {STORAGE_VARIABLE} or --storage")
        return
    health = store.health()
    try:
        yield from _examine(store, health)
    except Exception as error:
        yield Finding("storage", "wrong", health.redact(f"{type(error).__name__}: {error}"))
    finally:
        store.close()


def _examine(store: Store, health: StorageDiagnostics) -> Iterator[Finding]:
    def redact(line: str) -> str:
        return health.redact(line).replace(f"storage {store.safe_url}: ", "")

    file = health.file
    yield Finding("storage", "ok", f"{store.safe_url}{_driver(health.driver)}")
    if file is not None:
        local: list[Check] = [
            ("file system", "use a folder of this machine's own disk", lambda: _place(file)),
            ("free space", "", lambda: _space(file)),
            ("folder", "use another folder", lambda: _folder(health, file)),
        ]
        results = list(findings(local, redact))
        yield from results
        if results[0].state == "wrong":
            return  # opening it may harm it
        if not is_there(file):
            yield Finding("reach", "warning", "there is no such file yet", "sweeper run makes it")
            return
    todo = SERVER if file is None else "is it a database of sweeper, and yours to read?"
    results = list(findings([("reach", todo, lambda: _server(health))], redact))
    yield from results
    if results[0].state == "ok":
        yield from findings(_checks(health), redact)


def _checks(health: StorageDiagnostics) -> Iterator[Check]:
    def fits() -> bool:
        return health.schema() == HEAD  # what is in older tables is not known

    read_only = bool(health.unwritable)  # then neither journal nor rights are tried
    if health.file is None:
        yield "encryption", "", lambda: diagnosis.encryption(health.link())
    elif not read_only:
        yield "journal", "", lambda: diagnosis.journal(health.journal())
    yield "tables", "", lambda: diagnosis.schema(health.schema())
    yield "optuna", "", lambda: diagnosis.optuna(health.optuna_schema(), diagnosis.optuna_head())
    yield "rights", GRANT, lambda: diagnosis.rights(health)
    yield "reading", "", lambda: diagnosis.speed("reading", health.read_seconds(), SLOW_READ)
    yield "writing", GRANT, lambda: _writing(health) if fits() and not read_only else ()
    yield "clock", "", lambda: diagnosis.clock(health.ahead())
    yield "workers", "", lambda: diagnosis.workers(*health.workers()) if fits() else ()
    yield "sweeps", "", lambda: diagnosis.sweeps(health.sweeps()) if fits() else ()


def _writing(health: StorageDiagnostics) -> Finding:
    return diagnosis.speed("writing", health.write_seconds(), SLOW_WRITE)


def _driver(name: str) -> str:
    package = {"psycopg": "psycopg", "pymysql": "PyMySQL"}.get(name, "")
    try:
        return f", driver {package} {version(package)}" if package else ""
    except PackageNotFoundError:
        return f", driver {package}"


def _place(file: Path) -> Finding:
    kind = filesystem(file)
    if is_between_machines(kind):
        result = f"{kind}: SQLite's locks do not work between machines"
        return Finding("file system", "wrong", result, "use a disk of this machine, or PostgreSQL")
    return Finding("file system", "ok", kind or "unknown")


def _space(file: Path) -> Finding:
    nearest = next(path for path in file.parents if os.path.exists(path))  # noqa: PTH110
    free = shutil.disk_usage(nearest).free
    result = f"{free / GIB:,.1f} GiB"
    if free < LEAST_SPACE:
        return Finding("free space", "warning", result, f"make room in {nearest}")
    return Finding("free space", "ok", result)


def _folder(health: StorageDiagnostics, file: Path) -> Finding:
    if is_there(file) and (path := health.unwritable):
        return Finding("folder", "warning", f"{path} cannot be written", COPY)
    if reason := refusal(file.parent):
        # SQLite makes two more files beside its own.
        return Finding("folder", "wrong", f"cannot be written: {reason}", "use another folder")
    return Finding("folder", "ok", "can be written")


def _server(health: StorageDiagnostics) -> Iterator[Finding]:
    database = health.server()
    pooled = ", through a pooler" if health.is_pooled() else ""
    yield Finding("reach", "ok", f"it answers{pooled}")
    yield diagnosis.server(database)
