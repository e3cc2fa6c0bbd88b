"""Facts of networks that are fine-tuned at further densities; of weight decay and precision."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from sweeper.errors import SchemaError

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

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
_NEW = {"weight_decay": 0.0}
_NEW_IN_RECIPE = {"precision": "float32", "finetuned_curve": []}


def upgrade() -> None:
    # On MySQL a column stays if the program is cut off before the version is written.
    columns = sa.inspect(op.get_bind()).get_columns("sweeper_fact")
    if "finetuned" not in {column["name"] for column in columns}:
        op.add_column("sweeper_fact", sa.Column("finetuned", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Refuse, with nothing changed, where a fact cannot be told in the old form."""
    connection = op.get_bind()
    columns = [_fact.c[name] for name in _KEY]
    keys = [tuple(key) for key in connection.execute(sa.select(*columns).order_by(*columns))]
    change = (
        sa.update(_fact)
        .where(*(column == sa.bindparam(f"of_{column.name}") for column in columns))
        .values(config=sa.bindparam("new", type_=sa.JSON()))
    )
    for start in range(0, len(keys), _BATCH):
        of_batch = sa.tuple_(*columns).in_(keys[start : start + _BATCH])
        rows = connection.execute(sa.select(*columns, _fact.c.config).where(of_batch)).all()
        changed = [
            {
                **{f"of_{name}": value for name, value in zip(_KEY, key, strict=True)},
                "new": _without_new(config),
            }
            for *key, config in rows
        ]
        connection.execute(change, changed)
    op.drop_column("sweeper_fact", "finetuned")


def _without_new(config: Mapping[str, Any]) -> dict[str, Any]:
    recipe = _less(config["recipe"], _NEW_IN_RECIPE)
    return {**_less(config, _NEW), "recipe": recipe}


def _less(values: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    for key, unused in new.items():
        if values.get(key, unused) != unused:
            text = f"schema 0002 cannot hold facts with {key} {values[key]}"
            raise SchemaError(text)
    return {key: value for key, value in values.items() if key not in new}
