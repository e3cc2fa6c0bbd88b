"""Sweeps, workers, slots, provenance, facts and turns."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def upgrade() -> None:
    # On MySQL what is done stays if the program is cut off before the version is written: a second
    # attempt goes on from there. Nothing is dropped, for it might hold results.
    op.create_table(
        "sweeper_sweep",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sweeper_sweep"),
        **_OPTIONS,
        if_not_exists=True,
    )
    op.create_table(
        "sweeper_worker",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("sweep", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("machine", sa.String(64), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("process_start", sa.String(32), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("joined_at", sa.Double(), nullable=False),
        sa.Column("lease_until", sa.Double(), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sweeper_worker"),
        sa.ForeignKeyConstraint(["sweep"], ["sweeper_sweep.name"], name="fk_sweeper_worker_sweep"),
        **_OPTIONS,
        if_not_exists=True,
    )
    _index("ix_sweeper_worker_sweep", "sweeper_worker", ["sweep"])
    op.create_table(
        "sweeper_slot",
        sa.Column("sweep", sa.String(64), nullable=False),
        sa.Column("arm", sa.String(64), nullable=False),
        sa.Column("repeat", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("worker", sa.String(32), nullable=True),
        sa.Column("ticket", sa.String(32), nullable=True),
        sa.Column("trial", sa.Integer(), nullable=True),
        sa.Column("lost", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("sweep", "arm", "repeat", "number", name="pk_sweeper_slot"),
        sa.ForeignKeyConstraint(["sweep"], ["sweeper_sweep.name"], name="fk_sweeper_slot_sweep"),
        sa.ForeignKeyConstraint(["worker"], ["sweeper_worker.id"], name="fk_sweeper_slot_worker"),
        **_OPTIONS,
        if_not_exists=True,
    )
    _index("ix_sweeper_slot_worker", "sweeper_slot", ["worker"])
    _index("ix_sweeper_slot_claim", "sweeper_slot", ["sweep", "state", "repeat", "number"])
    op.create_table(
        "sweeper_provenance",
        sa.Column("sweep", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("sweeper", sa.String(64), nullable=False),
        sa.Column("python", sa.String(64), nullable=False),
        sa.Column("torch", sa.String(64), nullable=False),
        sa.Column("optuna", sa.String(64), nullable=False),
        sa.Column("git_commit", sa.String(64), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("processor", sa.String(255), nullable=False),
        sa.Column("threads", sa.Integer(), nullable=False),
        sa.Column("data_hash", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("sweep", "digest", name="pk_sweeper_provenance"),
        sa.ForeignKeyConstraint(
            ["sweep"], ["sweeper_sweep.name"], name="fk_sweeper_provenance_sweep"
        ),
        **_OPTIONS,
        if_not_exists=True,
    )
    op.create_table(
        "sweeper_fact",
        sa.Column("sweep", sa.String(64), nullable=False),
        sa.Column("arm", sa.String(64), nullable=False),
        sa.Column("repeat", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("study", sa.String(160), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(32), nullable=False),
        sa.Column("provenance", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("pruned_nonzero", sa.BigInteger(), nullable=True),
        sa.Column("pruned_weights", sa.BigInteger(), nullable=True),
        sa.Column("pruned_biases", sa.BigInteger(), nullable=True),
        sa.Column("pruned_effective", sa.BigInteger(), nullable=True),
        sa.Column("pruned_val_accuracy", sa.Double(), nullable=True),
        sa.Column("pruned_test_accuracy", sa.Double(), nullable=True),
        sa.Column("as_trained_nonzero", sa.BigInteger(), nullable=True),
        sa.Column("as_trained_weights", sa.BigInteger(), nullable=True),
        sa.Column("as_trained_biases", sa.BigInteger(), nullable=True),
        sa.Column("as_trained_effective", sa.BigInteger(), nullable=True),
        sa.Column("as_trained_val_accuracy", sa.Double(), nullable=True),
        sa.Column("as_trained_test_accuracy", sa.Double(), nullable=True),
        sa.Column("density", sa.Double(), nullable=False),
        sa.Column("strength", sa.Double(), nullable=False),
        sa.Column("learning_rate", sa.Double(), nullable=False),
        sa.Column("steps", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("pack", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.Double(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("layers", sa.JSON(), nullable=False),
        sa.Column("curve", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("sweep", "arm", "repeat", "slot", name="pk_sweeper_fact"),
        sa.ForeignKeyConstraint(
            ["sweep", "arm", "repeat", "slot"],
            [
                "sweeper_slot.sweep",
                "sweeper_slot.arm",
                "sweeper_slot.repeat",
                "sweeper_slot.number",
            ],
            name="fk_sweeper_fact_sweep_arm_repeat_slot",
        ),
        sa.ForeignKeyConstraint(
            ["sweep", "provenance"],
            ["sweeper_provenance.sweep", "sweeper_provenance.digest"],
            name="fk_sweeper_fact_sweep_provenance",
        ),
        sa.UniqueConstraint("study", "trial", name="uq_sweeper_fact_study_trial"),
        **_OPTIONS,
        if_not_exists=True,
    )
    op.create_table(
        "sweeper_turn",
        sa.Column("sweep", sa.String(64), nullable=False),
        sa.Column("what", sa.String(64), nullable=False),
        sa.Column("taken_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("sweep", "what", name="pk_sweeper_turn"),
        sa.ForeignKeyConstraint(["sweep"], ["sweeper_sweep.name"], name="fk_sweeper_turn_sweep"),
        **_OPTIONS,
        if_not_exists=True,
    )


def downgrade() -> None:
    for name in ("turn", "fact", "provenance", "slot", "worker", "sweep"):
        op.drop_table(f"sweeper_{name}")


def _index(name: str, table: str, columns: list[str]) -> None:
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, columns)
