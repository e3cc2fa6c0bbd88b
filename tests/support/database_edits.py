"""Changes to a database by hand, beside the store."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, text

from support.fakes import (
    optuna_study,
)
from sweeper.store import Store, migrations
from sweeper.store.database import Database
from sweeper.store.storage_url import parse_storage_url


def execute(url: str, statement: str, **values: object) -> None:
    """Change rows by hand."""
    direct = Database(parse_storage_url(url))
    direct.write(lambda connection: connection.execute(text(statement), values))
    direct.close()


def expire(url: str, worker: str) -> None:
    """Let a lease end, as if its time had passed."""
    execute(url, "UPDATE sweeper_worker SET lease_until = 1 WHERE id = :id", id=worker)


def alembic(database: Database, action: Callable[[Any], object]) -> None:
    """Run one of Alembic's commands through our own environment."""

    def run(connection: Connection) -> None:
        config = migrations.config()
        config.attributes["connection"] = connection
        action(config)

    database.create(run)


def marks(store: Store, name: str) -> dict[str, Any]:
    """Return the system attributes of a study."""
    study = optuna_study(store.url, name)
    return study._storage.get_study_system_attrs(study._study_id)


def as_of_before(store: Store, *, empty: str = "") -> None:
    """Leave a storage as versions without marks did; `empty` is a study they died in."""
    with create_engine(store.url, poolclass=NullPool).begin() as connection:
        connection.execute(text("UPDATE sweeper_sweep SET identity = NULL"))
        key = "study_system_attributes.key"
        mark = f"DELETE FROM study_system_attributes WHERE {key} = 'sweeper:study'"
        connection.execute(text(mark))
        of = "SELECT study_id FROM studies WHERE study_name = :name"
        all_ = f"DELETE FROM study_system_attributes WHERE study_id IN ({of})"
        connection.execute(text(all_), {"name": empty})
