"""What is pruned and how, in the configuration of facts."""

import sqlalchemy as sa
from alembic import op

from sweeper.errors import SchemaError

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_fact = sa.table(
    "sweeper_fact",
    sa.column("sweep", sa.String()),
    sa.column("config", sa.JSON()),
)


def upgrade() -> None:
    """Nothing: a configuration without the new part says what it always said."""


def downgrade() -> None:
    """Refuse where a fact cannot be told in the old form."""
    query = sa.select(_fact.c.sweep, _fact.c.config).execution_options(yield_per=500)
    for sweep, config in op.get_bind().execute(query):
        if rule := config["recipe"].get("prune"):
            raise SchemaError(f"schema 0008 cannot hold facts with prune {rule} ({sweep})")
