"""Texts that grow with a sweep, on MySQL: there a Text ends at 65,535 bytes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGTEXT

from sweeper.errors import SchemaError

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TEXTS = (
    ("sweeper_sweep", "spec", False),
    ("sweeper_sweep", "error", True),
    ("sweeper_failure", "error", False),
)
_LONGEST = 65_535
"""Bytes in a Text of MySQL."""


def upgrade() -> None:
    # Each statement may be done again: on MySQL what is done stays if the program is cut off.
    if _is_mysql():
        for table, name, nullable in _TEXTS:
            op.alter_column(table, name, type_=LONGTEXT(), existing_nullable=nullable)


def downgrade() -> None:
    """Refuse, with nothing changed, where a text is longer than the older schema can hold."""
    if not _is_mysql():
        return
    for table, name, _ in _TEXTS:
        longest = sa.func.max(sa.func.octet_length(sa.column(name)))
        bytes_ = op.get_bind().scalar(sa.select(longest).select_from(sa.table(table))) or 0
        if bytes_ > _LONGEST:
            raise SchemaError(f"schema 0005 cannot hold {bytes_:,} bytes in {table}.{name}")
    for table, name, nullable in _TEXTS:
        op.alter_column(table, name, type_=sa.Text(), existing_nullable=nullable)


def _is_mysql() -> bool:
    return op.get_bind().dialect.name in {"mysql", "mariadb"}
