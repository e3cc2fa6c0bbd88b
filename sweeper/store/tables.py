"""Tables of sweeper: the results that count. Optuna's lie beside them and are never touched.

    sweep ──< slot ──o fact >── provenance
      ├──< bracket >── provenance
      ├──< drift >── provenance
      └──< worker, failure, turn, paused, dropped, enqueued

Types and lengths are those that SQLite, PostgreSQL and MySQL share, and `KeyText` and
`MessageText` hold every text to them, for SQLite would not. Times are seconds since 1970 by the
database's clock. A change here needs a new file in db/versions.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.types import TypeEngine

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


class _Held(TypeDecorator[str]):
    """A text as every database takes it: where it is written, not where it is looked for."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:
        return String()


class KeyText(_Held):
    """A text that something is known by. One that is too long is refused."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is not None and (len(value) > self.length or value != storable(value)):
            allowed = f"at most {self.length} characters of UTF-8"
            raise ValueError(f"{value[:60]!r}: {allowed}, got {len(value)}")
        return value


class MessageText(_Held):
    """A text that is only shown, from a machine, a driver or an exception. It is cut to length."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)[: self.length]


class LongText(TypeDecorator[str]):
    """A text of any length. MySQL's usual one ends at 64 KB, which a sweep may be longer than."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return LONGTEXT() if dialect.name in {"mysql", "mariadb"} else Text()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


def storable(text: str) -> str:
    """Return a text with signs for what no database holds: NUL, and bytes that are not UTF-8."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


sweep = Table(
    "sweeper_sweep",
    metadata,
    Column("name", KeyText(64), primary_key=True),
    Column("digest", KeyText(64), nullable=False),
    # JSON in the order of the file: the order of the arms is shown, though not in the digest.
    Column("spec", LongText, nullable=False),
    # open | stopped | failed, which `error` says why
    Column("state", KeyText(8), nullable=False),
    Column("created_at", Double, nullable=False),
    # When it was opened last: errors from before then do not count any more.
    Column("opened_at", Double, nullable=False, server_default="0"),
    Column("error", LongText, nullable=True),
    # What its Optuna studies are marked with. NULL: registered before studies were marked.
    Column("identity", KeyText(32), nullable=True),
    **_OPTIONS,
)

