"""Migrations: the schema's version by Alembic, from db/, in a version table beside Optuna's."""

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, inspect, select, table, text

from sweeper.errors import SchemaError
from sweeper.store.database import Database
from sweeper.store.sqlite import is_there
from sweeper.store.tables import VERSION_TABLE

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0012"
"""The newest version in db/versions; versions are numbers of four digits that only grow."""

_OPTUNAS = {"studies": "study_name", "trials": "trial_id", "version_info": "library_version"}
"""Names of Optuna's tables that others may have, too, and a column by which it knows them."""
_ALEMBIC = "alembic_version"
_LOCK = 7_237_955  # any number: the advisory lock of whoever migrates
_version = table(VERSION_TABLE, column("version_num"))


def upgrade(database: Database) -> None:
    """Bring the schema to HEAD. Several processes may do so at once: one works, others wait."""
    from alembic import command

    def migrate(connection: Connection) -> None:
        _alone(connection)
        settings = config()
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")

    current = _current(database)
    _refuse_newer(database, current)
    if not current:
        _refuse_others(database)
    if current != HEAD:
        try:
            database.create(migrate)
        finally:
            database.close()  # MySQL's lock is the connection's, which the pool would keep


def check(database: Database) -> None:
    """Raise SchemaError unless the schema is at HEAD."""
    current = _current(database)
    _refuse_newer(database, current)
    if current != HEAD:
        problem = f"schema {current}, this program needs {HEAD}" if current else "no schema yet"
        raise SchemaError(f"storage {database.url.safe} has {problem}; run: sweeper db upgrade")


def _refuse_newer(database: Database, current: str) -> None:
    if current > HEAD:
        raise SchemaError(
            f"storage {database.url.safe} has schema {current}, newer than this program's {HEAD}; "
            "install a newer sweeper"
        )


def _refuse_others(database: Database) -> None:
    """Raise SchemaError if tables of somebody's stand where Optuna will look for its own."""
    if database.url.file is not None and not database.url.file.exists():
        return

    def look(connection: Connection) -> list[str]:
        inspector = inspect(connection)
        # In any schema of the search path: so Optuna looks for them, too.
        there = {name for name in (*_OPTUNAS, _ALEMBIC) if inspector.has_table(name)}
        foreign = [
            name
            for name, key in _OPTUNAS.items()
            if name in there
            and key not in {column["name"] for column in inspector.get_columns(name)}
        ]
        # Of the same name and form for everybody who uses Alembic; Optuna makes it last.
        alembic = {_ALEMBIC} & there if "version_info" not in there else set()
        return sorted({*foreign, *alembic})

    if others := database.read(look):
        raise SchemaError(
            f"storage {database.url.safe} has tables that are not Optuna's under names that it "
            f"needs: {', '.join(others)}; give sweeper a database or a schema of its own"
        )


def _current(database: Database) -> str:
    """Return the schema's version, empty if there is none."""
    if database.url.file is not None and not is_there(database.url.file):
        return ""

    def look(connection: Connection) -> str:
        if not inspect(connection).has_table(VERSION_TABLE):
            return ""
        return str(connection.scalar(select(_version.c.version_num)) or "")

    return database.read(look)


def folder() -> Path:
    """Return the folder of migrations: within an installed package, or beside a checkout's."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_db"
    return installed if installed.is_dir() else package.parent / "db"


def config() -> "Config":
    """Return Alembic's settings; its caller puts a connection into `attributes`."""
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(folder()).replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    return settings


def _alone(connection: Connection) -> None:
    """Wait until nobody else migrates. SQLite's transaction is alone already."""
    match connection.dialect.name:
        case "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        case "mysql" | "mariadb":
            # Held until it is released or the connection is closed, for DDL commits.
            # Its name is the server's, so it names the database.
            lock = text("SELECT GET_LOCK(CONCAT('sweeper.', MD5(DATABASE())), 60)")
            if connection.scalar(lock) != 1:
                raise SchemaError("another process has been migrating for 60 s; try again")
