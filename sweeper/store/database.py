"""Database transactions: whole, retried on transient errors, with errors of one line."""

import json
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, DBAPIError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from sweeper.errors import InputError, SchemaError, StorageError
from sweeper.retry import (
    COMMAND,
    RetryPolicy,
    driver_error,
    is_of_a_driver,
    is_read_only,
    is_transient,
    is_unreachable,
    mysql_code,
)
from sweeper.store import sqlite, url_options
from sweeper.store.server_sessions import HOLD, LOCK_TIMEOUT, PLUGIN
from sweeper.store.storage_url import StorageUrl

T = TypeVar("T")

BUSY_TIMEOUT = 10.0
"""Seconds for which SQLite itself waits for a lock."""
CONNECT_TIMEOUT = 10
"""Seconds for which a server may take to answer."""
RECOVERY = 10.0
"""Seconds after an outage in which others are given time to renew their leases."""

_NO_TABLE_STATES = ("42P01", "42703", "3F000")
_NO_TABLE_CODES = frozenset({1054, 1146})
_NO_TABLE_TEXTS = ("no such table", "no such column")


class _Contact:
    """Earlier successes of a storage in this process: it will work again, if it does not now."""

    def __init__(self) -> None:
        self.reached = self.written = False


_contacts: defaultdict[str, _Contact] = defaultdict(_Contact)
"""By URL: whoever opens a storage again, in another part of the program, shares it."""