worker = Table(
    "sweeper_worker",
    metadata,
    Column("id", KeyText(32), primary_key=True),
    Column("sweep", KeyText(64), ForeignKey(sweep.c.name), nullable=False, index=True),
    Column("host", MessageText(255), nullable=False),
    # Where a process id means something: see `leases.machine`. Empty where that is unknown.
    Column("machine", KeyText(64), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("process_start", KeyText(32), nullable=False),
    Column("device", MessageText(64), nullable=False),
    Column("joined_at", Double, nullable=False),
    # 0 once it is over: also when the database's clock is set back, no lease comes to life again.
    Column("lease_until", Double, nullable=False),
    Column("progress", Double, nullable=False),
    **_OPTIONS,
)

slot = Table(
    "sweeper_slot",
    metadata,
    Column("sweep", KeyText(64), ForeignKey(sweep.c.name), primary_key=True),
    Column("arm", KeyText(64), primary_key=True),
    Column("repeat", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    # May be claimed once every slot of the (arm, repeat) in earlier generations is `told`.
    Column("generation", Integer, nullable=False),
    # open -> claimed -> recorded -> told, see `Store`; claimed -> open when it is given back.
    Column("state", KeyText(8), nullable=False),
    Column("worker", KeyText(32), ForeignKey(worker.c.id), nullable=True, index=True),
    # Names the call that claimed it, so that a retried call finds what it got the first time.
    Column("ticket", KeyText(32), nullable=True),
    # Of its first network; those of the others follow it, number by number.
    Column("trial", Integer, nullable=True),
    Index("ix_sweeper_slot_claim", "sweep", "state", "repeat", "number"),
    **_OPTIONS,
)

# An attempt that came to nothing, see `failures`. Rows are never updated.
failure = Table(
    "sweeper_failure",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("sweep", KeyText(64), ForeignKey(sweep.c.name), nullable=False),
    Column("arm", KeyText(64), nullable=False),
    # NULL where no slot was lost.
    Column("repeat", Integer, nullable=True),
    Column("slot", Integer, nullable=True),
    Column("worker", KeyText(32), nullable=False),
    # Names the attempt: the slots of a pack that failed together share it.
    Column("attempt", KeyText(32), nullable=False, index=True),
    Column("kind", KeyText(16), nullable=False),
    Column("error", LongText, nullable=False),
    Column("at", Double, nullable=False),
    Index("ix_sweeper_failure_sweep", "sweep", "arm"),
    **_OPTIONS,
)

provenance = Table(
    "sweeper_provenance",
    metadata,
    Column("sweep", KeyText(64), ForeignKey(sweep.c.name), primary_key=True),
    Column("digest", KeyText(64), primary_key=True),
    Column("sweeper", MessageText(64), nullable=False),
    Column("python", MessageText(64), nullable=False),
    Column("torch", MessageText(64), nullable=False),
    Column("optuna", MessageText(64), nullable=False),
    Column("git_commit", MessageText(64), nullable=False),
    Column("device", MessageText(64), nullable=False),
    Column("processor", MessageText(255), nullable=False),
    Column("threads", Integer, nullable=False),
    Column("data_hash", KeyText(64), nullable=False),
    Column("host", MessageText(255), nullable=False),
    # Mean and deviation of the raw values. NULL: they were not changed, or it was not kept yet.
    Column("normalisation", JSON(none_as_null=True), nullable=True),
    **_OPTIONS,
)


def _evaluation_columns(track: str) -> list[Column[Any]]:
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
    Column("sweep", KeyText(64), primary_key=True),
    Column("arm", KeyText(64), primary_key=True),
    Column("repeat", Integer, primary_key=True, autoincrement=False),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    # Its number within the slot: seed by seed, and of each seed rung by rung.
    Column("network", Integer, primary_key=True, autoincrement=False, server_default="0"),
    Column("study", KeyText(160), nullable=False),
    Column("trial", Integer, nullable=False),
    Column("worker", KeyText(32), nullable=False),
    Column("provenance", KeyText(64), nullable=False),
    Column("state", KeyText(16), nullable=False),
    Column("total", BigInteger, nullable=False),
    *_evaluation_columns("pruned"),
    *_evaluation_columns("as_trained"),
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
    # Epochs with numbers by name; NULL where no learning curve was kept.
    Column("learning", JSON(none_as_null=True), nullable=True),
    # Further numbers that a script measured, by name; NULL where there are none.
    Column("numbers", JSON(none_as_null=True), nullable=True),
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
    Column("sweep", KeyText(64), ForeignKey(sweep.c.name), primary_key=True),
    Column("arm", KeyText(64), primary_key=True),
    Column("parameter", KeyText(255), primary_key=True),
    # Equal for equal probes, whichever sweep asks for them.
    Column("key", KeyText(64), nullable=False, index=True),
    # open -> claimed -> done; claimed -> open when it is given back. What follows is NULL until
    # it is done; `worker` stays, so that a retried call finds what it has recorded.
    Column("state", KeyText(8), nullable=False),
    Column("worker", KeyText(32), ForeignKey(worker.c.id), nullable=True, index=True),
    Column("reused", Boolean, nullable=False),
    Column("low", Double, nullable=True),
    Column("high", Double, nullable=True),
    Column("open_below", Boolean, nullable=True),
    Column("open_above", Boolean, nullable=True),
    Column("seconds", Double, nullable=True),
    Column("provenance", KeyText(64), nullable=True),
    Column("points", JSON, nullable=True),
    Column("recorded_at", Double, nullable=True),
    ForeignKeyConstraint(["sweep", "provenance"], [provenance.c.sweep, provenance.c.digest]),
    **_OPTIONS,
)

# Trials of other machines trained again on one: see `reproducibility_checks`. Rows are never
# updated.
drift = Table(
    "sweeper_drift",
    metadata,
    Column("sweep", KeyText(64), ForeignKey(sweep.c.name), primary_key=True),
    Column("id", KeyText(32), primary_key=True),
    Column("provenance", KeyText(64), nullable=False),
    Column("redone", JSON, nullable=False),
    Column("recorded_at", Double, nullable=False),
    ForeignKeyConstraint(["sweep", "provenance"], [provenance.c.sweep, provenance.c.digest]),
    **_OPTIONS,
)

# Arms of which no slot and no probe is claimed.
paused = Table(
    "sweeper_paused",
    metadata,
    Column("sweep", KeyText(64), ForeignKey(sweep.c.name), primary_key=True),
    Column("arm", KeyText(64), primary_key=True),
    Column("at", Double, nullable=False),
    **_OPTIONS,
)

# Trials left out of fronts, and taken back: see `dropped_trials`. Rows are never updated.
dropped = Table(
    "sweeper_dropped",
    metadata,
    Column("sweep", KeyText(64), primary_key=True),
    Column("id", KeyText(32), primary_key=True),
    Column("arm", KeyText(64), nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("slot", Integer, nullable=False),
    # NULL: all networks of the slot.
    Column("network", Integer, nullable=True),
    Column("why", MessageText(500), nullable=False),
    # Greater than that of all rows of the sweep before it.
    Column("at", Double, nullable=False),
    Column("undone", Boolean, nullable=False),
    ForeignKeyConstraint(
        ["sweep", "arm", "repeat", "slot"],
        [slot.c.sweep, slot.c.arm, slot.c.repeat, slot.c.number],
    ),
    **_OPTIONS,
)

# Parameters that a slot is given: written before it is claimed for the first time, never updated.
enqueued = Table(
    "sweeper_enqueued",
    metadata,
    Column("sweep", KeyText(64), primary_key=True),
    Column("arm", KeyText(64), primary_key=True),
    Column("repeat", Integer, primary_key=True, autoincrement=False),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("params", JSON, nullable=False),
    Column("source", MessageText(255), nullable=False),
    Column("at", Double, nullable=False),
    ForeignKeyConstraint(
        ["sweep", "arm", "repeat", "slot"],
        [slot.c.sweep, slot.c.arm, slot.c.repeat, slot.c.number],
    ),
    **_OPTIONS,
)

turn = Table(
    "sweeper_turn",
    metadata,
    Column("sweep", KeyText(64), ForeignKey(sweep.c.name), primary_key=True),
    Column("what", KeyText(64), primary_key=True),
    Column("taken_at", Double, nullable=False),
    **_OPTIONS,
)
