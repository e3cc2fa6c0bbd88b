"""Numbers by which examples were standardised, in the provenance; splits and augmentations."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

from sweeper.errors import SchemaError

revision = "0008"
down_revision = "0007"
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
_NEW_IN_RECIPE = {
    "dataset_options": [],
    "split": {"validation": None, "test": None, "seed": 0, "by_repeat": False},
    "augment": [],
}


def upgrade() -> None:
    # On MySQL what is done stays if the program is cut off before the version is written.
    if not _has_column():
        column = sa.Column("normalisation", sa.JSON(none_as_null=True), nullable=True)
        op.add_column("sweeper_provenance", column)


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
                "new": {**config, "recipe": _without_new(config["recipe"])},
            }
            for *key, config in rows
        ]
        connection.execute(change, changed)
    if _has_column():  # on MySQL it is gone where the next migration fails
        op.drop_column("sweeper_provenance", "normalisation")


def _without_new(recipe: Mapping[str, Any]) -> dict[str, Any]:
    for key, unused in _NEW_IN_RECIPE.items():
        if recipe.get(key, unused) != unused:
            raise SchemaError(f"schema 0007 cannot hold facts with {key} {recipe[key]}")
    return {key: value for key, value in recipe.items() if key not in _NEW_IN_RECIPE}


def _has_column() -> bool:
    columns = sa.inspect(op.get_bind()).get_columns("sweeper_provenance")
    return "normalisation" in {column["name"] for column in columns}
