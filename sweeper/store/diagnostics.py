"""Diagnostics of a database for the doctor. Each may raise StorageError; none leaves anything."""

import statistics
import time
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection, column, delete, inspect, select, table, text

from sweeper.store import counts, leases, migrations, permissions, registered_sweeps, sqlite, tables
from sweeper.store.clock import now
from sweeper.store.counts import StorageCounts
from sweeper.store.database import Database
from sweeper.store.loopback import is_loopback
from sweeper.store.server_sessions import is_pooled

HEAD = migrations.HEAD
_PRODUCTS = {"postgresql": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB", "sqlite": "SQLite"}


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """Product and version of the database that answers."""

    product: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.product} {'.'.join(map(str, self.version))}"


@dataclass(frozen=True, slots=True)
class ServerLink:
    """Connection to the database."""

    here: bool
    """On this machine, as the URL says."""
    encrypted: bool
    password: bool


class StorageDiagnostics:
    """Questions about one storage."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.file = database.url.file
        """The SQLite file, else None."""
        self.driver = database.url.url.get_driver_name()

    @property
    def unwritable(self) -> str:
        """Path that keeps this account from writing a SQLite file; '' if none does."""
        return sqlite.unwritable(self.file) if self.file is not None else ""

    @property
    def is_there(self) -> bool:
        """Whether a SQLite file is there; a server is not asked. Raises StorageError."""
        return self.file is None or sqlite.is_there(self.file)

    def census(self) -> StorageCounts:
        """Return the counts of slots, trials and failures of all sweeps, as of one moment."""
        return self._database.read(counts.census)

    def redact(self, text: str) -> str:
        """Return a text without any password."""
        return self._database.url.redact(text)

    def server(self) -> DatabaseServer:
        """Return the product and the version of the database."""

        def ask(connection: Connection) -> DatabaseServer:
            dialect = connection.dialect
            if dialect.name == "sqlite":
                connection.execute(text("PRAGMA schema_version"))  # only now it reads the file
            name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
            version = dialect.server_version_info or ()
            return DatabaseServer(
                _PRODUCTS[name], tuple(part for part in version if isinstance(part, int))
            )

        return self._database.read(ask)

    def is_pooled(self) -> bool:
        """Tell whether a pooler lies between."""
        return self._database.read(is_pooled)

    def link(self) -> ServerLink:
        """Return the kind of connection to a server."""
        url = self._database.url.url
        hosts = [url.host or "", *(str(url.query.get(key, "")) for key in ("host", "unix_socket"))]
        here = all(not host or is_loopback(host) or host.startswith(("/", "@")) for host in hosts)

        def ask(connection: Connection) -> bool:
            if connection.dialect.name == "postgresql":
                query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                return bool(connection.scalar(text(query)))
            row = connection.execute(text("SHOW STATUS LIKE 'Ssl_cipher'")).one_or_none()
            return bool(row and row[1])

        return ServerLink(here, self._database.read(ask), bool(self._database.url.secrets))

    def try_creating(self) -> None:
        """Raise StorageError if tables cannot be created."""
        permissions.try_creating(self._database)

    def try_writing(self) -> None:
        """Raise StorageError unless all our tables can be read and written."""
        permissions.try_writing(self._database)

    def schema(self) -> str:
        """Return the version of our tables, '' if there are none."""
        return self._version(tables.VERSION_TABLE)

    def optuna_schema(self) -> str:
        """Return the version of Optuna's tables, '' if there are none."""
        return self._version("alembic_version")

    def read_seconds(self) -> float:
        """Return the median time of 20 questions that need no table."""

        def ask(connection: Connection) -> float:
            return statistics.median(_timed(connection) for _ in range(20))

        return self._database.read(ask)

    def write_seconds(self) -> float:
        """Return the time of one transaction that writes, of which nothing is left."""

        def write(connection: Connection) -> None:
            name = permissions.insert_sweep(connection)
            connection.execute(delete(tables.sweep).where(tables.sweep.c.name == name))

        begin = time.perf_counter()
        self._database.write(write)
        return time.perf_counter() - begin

    def ahead(self) -> float:
        """Return by how many seconds the database's clock is ahead of this machine's."""

        def ask(connection: Connection) -> float:
            connection.scalar(select(now()))  # the first may take longer
            before = time.time()
            there = float(connection.scalar(select(now())) or 0.0)
            return there - (before + time.time()) / 2

        return self._database.read(ask)

    def journal(self) -> str:
        """Return the journal mode of SQLite: `wal` as it should be."""
        return self._database.read(lambda c: str(c.scalar(text("PRAGMA journal_mode"))))

    def workers(self) -> tuple[int, int]:
        """Return the numbers of living workers, and of expired leases that nobody has ended."""
        worker = tables.worker.c
        here = leases.machine()

        def ask(connection: Connection) -> tuple[int, int]:
            late = (worker.lease_until <= now()).label("late")
            columns = (worker.machine, worker.pid, worker.process_start, late)
            rows = connection.execute(select(*columns).where(worker.lease_until > 0)).all()
            living = sum(
                not row.late
                and not (row.machine == here != "" and leases.is_dead(row.pid, row.process_start))
                for row in rows
            )
            return living, len(rows) - living

        return self._database.read(ask)

    def sweeps(self) -> Counter[str]:
        """Return the number of sweeps in each state: finished, open, stopped, failed."""

        def ask(connection: Connection) -> Counter[str]:
            states = connection.execute(select(tables.sweep.c.name, tables.sweep.c.state)).all()
            return Counter(
                "finished" if registered_sweeps.finished(connection, row.name) else str(row.state)
                for row in states
            )

        return self._database.read(ask)

    def _version(self, name: str) -> str:
        version = table(name, column("version_num"))

        def ask(connection: Connection) -> str:
            there = inspect(connection).has_table(name)
            return str(connection.scalar(select(version.c.version_num)) or "") if there else ""

        return self._database.read(ask)


def _timed(connection: Connection) -> float:
    begin = time.perf_counter()
    connection.scalar(text("SELECT 1"))
    return time.perf_counter() - begin
