"""What is pruned and how, in the configuration of facts; effective parameters not counted."""

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
    *(
        sa.column(f"{track}_{count}", sa.BigInteger())
        for track in ("pruned", "as_trained")
        for count in ("nonzero", "effective")
    ),
)


def upgrade() -> None:
    """Nothing: a configuration without the new part says what it always said."""


def downgrade() -> None:
    """Refuse where a fact cannot be told in the old form."""
    connection = op.get_bind()
    for track in ("pruned", "as_trained"):
        nonzero, effective = _fact.c[f"{track}_nonzero"], _fact.c[f"{track}_effective"]
        uncounted = sa.select(_fact.c.sweep).where(nonzero.is_not(None), effective.is_(None))
        if (sweep := connection.scalar(uncounted.limit(1))) is not None:
            text = f"schema 0008 cannot hold facts without effective parameters ({sweep})"
            raise SchemaError(text)
    for sweep, config in connection.execute(sa.select(_fact.c.sweep, _fact.c.config)):
        if rule := config["recipe"].get("prune"):
            raise SchemaError(f"schema 0008 cannot hold facts with prune {rule} ({sweep})")
