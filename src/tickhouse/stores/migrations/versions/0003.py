"""Which feed of a group was in use since when."""

import sqlalchemy as sa
from alembic import op

from tickhouse.stores._types import BIG, TEXT

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "switches",
        sa.Column("symbol", TEXT, nullable=False),
        sa.Column("at", BIG, nullable=False, autoincrement=False),
        sa.Column("from_source", TEXT, nullable=False),
        sa.Column("to_source", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("raw", BIG, nullable=False, autoincrement=False),
        sa.Column("position", BIG, nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("symbol", "at"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("switches")
