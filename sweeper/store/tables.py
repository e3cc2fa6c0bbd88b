"""The tables of our own: what counts. Optuna's tables lie beside them and are never touched.

    sweep ──< slot ──o fact >── provenance
      ├──< bracket >── provenance
      ├──< drift >── provenance
      └──< worker, failure, turn

Types and lengths are those that SQLite, PostgreSQL and MySQL share. Times are seconds since 1970
by the database's clock. A change here needs a new file in db/versions.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

PREFIX = "sweeper_"
VERSION_TABLE = "sweeper_alembic_version"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Binary collation: MySQL would take the names `A` and `a` for one.
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

sweep = Table(
    "sweeper_sweep",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("digest", String(64), nullable=False),
    # JSON in the order of the file: the order of the arms is shown, though not in the digest.
    Column("spec", Text, nullable=False),
    # open | stopped | failed, which `error` says why
    Column("state", String(8), nullable=False),
    Column("created_at", Double, nullable=False),
    # When it was opened last: errors from before then do not count any more.
    Column("opened_at", Double, nullable=False, server_default="0"),
    Column("error", Text, nullable=True),
    **_OPTIONS,
)

worker = Table(
    "sweeper_worker",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("sweep", String(64), ForeignKey(sweep.c.name), nullable=False, index=True),
    Column("host", String(255), nullable=False),
    # Where a process id means something: see `leases.machine`. Empty where that is unknown.
    Column("machine", String(64), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process_start", String(32), nullable=False),
    Column("device", String(64), nullable=False),
    Column("joined_at", Double, nullable=False),
    # 0 once it is over: also when the database's clock is set back, no lease comes to life again.
    Column("lease_until", Double, nullable=False),
    Column("progress", Double, nullable=False),
    **_OPTIONS,
)

slot = Table(
    "sweeper_slot",
    metadata,
    Column("sweep", String(64), ForeignKey(sweep.c.name), primary_key=True),
    Column("arm", String(64), primary_key=True),
    Column("repeat", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    # May be claimed once every slot of the (arm, repeat) in earlier generations is told.
    Column("generation", Integer, nullable=False),
    # open -> claimed -> recorded -> told; claimed -> open when it is given back.
    Column("state", String(8), nullable=False),
    Column("worker", String(32), ForeignKey(worker.c.id), nullable=True, index=True),
    # Names the call that claimed it, so that a retried call finds what it got the first time.
    Column("ticket", String(32), nullable=True),
    Column("trial", Integer, nullable=True),
    Index("ix_sweeper_slot_claim", "sweep", "state", "repeat", "number"),
    **_OPTIONS,
)

# An attempt that came to nothing, see `failures`. Rows are never updated.
failure = Table(
    "sweeper_failure",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("sweep", String(64), ForeignKey(sweep.c.name), nullable=False),
    Column("arm", String(64), nullable=False),
    # NULL where no slot was lost.
    Column("repeat", Integer, nullable=True),
    Column("slot", Integer, nullable=True),
    Column("worker", String(32), nullable=False),
    # Names the attempt: the slots of a pack that failed together share it.
    Column("attempt", String(32), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("error", Text, nullable=False),
    Column("at", Double, nullable=False),
    Index("ix_sweeper_failure_sweep", "sweep", "arm"),
    **_OPTIONS,
)

provenance = Table(
    "sweeper_provenance",
    metadata,
    Column("sweep", String(64), ForeignKey(sweep.c.name), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("sweeper", String(64), nullable=False),
    Column("python", String(64), nullable=False),
    Column("torch", String(64), nullable=False),
    Column("optuna", String(64), nullable=False),
    Column("git_commit", String(64), nullable=False),
    Column("device", String(64), nullable=False),
    Column("processor", String(255), nullable=False),
    Column("threads", Integer, nullable=False),
    Column("data_hash", String(64), nullable=False),
    Column("host", String(255), nullable=False),
    **_OPTIONS,
)


def _judged(track: str) -> list[Column[Any]]:
    """Columns of one track; all NULL for a diverged trial."""
    counts = ("nonzero", "weights", "biases", "effective")
    accuracies = ("val_accuracy", "test_accuracy")
    return [
        *(Column(f"{track}_{name}", BigInteger, nullable=True) for name in counts),
        *(Column(f"{track}_{name}", Double, nullable=True) for name in accuracies),
    ]


fact = Table(
    "sweeper_fact",
    metadata,
    Column("sweep", String(64), primary_key=True),
    Column("arm", String(64), primary_key=True),
    Column("repeat", Integer, primary_key=True, autoincrement=False),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("study", String(160), nullable=False),
    Column("trial", Integer, nullable=False),
    Column("worker", String(32), nullable=False),
    Column("provenance", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("total", BigInteger, nullable=False),
    *_judged("pruned"),
    *_judged("as_trained"),
    # Of the configuration, for queries; `config` holds all of it.
    Column("density", Double, nullable=False),
    Column("strength", Double, nullable=False),
    Column("learning_rate", Double, nullable=False),
    Column("steps", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("pack", Integer, nullable=False),
    Column("recorded_at", Double, nullable=False),
    Column("params", JSON, nullable=False),
    Column("config", JSON, nullable=False),
    Column("layers", JSON, nullable=False),
    Column("curve", JSON, nullable=False),
    Column("finetuned", JSON, nullable=True),  # NULL in facts from before there was one
    ForeignKeyConstraint(
        ["sweep", "arm", "repeat", "slot"],
        [slot.c.sweep, slot.c.arm, slot.c.repeat, slot.c.number],
    ),
    ForeignKeyConstraint(["sweep", "provenance"], [provenance.c.sweep, provenance.c.digest]),
    UniqueConstraint("study", "trial"),
    **_OPTIONS,
)

# A searched strength whose range a probe has to find before slots of its arm are claimed.
bracket = Table(
    "sweeper_bracket",
    metadata,
    Column("sweep", String(64), ForeignKey(sweep.c.name), primary_key=True),
    Column("arm", String(64), primary_key=True),
    Column("parameter", String(255), primary_key=True),
    # Equal for equal probes, whichever sweep asks for them.
    Column("key", String(64), nullable=False, index=True),
    # open -> claimed -> done; claimed -> open when it is given back. What follows is NULL until
    # it is done; `worker` stays, so that a retried call finds what it has recorded.
    Column("state", String(8), nullable=False),
    Column("worker", String(32), ForeignKey(worker.c.id), nullable=True, index=True),
    Column("reused", Boolean, nullable=False),
    Column("low", Double, nullable=True),
    Column("high", Double, nullable=True),
    Column("open_below", Boolean, nullable=True),
    Column("open_above", Boolean, nullable=True),
    Column("seconds", Double, nullable=True),
    Column("provenance", String(64), nullable=True),
    Column("points", JSON, nullable=True),
    Column("recorded_at", Double, nullable=True),
    ForeignKeyConstraint(["sweep", "provenance"], [provenance.c.sweep, provenance.c.digest]),
    **_OPTIONS,
)

# Trials of other machines trained again on one, see `drifts`. Rows are never updated.
drift = Table(
    "sweeper_drift",
    metadata,
    Column("sweep", String(64), ForeignKey(sweep.c.name), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("provenance", String(64), nullable=False),
    Column("redone", JSON, nullable=False),
    Column("recorded_at", Double, nullable=False),
    ForeignKeyConstraint(["sweep", "provenance"], [provenance.c.sweep, provenance.c.digest]),
    **_OPTIONS,
)

turn = Table(
    "sweeper_turn",
    metadata,
    Column("sweep", String(64), ForeignKey(sweep.c.name), primary_key=True),
    Column("what", String(64), primary_key=True),
    Column("taken_at", Double, nullable=False),
    **_OPTIONS,
)
