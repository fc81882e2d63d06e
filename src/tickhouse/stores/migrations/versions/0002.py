"""Splits and dividends."""

import sqlalchemy as sa
from alembic import op

from tickhouse.stores._types import BIG, DAY, REAL, TEXT

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "actions",
        sa.Column("symbol", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("date", DAY, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("value", REAL),
        sa.Column("raw", BIG, nullable=False, autoincrement=False),
        sa.Column("position", BIG, nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("symbol", "date", "source", "kind"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("actions")
