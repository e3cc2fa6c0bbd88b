"""Trials of other machines, trained again on this one: what a mixture of machines changes."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    # On MySQL what is done stays if the program is cut off before the version is written.
    if sa.inspect(op.get_bind()).has_table("sweeper_drift"):
        return
    op.create_table(
        "sweeper_drift",
        sa.Column("sweep", sa.String(64), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("provenance", sa.String(64), nullable=False),
        sa.Column("redone", sa.JSON(), nullable=False),
        sa.Column("recorded_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("sweep", "id", name=op.f("pk_sweeper_drift")),
        sa.ForeignKeyConstraint(
            ["sweep"], ["sweeper_sweep.name"], name=op.f("fk_sweeper_drift_sweep")
        ),
        sa.ForeignKeyConstraint(
            ["sweep", "provenance"],
            ["sweeper_provenance.sweep", "sweeper_provenance.digest"],
            name=op.f("fk_sweeper_drift_sweep_provenance"),
        ),
        **_MYSQL,
    )


def downgrade() -> None:
    op.drop_table("sweeper_drift")
