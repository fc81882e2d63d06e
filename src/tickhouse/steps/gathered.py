"""Findings between two checkpoints, gathered: one row for each thing that was found, and not one for each batch it was found in.

They are stored with the state of the engine. So none is lost or counted twice by a crash: what followed the state is found again.
"""

from typing import Any

import pyarrow as pa

from tickhouse.core.model import FINDING

ALIKE = ("source", "symbol", "check", "severity", "message")


class Gathered:
    """Findings that wait for the next checkpoint."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, ...], dict[str, Any]] = {}

    def add(self, table: pa.Table | None) -> None:
        """Take findings in: those alike become one row, at the moment and the message of the first, with the sum of the counts."""
        for row in [] if table is None else table.to_pylist():
            known = self._rows.setdefault(tuple(row[name] for name in ALIKE), {**row, "count": 0})
            known["count"] += row["count"]

    def take(self) -> pa.Table | None:
        """What was gathered, in order of its moments; nothing of it stays."""
        rows, self._rows = sorted(self._rows.values(), key=lambda row: row["at"]), {}
        return pa.Table.from_pylist(rows, schema=FINDING) if rows else None
