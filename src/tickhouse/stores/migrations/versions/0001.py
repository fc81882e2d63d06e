"""The first tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from tickhouse.stores._types import BIG, BYTES, DAY, FLAG, REAL, TEXT, WHOLE

revision = "0001"
down_revision = None

BAR_KEY = {"symbol": TEXT, "source": TEXT, "interval": TEXT, "start": BIG}
TABLES: dict[str, tuple[str, dict[str, Any]]] = {
    "bars": (
        "symbol interval start source version",
        {
            **BAR_KEY, "open": REAL, "high": REAL, "low": REAL, "close": REAL, "volume": REAL, "vwap": REAL, "trades": BIG,
            "completeness": REAL, "state": TEXT, "version": WHOLE, "first_raw": BIG, "last_raw": BIG, "known_at": BIG,
            "position": BIG,
        },
    ),
    "indicators": (
        "symbol interval start source version",
        {**BAR_KEY, "version": WHOLE, "known_at": BIG, "values": TEXT, "position": BIG},
    ),
    "anomalies": (
        "symbol interval start source version detector",
        {
            **BAR_KEY, "detector": TEXT, "version": WHOLE, "value": REAL, "threshold": REAL, "retracted": FLAG,
            "known_at": BIG, "position": BIG,
        },
    ),
    "findings": (
        "at source symbol check severity raw message",
        {
            "source": TEXT, "symbol": TEXT, "check": TEXT, "severity": TEXT, "at": BIG, "count": BIG, "message": TEXT,
            "raw": BIG, "position": BIG,
        },
    ),
    "coverage": (
        "symbol start source channel",
        {
            "source": TEXT, "symbol": TEXT, "channel": TEXT, "start": BIG, "end": BIG, "state": TEXT, "missing": BIG,
            "position": BIG,
        },
    ),
    "symbols": (
        "symbol interval source",
        {"symbol": TEXT, "interval": TEXT, "source": TEXT, "first_start": BIG, "last_start": BIG},
    ),
    "covered": ("symbol", {"symbol": TEXT, "longest": BIG}),
    "ledger": ("source name", {"source": TEXT, "name": TEXT, "total": BIG, "position": BIG}),
    "positions": ("group", {"group": TEXT, "position": BIG}),
    "checkpoints": ("group position", {"group": TEXT, "position": BIG, "state": BYTES}),
    "quality_metrics": ("at source name", {"at": BIG, "source": TEXT, "name": TEXT, "value": REAL}),
    "observations": (
        "series date source vintage",
        {"series": TEXT, "source": TEXT, "date": DAY, "value": REAL, "vintage": DAY, "raw": BIG, "position": BIG},
    ),
}  # fmt: skip


def upgrade() -> None:
    """Make the tables."""
    for name, (key, columns) in TABLES.items():
        op.create_table(
            name,
            *(sa.Column(column, kind, nullable=kind is REAL, autoincrement=False) for column, kind in columns.items()),
            sa.PrimaryKeyConstraint(*key.split()),
            sqlite_with_rowid=name == "checkpoints",
        )
    op.create_index("findings_by_symbol", "findings", ["symbol", "at"])


def downgrade() -> None:
    """Drop them."""
    for name in reversed(TABLES):
        op.drop_table(name)
