"""What Optuna's studies are marked with; sweeps from before have none, and go on without."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # On MySQL what is done stays if the program is cut off before the version is written.
    if "identity" not in _columns("sweeper_sweep"):
        op.add_column("sweeper_sweep", sa.Column("identity", sa.String(32), nullable=True))


def downgrade() -> None:
    # Marks name identities, which are gone: without them studies are known as they were before.
    connection = op.get_bind()
    if sa.inspect(connection).has_table("study_system_attributes"):
        marks = sa.table("study_system_attributes", sa.column("key"))
        connection.execute(sa.delete(marks).where(marks.c.key == "sweeper:study"))
    if "identity" in _columns("sweeper_sweep"):  # on MySQL it is gone where the next one fails
        op.drop_column("sweeper_sweep", "identity")


def _columns(table: str) -> set[str]:
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
