"""A hand on a running sweep: paused arms, dropped trials, enqueued configurations."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from sweeper.errors import SchemaError

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}
_PAUSED, _DROPPED, _ENQUEUED = "sweeper_paused", "sweeper_dropped", "sweeper_enqueued"


def upgrade() -> None:
    # On MySQL what is done stays if the program is cut off before the version is written.
    inspector = sa.inspect(op.get_bind())
    if not inspector.has_table(_PAUSED):
        op.create_table(
            _PAUSED,
            sa.Column("sweep", sa.String(64), nullable=False),
            sa.Column("arm", sa.String(64), nullable=False),
            sa.Column("at", sa.Double(), nullable=False),
            sa.PrimaryKeyConstraint("sweep", "arm", name=op.f("pk_sweeper_paused")),
            sa.ForeignKeyConstraint(
                ["sweep"], ["sweeper_sweep.name"], name=op.f("fk_sweeper_paused_sweep")
            ),
            **_MYSQL,
        )
    if not inspector.has_table(_DROPPED):
        op.create_table(
            _DROPPED,
            sa.Column("sweep", sa.String(64), nullable=False),
            sa.Column("id", sa.String(32), nullable=False),
            sa.Column("arm", sa.String(64), nullable=False),
            sa.Column("repeat", sa.Integer(), nullable=False),
            sa.Column("slot", sa.Integer(), nullable=False),
            sa.Column("network", sa.Integer(), nullable=True),
            sa.Column("why", sa.String(500), nullable=False),
            sa.Column("at", sa.Double(), nullable=False),
            sa.Column("undone", sa.Boolean(), nullable=False),
            sa.PrimaryKeyConstraint("sweep", "id", name=op.f("pk_sweeper_dropped")),
            _slot_key(_DROPPED),
            **_MYSQL,
        )
    if not inspector.has_table(_ENQUEUED):
        op.create_table(
            _ENQUEUED,
            sa.Column("sweep", sa.String(64), nullable=False),
            sa.Column("arm", sa.String(64), nullable=False),
            sa.Column("repeat", sa.Integer(), nullable=False, autoincrement=False),
            sa.Column("slot", sa.Integer(), nullable=False, autoincrement=False),
            sa.Column("params", sa.JSON(), nullable=False),
            sa.Column("source", sa.String(255), nullable=False),
            sa.Column("at", sa.Double(), nullable=False),
            sa.PrimaryKeyConstraint(
                "sweep", "arm", "repeat", "slot", name=op.f("pk_sweeper_enqueued")
            ),
            _slot_key(_ENQUEUED),
            **_MYSQL,
        )


def downgrade() -> None:
    """Refuse, with nothing changed, where a trial is dropped or a configuration enqueued.

    An arm that is paused goes on.
    """
    connection = op.get_bind()
    for name, thing in ((_DROPPED, "dropped trials"), (_ENQUEUED, "enqueued configurations")):
        table = sa.table(name, sa.column("sweep", sa.String()))
        sweep = connection.scalar(sa.select(table.c.sweep).limit(1))
        if sweep is not None:
            raise SchemaError(f"schema 0011 cannot hold {thing} ({sweep})")
    for name in (_ENQUEUED, _DROPPED, _PAUSED):
        op.drop_table(name)


def _slot_key(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["sweep", "arm", "repeat", "slot"],
        ["sweeper_slot.sweep", "sweeper_slot.arm", "sweeper_slot.repeat", "sweeper_slot.number"],
        name=op.f(f"fk_{table}_sweep_arm_repeat_slot"),
    )