class Database:
    """An engine with a small pool, and the two kinds of transaction.

    `reached`: another process of this machine has just read and written there.
    """

    def __init__(
        self, url: StorageUrl, patience: RetryPolicy | None = None, *, reached: bool = False
    ) -> None:
        self.url = url
        self._patience = patience or RetryPolicy()
        self._engine = _engine(url)
        self._contact = _contacts[url.full]
        if reached:
            self._contact.reached = self._contact.written = True
        self._away = False
        self._back_at = float("-inf")

    @property
    def is_recovering(self) -> bool:
        """Whether it was away until a moment ago."""
        return time.monotonic() - self._back_at < RECOVERY

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
        return self._written(work)

    def create(self, work: Callable[[Connection], T]) -> T:
        """Write as `write` does, in a database that may not be there yet."""
        if self.url.file is not None:
            sqlite.refuse_unwritable(self.url.file)
            self._create_file(self.url.file.parent)
        return self._written(work)

    def close(self) -> None:
        self._engine.dispose()

    def _written(self, work: Callable[[Connection], T]) -> T:
        result = self._patiently(lambda: self._transaction(work, writes=True))
        self._contact.written = True
        return result

    def _create_file(self, folder: Any) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"storage {self.url.safe}: {error}") from error

        def use_wal() -> None:
            # Readers and the writer work at the same time; the file remembers it. Through the
            # driver, for the mode cannot be changed within a transaction.
            with self._engine.connect() as connection:
                driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
                driver.execute("PRAGMA journal_mode=WAL")

        self._patiently(use_wal)

    def _refuse_a_missing_file(self) -> None:
        file = self.url.file
        if file is not None and not sqlite.is_there(file):
            # SQLite would create an empty file under a mistyped name.
            raise SchemaError(f"storage {self.url.safe} does not exist; run: sweeper db upgrade")

    def _transaction(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        with self._connected() as connection:
            connection.execution_options(sweeper_writes=writes)
            if not writes and self._engine.dialect.name == "postgresql":
                # Kept by the driver until it begins the transaction: nothing is sent.
                connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                return work(connection)

    def _connected(self) -> Connection:
        """Return a new connection. Raises StorageError for options that the driver cannot take."""
        try:
            return self._engine.connect()
        except (OSError, TypeError, ValueError, AttributeError) as error:  # not the database's
            options = ", ".join(self.url.url.query)
            text = f"cannot connect with the options of its URL ({options}): {error}"
            raise StorageError(self._line(text)) from error

    def _patiently(self, attempt: Callable[[], T]) -> T:
        try:
            result = self._patience.retry(attempt, self._may_pass)
        except PoolTimeout as error:
            raise StorageError(self._line(str(error))) from error
        except self._engine.dialect.loaded_dbapi.Error as error:  # from the driver itself
            raise StorageError(self._line(str(error))) from error
        except DBAPIError as error:
            raise self._translated(error) from error
        except (StatementError, ValueError) as error:
            # A value that cannot be written, such as NaN in JSON.
            text = str(getattr(error, "orig", error))
            raise StorageError(self._line(text)) from error
        self._contact.reached = True
        if self._away:
            self._away, self._back_at = False, time.monotonic()
        return result

    def _may_pass(self, error: Exception, seconds: float) -> bool:
        """A server that once answered will again; a wrong address should fail at once."""
        if not isinstance(error, DBAPIError) and not is_of_a_driver(error):
            return False
        if self.url.file is None and is_read_only(error):
            return self._contact.written  # it fails over to another; else it is the wrong one
        away = is_unreachable(error)
        self._away = self._away or away
        if self._contact.reached:
            return away or is_transient(error)
        return seconds < COMMAND and is_transient(error)

    def _translated(self, error: DBAPIError) -> StorageError:
        original = driver_error(error)
        if _has_no_table(original):
            return SchemaError(
                f"storage {self.url.safe} holds no tables of sweeper, or older ones; "
                "run: sweeper db upgrade"
            )
        file = self.url.file
        if file is not None and (why := sqlite.explained(file, str(original))):
            return StorageError(why)
        return StorageError(self._line(str(original)))

    def _line(self, text: str) -> str:
        line = self.url.redact(" ".join(text.split()))
        return f"storage {self.url.safe}: {line[:400]}"


def engine_options(url: StorageUrl) -> dict[str, Any]:
    """Return the options of every engine on this storage, Optuna's too.

    Small pools, for there are many workers; connections that are tried before they are used; and
    sessions that do not hold locks for ever when their process is stopped or its network is cut.
    Raises InputError for options of the URL that there are not.
    """
    if url.file is not None:
        return {
            "pool_size": 2,
            "creator": partial(sqlite.connect, url.file, BUSY_TIMEOUT),
            "pool_events": [(sqlite.refuse_changed, "checkout")],
        }
    backend = url.url.get_backend_name()
    usual = _POSTGRESQL if backend == "postgresql" else _MYSQL
    defaults = {key: value for key, value in usual.items() if key not in url.url.query}
    return {
        "plugins": [PLUGIN],
        # Locks are taken first, and what is read after must be what the last holder left: so is
        # Optuna's number of a new trial, which MySQL would count as of the first look otherwise.
        "isolation_level": "READ COMMITTED",
        "pool_size": 2,
        "max_overflow": 2,
        "pool_pre_ping": True,
        "pool_recycle": 1800,
        "connect_args": defaults | url_options.typed(url.url),
        "pool_events": [] if backend == "postgresql" else [(_cut_nothing, "connect")],
    }


_POSTGRESQL = {
    "connect_timeout": CONNECT_TIMEOUT,
    "application_name": "sweeper",
    # A database made without a locale has no encoding, and would give bytes for texts.
    "client_encoding": "utf8",
    # A peer that is gone without a word is noticed in half a minute, at both ends: see sessions.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    # A pooler may give each transaction another session, which does not know what is prepared.
    "prepare_threshold": None,
}
_MYSQL = {
    "connect_timeout": CONNECT_TIMEOUT,
    "read_timeout": 3 * LOCK_TIMEOUT,
    "write_timeout": 3 * LOCK_TIMEOUT,
    # It knows no timeout for open transactions alone.
    "init_command": f"SET SESSION wait_timeout={2 * HOLD}, innodb_lock_wait_timeout={LOCK_TIMEOUT}",
}


def _cut_nothing(connection: Any, record: Any) -> None:
    """Have MySQL refuse what is too long, whatever its own settings and those of the URL say.

    Else it cuts a text, says so in a warning that no driver shows, and half a JSON is on record.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SET SESSION sql_mode = CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'STRICT_ALL_TABLES')"
        )


def _engine(url: StorageUrl) -> Engine:
    settings = engine_options(url)
    encode = partial(json.dumps, allow_nan=False, separators=(",", ":"))
    if url.file is not None:
        engine = create_engine(url.url, json_serializer=encode, **settings)
        event.listen(engine, "connect", _sqlite_connected)
        event.listen(engine, "begin", _sqlite_begins)
        return engine
    try:
        engine = create_engine(url.url, json_serializer=encode, **settings)
    except ArgumentError as error:  # hosts and ports are SQLAlchemy's own to read
        raise InputError(f"storage: options of the URL: {error}") from None
    if engine.dialect.name in {"mysql", "mariadb"}:
        event.listen(engine, "begin", _mysql_begins)
    return engine


def _mysql_begins(connection: Connection) -> None:
    """Give a reader one snapshot.

    Of this transaction alone, and as a statement of it: SQLAlchemy would set the session's level,
    and set it back when the connection is closed. What goes wrong there comes bare from the driver,
    and the connection's place in the pool is lost.
    """
    if not connection.get_execution_options().get("sweeper_writes", False):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def _sqlite_connected(connection: sqlite3.Connection, record: Any) -> None:
    # The driver would begin a transaction by itself, as a reader, and fail when it comes to write.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys=ON")


def _sqlite_begins(connection: Connection) -> None:
    writes = connection.get_execution_options().get("sweeper_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _has_no_table(error: BaseException) -> bool:
    return (
        getattr(error, "sqlstate", None) in _NO_TABLE_STATES
        or mysql_code(error) in _NO_TABLE_CODES
        or (isinstance(error, sqlite3.Error) and str(error).startswith(_NO_TABLE_TEXTS))
    )
