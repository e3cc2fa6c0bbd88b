"""Several networks of one slot: facts are told apart by their number within it."""

import sqlalchemy as sa
from alembic import op

from sweeper.errors import SchemaError

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_KEY = ("sweep", "arm", "repeat", "slot")
_NAME = "pk_sweeper_fact"
_fact = sa.table(
    "sweeper_fact",
    sa.column("sweep", sa.String()),
    sa.column("network", sa.Integer()),
    sa.column("config", sa.JSON()),
)


def upgrade() -> None:
    connection = op.get_bind()
    inspector = sa.inspect(connection)
    # On MySQL what is done stays if the program is cut off before the version is written.
    there = {column["name"] for column in inspector.get_columns("sweeper_fact")}
    key = inspector.get_pk_constraint("sweeper_fact")["constrained_columns"]
    column = sa.Column("network", sa.Integer(), nullable=False, server_default="0")
    if connection.dialect.name == "sqlite":
        column.primary_key = True
        with op.batch_alter_table("sweeper_fact") as batch:  # written anew
            batch.add_column(column)
            batch.create_primary_key(_NAME, [*_KEY, "network"])
        return
    if "network" not in there:
        op.add_column("sweeper_fact", column)
    if "network" not in key:
        _change_key(connection, [*_KEY, "network"])


def downgrade() -> None:
    """Refuse, with nothing changed, where a slot has more networks than one, or a ladder."""
    connection = op.get_bind()
    further = sa.select(_fact.c.sweep).where(_fact.c.network > 0).limit(1)
    if (sweep := connection.scalar(further)) is not None:
        raise SchemaError(f"schema 0010 cannot hold several networks of a slot ({sweep})")
    for sweep, config in connection.execute(sa.select(_fact.c.sweep, _fact.c.config)):
        if "training_density" in config:
            raise SchemaError(f"schema 0010 cannot hold networks of a ladder ({sweep})")
    if connection.dialect.name == "sqlite":
        with op.batch_alter_table("sweeper_fact") as batch:
            batch.drop_column("network")
        return
    _change_key(connection, list(_KEY))
    op.drop_column("sweeper_fact", "network")


def _change_key(connection: sa.Connection, columns: list[str]) -> None:
    if connection.dialect.name in {"mysql", "mariadb"}:
        # In one statement: a foreign key stands on its first columns.
        key = ", ".join(map(connection.dialect.identifier_preparer.quote, columns))
        op.execute(f"ALTER TABLE sweeper_fact DROP PRIMARY KEY, ADD PRIMARY KEY ({key})")
        return
    name = sa.inspect(connection).get_pk_constraint("sweeper_fact")["name"]
    op.drop_constraint(str(name), "sweeper_fact", type_="primary")
    op.create_primary_key(_NAME, "sweeper_fact", columns)
