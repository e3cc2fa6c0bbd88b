"""Facts of scripts: learning curves, further numbers, and what a script was given."""

import sqlalchemy as sa
from alembic import op

from sweeper.errors import SchemaError

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_NEW = ("learning", "numbers")
_fact = sa.table(
    "sweeper_fact",
    sa.column("sweep", sa.String()),
    sa.column("config", sa.JSON()),
    sa.column("numbers", sa.JSON(none_as_null=True)),
)


def upgrade() -> None:
    # On MySQL a column stays if the program is cut off before the version is written.
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("sweeper_fact")}
    for name in _NEW:
        if name not in there:
            column = sa.Column(name, sa.JSON(none_as_null=True), nullable=True)
            op.add_column("sweeper_fact", column)


def downgrade() -> None:
    """Refuse, with nothing changed, where a fact cannot be told in the old form.

    Learning curves go: all else of a fact stays what it is without them.
    """
    connection = op.get_bind()
    for sweep, config in connection.execute(sa.select(_fact.c.sweep, _fact.c.config)):
        if config["recipe"].get("script"):
            raise SchemaError(f"schema 0009 cannot hold facts of scripts ({sweep})")
    for name in _NEW:
        op.drop_column("sweeper_fact", name)
