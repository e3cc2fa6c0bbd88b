"""Alembic's environment: our tables only, in a database that Optuna lives in too."""

from alembic import context

from sweeper.store.tables import PREFIX, VERSION_TABLE, metadata


def _is_ours(name: str | None, kind: str, parents: object) -> bool:
    """Optuna's tables are not ours to change; without this, autogenerate would drop them."""
    return kind != "table" or (name or "").startswith(PREFIX)


# `sweeper.store.migrations` opens the connection and holds the lock and the transaction.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_name=_is_ours,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
