"""The ledger of each source: where every message and every row went.

received = parsed + control + rejected                      messages
rows     = accepted + duplicate + late + invalid + pending  ticks and ready-made bars; pending are journaled and not yet processed
"""

from typing import Any

from tickhouse.journal import Journal
from tickhouse.stores import Warm

MESSAGES = ("received", "parsed", "control", "rejected")
ROWS = ("rows", "accepted", "duplicate", "late", "invalid")


def ledger(journal: Journal, warm: Warm) -> dict[str, dict[str, Any]]:
    """The totals of each source since the house began, with `pending` and `balanced`."""
    done = warm.ledger()
    taken = journal.ledger()
    rows: dict[str, dict[str, Any]] = {}
    for source in sorted({source for source, _ in (*taken, *done)}):
        row: dict[str, Any] = {
            name: taken.get((source, name), done.get((source, name), 0)) for name in (*MESSAGES, *ROWS)
        }
        row["pending"] = row["rows"] - row["accepted"] - row["duplicate"] - row["late"] - row["invalid"]
        row["balanced"] = row["received"] == row["parsed"] + row["control"] + row["rejected"] and row["pending"] >= 0
        rows[source] = row
    return rows
