"""Ranges of strengths that probes find; methods of facts become sums of penalties."""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from sweeper.errors import SchemaError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

_BATCH = 500
_fact = sa.table(
    "sweeper_fact",
    sa.column("sweep", sa.String()),
    sa.column("arm", sa.String()),
    sa.column("repeat", sa.Integer()),
    sa.column("slot", sa.Integer()),
    sa.column("config", sa.JSON()),
)
_KEY = ("sweep", "arm", "repeat", "slot")
_NONE = {"penalty": "none", "apply": "loss", "strength": 0.0, "hyper": []}
_PLAIN = {"name": "plain", "own_strength": 0.0, "hyper": []}


def upgrade() -> None:
    # On MySQL the table commits what was done before it: a second attempt, after the first one
    # was cut off, finds facts in their new form and a table that nobody has used.
    _rewrite(_sum_of_terms)
    op.drop_table("sweeper_bracket", if_exists=True)
    op.create_table(
        "sweeper_bracket",
        sa.Column("sweep", sa.String(64), nullable=False),
        sa.Column("arm", sa.String(64), nullable=False),
        sa.Column("parameter", sa.String(255), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("worker", sa.String(32), nullable=True),
        sa.Column("reused", sa.Boolean(), nullable=False),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("open_below", sa.Boolean(), nullable=True),
        sa.Column("open_above", sa.Boolean(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("provenance", sa.String(64), nullable=True),
        sa.Column("points", sa.JSON(), nullable=True),
        sa.Column("recorded_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("sweep", "arm", "parameter", name="pk_sweeper_bracket"),
        sa.ForeignKeyConstraint(["sweep"], ["sweeper_sweep.name"], name="fk_sweeper_bracket_sweep"),
        sa.ForeignKeyConstraint(
            ["worker"], ["sweeper_worker.id"], name="fk_sweeper_bracket_worker"
        ),
        sa.ForeignKeyConstraint(
            ["sweep", "provenance"],
            ["sweeper_provenance.sweep", "sweeper_provenance.digest"],
            name="fk_sweeper_bracket_sweep_provenance",
        ),
        **_OPTIONS,
    )
    op.create_index("ix_sweeper_bracket_key", "sweeper_bracket", ["key"])
    op.create_index("ix_sweeper_bracket_worker", "sweeper_bracket", ["worker"])


def downgrade() -> None:
    """Refuse, with nothing changed, where a fact cannot be told in the old form.

    The older program reads sweeps of its own only: it does not know the keys of newer ones.
    """
    _rewrite(_one_penalty)
    op.drop_table("sweeper_bracket", if_exists=True)


def _rewrite(form: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
    """Give the methods of all facts another form, a batch at a time."""
    connection = op.get_bind()
    columns = [_fact.c[name] for name in _KEY]
    change = (
        sa.update(_fact)
        .where(*(column == sa.bindparam(f"of_{column.name}") for column in columns))
        .values(config=sa.bindparam("new", type_=sa.JSON()))
    )
    keys = connection.execute(sa.select(*columns).order_by(*columns)).all()
    for start in range(0, len(keys), _BATCH):
        batch = [tuple(key) for key in keys[start : start + _BATCH]]
        rows = connection.execute(
            sa.select(*columns, _fact.c.config).where(sa.tuple_(*columns).in_(batch))
        )
        connection.execute(
            change,
            [
                {
                    **{f"of_{name}": value for name, value in zip(_KEY, key, strict=True)},
                    "new": {**config, "method": form(config["method"])},
                }
                for *key, config in rows
            ],
        )


def _sum_of_terms(method: Mapping[str, Any]) -> dict[str, Any]:
    if "terms" in method:
        return dict(method)
    terms = [] if method["penalty"] == "none" else [{**method, "shuffled": False}]
    return {"terms": terms, **_PLAIN}


def _one_penalty(method: Mapping[str, Any]) -> dict[str, Any]:
    if "penalty" in method:
        return dict(method)
    terms = method["terms"]
    if len(terms) > 1 or {**method, "terms": []} != {"terms": [], **_PLAIN}:
        raise SchemaError("schema 0001 cannot hold facts of sums of penalties or of other methods")
    if not terms:
        return _NONE
    if terms[0]["shuffled"]:
        raise SchemaError("schema 0001 cannot hold facts of shuffled penalties")
    return {key: value for key, value in terms[0].items() if key != "shuffled"}
