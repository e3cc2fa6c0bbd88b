"""Permissions of a storage's account: really tried, in transactions that are rolled back."""

from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    delete,
    false,
    insert,
    inspect,
    select,
    update,
)

from sweeper.store import tables
from sweeper.store.database import Database


class _Undo(Exception):
    """No error: it rolls a transaction back."""


def try_creating(database: Database) -> None:
    """Create a table, which does not stay. Raises StorageError."""
    name = f"{tables.PREFIX}doctor_{uuid4().hex[:8]}"
    made = Table(name, MetaData(), Column("id", Integer, primary_key=True))

    def attempt(connection: Connection) -> None:
        made.create(connection)
        made.drop(connection)  # MySQL does not roll tables back

    _undone(database, attempt)


def try_writing(database: Database) -> None:
    """Read and write all our tables that are there; nothing is kept. Raises StorageError."""

    def attempt(connection: Connection) -> None:
        look = inspect(connection)
        there = set(look.get_table_names())
        for each in tables.metadata.sorted_tables:
            if each.name in there:
                keys = list(each.primary_key)
                # All that an older version has too, for MySQL asks for each without a default.
                old = {column["name"] for column in look.get_columns(each.name)}
                columns = [column for column in each.c if column.name in old]
                nothing = select(*columns).where(false())
                connection.execute(nothing)
                connection.execute(insert(each).from_select(columns, nothing))
                connection.execute(update(each).values({keys[0]: keys[0]}).where(false()))
                connection.execute(delete(each).where(false()))
        name = insert_sweep(connection)
        if tables.failure.name in there:  # its numbers are a sequence, with rights of its own
            texts = dict.fromkeys(("arm", "worker", "attempt", "kind", "error"), "doctor")
            connection.execute(insert(tables.failure).values(sweep=name, at=0, **texts))

    _undone(database, attempt)


def insert_sweep(connection: Connection) -> str:
    """Insert a sweep that no file can have, by its name, and return that."""
    name = f"?doctor {uuid4().hex}"
    connection.execute(
        insert(tables.sweep).values(name=name, digest="", spec="{}", state="stopped", created_at=0)
    )
    return name


def _undone(database: Database, attempt: Callable[[Connection], None]) -> None:
    def work(connection: Connection) -> None:
        attempt(connection)
        raise _Undo

    with suppress(_Undo):
        database.write(work)
