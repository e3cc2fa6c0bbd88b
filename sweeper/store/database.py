"""Transactions: whole, tried again when the database asks for it, with errors of one line."""

import itertools
import json
import random
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from sweeper.errors import SchemaError, StorageError
from sweeper.store.url import StorageUrl

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds for which a transaction is tried again before its error is raised."""
BUSY_TIMEOUT = 10.0
"""Seconds for which SQLite itself waits for a lock."""
CONNECT_TIMEOUT = 10
"""Seconds for which a server may take to answer."""

# PostgreSQL: connection, serialization and deadlock, shutdown, too many clients, lock timeout.
_TRANSIENT_STATES = ("08", "40", "57P", "53300", "55P03")
# MySQL: too many connections, shutdown, lock wait, deadlock, unreachable, gone away, lost.
_TRANSIENT_CODES = frozenset({1040, 1053, 1205, 1213, 2003, 2006, 2013})
# PostgreSQL refuses a connection without a state, in words only.
_TRANSIENT_TEXTS = ("the database system is", "too many clients", "remaining connection slots")
_NO_TABLE_STATES = ("42P01", "42703", "3F000")
_NO_TABLE_CODES = frozenset({1054, 1146})
_NO_TABLE_TEXTS = ("no such table", "no such column")


class Database:
    """An engine with a small pool, and the two kinds of transaction."""

    def __init__(self, url: StorageUrl) -> None:
        self.url = url
        self._engine = _engine(url)
        self._reached = False

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one consistent snapshot, without any lock for writing."""
        self._refuse_a_missing_file()
        return self._patiently(lambda: self._transaction(work, writes=False))

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction: all of it is applied, or nothing.

        After a transient error it is run again, and what failed may have been the answer to the
        commit alone: `work` must find out whether it has been applied already.
        """
        self._refuse_a_missing_file()
        return self._patiently(lambda: self._transaction(work, writes=True))

    def create(self, work: Callable[[Connection], T]) -> T:
        """Write as `write` does, in a database that may not be there yet."""
        if self.url.file is not None:
            self._create_file(self.url.file.parent)
        return self._patiently(lambda: self._transaction(work, writes=True))

    def close(self) -> None:
        self._engine.dispose()

    def _create_file(self, folder: Any) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"storage {self.url.shown}: {error}") from error

        def use_wal() -> None:
            # Readers and the writer work at the same time; the file remembers it. Through the
            # driver, for the mode cannot be changed within a transaction.
            with self._engine.connect() as connection:
                driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
                driver.execute("PRAGMA journal_mode=WAL")

        self._patiently(use_wal)

    def _refuse_a_missing_file(self) -> None:
        file = self.url.file
        if file is not None and not file.exists():
            # SQLite would create an empty file under a mistyped name.
            raise SchemaError(f"storage {self.url.shown} does not exist; run: sweeper db upgrade")

    def _transaction(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        with self._engine.connect() as connection:
            if writes:
                connection.execution_options(sweeper_writes=True)
            elif self._engine.dialect.name != "sqlite":
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                return work(connection)

    def _patiently(self, attempt: Callable[[], T]) -> T:
        deadline = time.monotonic() + PATIENCE
        for number in itertools.count():
            try:
                result = attempt()
                self._reached = True
                return result
            except PoolTimeout as error:
                raise StorageError(self._line(str(error))) from error
            except sqlite3.Error as error:  # from the driver itself
                if not _is_transient(error) or time.monotonic() > deadline:
                    raise StorageError(self._line(str(error))) from error
            except DBAPIError as error:
                if not self._may_pass(error) or time.monotonic() > deadline:
                    raise self._translated(error) from error
            except (StatementError, ValueError) as error:
                # A value that cannot be written, such as NaN in JSON.
                text = str(getattr(error, "orig", error))
                raise StorageError(self._line(text)) from error
            longest = min(2.0, 0.02 * 2.0 ** min(number, 10))
            # Jitter: those who met in a deadlock should not meet again.
            time.sleep(random.uniform(0.5, 1.0) * longest)  # noqa: S311
        raise AssertionError("unreachable: the loop has no end")

    def _may_pass(self, error: DBAPIError) -> bool:
        """A server that once answered will again; a wrong address should fail at once."""
        original = error.orig
        lost = error.connection_invalidated or _is_connection_failure(original)
        return (lost and self._reached) or _is_transient(original)

    def _translated(self, error: DBAPIError) -> StorageError:
        original = error.orig
        if _has_no_table(original):
            return SchemaError(
                f"storage {self.url.shown} holds no tables of sweeper, or older ones; "
                "run: sweeper db upgrade"
            )
        return StorageError(self._line(str(original)))

    def _line(self, text: str) -> str:
        line = " ".join(text.split())
        for secret in self.url.secrets:
            line = line.replace(secret, "***")
        return f"storage {self.url.shown}: {line[:400]}"


def _engine(url: StorageUrl) -> Engine:
    encode = partial(json.dumps, allow_nan=False, separators=(",", ":"))
    if url.file is not None:
        engine = create_engine(
            url.url,
            json_serializer=encode,
            pool_size=2,
            connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False},
        )
        event.listen(engine, "connect", _sqlite_connected)
        event.listen(engine, "begin", _sqlite_begins)
        return engine
    given = {} if "connect_timeout" in url.url.query else {"connect_timeout": CONNECT_TIMEOUT}
    return create_engine(
        url.url,
        json_serializer=encode,
        # Locks are taken first, and what is read after must be what the last holder left.
        isolation_level="READ COMMITTED",
        pool_size=2,
        max_overflow=2,
        pool_pre_ping=True,
        pool_recycle=1800,
        connect_args=given,
    )


def _sqlite_connected(connection: sqlite3.Connection, record: Any) -> None:
    # The driver would begin a transaction by itself, as a reader, and fail when it comes to write.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")


def _sqlite_begins(connection: Connection) -> None:
    writes = connection.get_execution_options().get("sweeper_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _is_transient(error: BaseException | None) -> bool:
    if isinstance(error, sqlite3.Error):
        # The low byte is SQLITE_BUSY or SQLITE_LOCKED, whatever the extended code.
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in (5, 6)
    return (
        str(getattr(error, "sqlstate", None) or "").startswith(_TRANSIENT_STATES)
        or _code(error) in _TRANSIENT_CODES - {2003}
        or any(text in str(error) for text in _TRANSIENT_TEXTS)
    )


def _is_connection_failure(error: BaseException | None) -> bool:
    return "connection failed" in str(error) or _code(error) == 2003


def _has_no_table(error: BaseException | None) -> bool:
    return (
        getattr(error, "sqlstate", None) in _NO_TABLE_STATES
        or _code(error) in _NO_TABLE_CODES
        or (isinstance(error, sqlite3.Error) and str(error).startswith(_NO_TABLE_TEXTS))
    )


def _code(error: BaseException | None) -> object:
    return error.args[0] if error is not None and error.args else None
