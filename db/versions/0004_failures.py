"""Failed attempts one by one; sweeps that are given up, and why."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MYSQL: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    # On MySQL what is done stays if the program is cut off before the version is written.
    columns = _columns("sweeper_sweep")
    if "opened_at" not in columns:
        op.add_column(
            "sweeper_sweep",
            sa.Column("opened_at", sa.Double(), nullable=False, server_default="0"),
        )
    if "error" not in columns:
        op.add_column("sweeper_sweep", sa.Column("error", sa.Text(), nullable=True))
    if not sa.inspect(op.get_bind()).has_table("sweeper_failure"):
        _create()
    for name, of in (("sweep", ["sweep", "arm"]), ("attempt", ["attempt"])):
        if f"ix_sweeper_failure_{name}" not in _indexes("sweeper_failure"):
            op.create_index(op.f(f"ix_sweeper_failure_{name}"), "sweeper_failure", of)
    if "lost" in _columns("sweeper_slot"):
        _note_what_was_lost()
        op.drop_column("sweeper_slot", "lost")


def _create() -> None:
    op.create_table(
        "sweeper_failure",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sweep", sa.String(64), nullable=False),
        sa.Column("arm", sa.String(64), nullable=False),
        sa.Column("repeat", sa.Integer(), nullable=True),
        sa.Column("slot", sa.Integer(), nullable=True),
        sa.Column("worker", sa.String(32), nullable=False),
        sa.Column("attempt", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweeper_failure")),
        sa.ForeignKeyConstraint(
            ["sweep"], ["sweeper_sweep.name"], name=op.f("fk_sweeper_failure_sweep")
        ),
        **_MYSQL,
    )


def _note_what_was_lost() -> None:
    """Keep the counts of attempts lost; of what kind they were was not written down."""
    connection = op.get_bind()
    slot = sa.table(
        "sweeper_slot",
        *(sa.column(name) for name in ("sweep", "arm", "repeat", "number", "lost")),
    )
    failure = sa.table(
        "sweeper_failure",
        *(
            sa.column(name)
            for name in (
                "sweep",
                "arm",
                "repeat",
                "slot",
                "worker",
                "attempt",
                "kind",
                "error",
                "at",
            )
        ),
    )
    connection.execute(sa.delete(failure))  # of an upgrade that was cut off here
    for row in connection.execute(sa.select(slot).where(slot.c.lost > 0)).all():
        noted = {
            "sweep": row.sweep,
            "arm": row.arm,
            "repeat": row.repeat,
            "slot": row.number,
            "worker": "",
            "attempt": "",
            "kind": "given back",
            "error": "",
            "at": 0.0,
        }
        connection.execute(sa.insert(failure), [noted] * row.lost)


def downgrade() -> None:
    connection = op.get_bind()
    op.add_column(
        "sweeper_slot", sa.Column("lost", sa.Integer(), nullable=False, server_default="0")
    )
    lost = "SELECT count(*) FROM sweeper_failure f WHERE f.sweep = sweeper_slot.sweep"
    same = "f.arm = sweeper_slot.arm AND f.repeat = sweeper_slot.repeat AND f.slot = number"
    connection.execute(sa.text(f"UPDATE sweeper_slot SET lost = ({lost} AND {same})"))  # noqa: S608
    stopped = "UPDATE sweeper_sweep SET state = 'stopped' WHERE state = 'failed'"
    connection.execute(sa.text(stopped))
    op.drop_table("sweeper_failure")
    op.drop_column("sweeper_sweep", "error")
    op.drop_column("sweeper_sweep", "opened_at")


def _columns(table: str) -> set[str]:
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}


def _indexes(table: str) -> set[str | None]:
    return {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}
