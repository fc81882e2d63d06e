"""The totals of the ledger by consumer group: where several processes share the ticks, each counts its own."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

from tickhouse.stores._types import BIG, TEXT

revision = "0006"
down_revision = "0005"

Columns = dict[str, TypeEngine[Any]]
COLUMNS: Columns = {"source": TEXT, "name": TEXT, "total": BIG, "position": BIG}


def upgrade() -> None:
    """What was counted before is of the group that had everything."""
    if op.get_context().dialect.name == "postgresql":  # a view looks at the table
        op.execute("ALTER TABLE ledger ADD COLUMN \"group\" TEXT NOT NULL DEFAULT 'process'")
        op.execute('ALTER TABLE ledger ALTER COLUMN "group" DROP DEFAULT')
        op.execute('ALTER TABLE ledger DROP CONSTRAINT ledger_pkey, ADD PRIMARY KEY ("group", source, name)')
        return
    _made("ledger_by_group", {"group": TEXT, **COLUMNS}, "group", "source", "name")
    op.execute("INSERT INTO ledger_by_group SELECT 'process', source, name, total, position FROM ledger")
    op.drop_table("ledger")
    op.rename_table("ledger_by_group", "ledger")


def downgrade() -> None:
    """All groups together."""
    whole = "SELECT source, name, sum(total) AS total, max(position) AS position FROM ledger GROUP BY source, name"
    if op.get_context().dialect.name == "postgresql":
        op.execute(f"CREATE TEMPORARY TABLE ledger_before ON COMMIT DROP AS {whole}")
        op.execute("DELETE FROM ledger")
        op.execute(
            'ALTER TABLE ledger DROP CONSTRAINT ledger_pkey, DROP COLUMN "group", ADD PRIMARY KEY (source, name)'
        )
        op.execute("INSERT INTO ledger (source, name, total, position) SELECT * FROM ledger_before")
        return
    _made("ledger_before", COLUMNS, "source", "name")
    op.execute(f"INSERT INTO ledger_before {whole}")
    op.drop_table("ledger")
    op.rename_table("ledger_before", "ledger")


def _made(name: str, columns: Columns, *key: str) -> None:
    made = [sa.Column(column, kind, nullable=False, autoincrement=False) for column, kind in columns.items()]
    op.create_table(name, *made, sa.PrimaryKeyConstraint(*key), sqlite_with_rowid=False)
