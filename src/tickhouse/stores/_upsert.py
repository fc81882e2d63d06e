"""What happens to a row whose key is stored already, the same in every database."""

from typing import Any

from sqlalchemy import Table, case, or_

from tickhouse.stores._tables import ACTIONS, ANOMALIES, BARS, COVERED, INDICATORS, LEDGER, POSITIONS, SYMBOLS

SAID_AGAIN = (BARS, INDICATORS, ANOMALIES)
"""What is processed again after a crash comes out as it was: rows that say what is stored already are left as they are, which
costs no more than looking. Their position is that of the first output that said it."""


def upsert(statement: Any, table: Table) -> Any:
    """`statement`, the dialect's INSERT into the table, told what to do where the key is there already.

    A row replaces the one before, if it says something else. But a position, and what goes by it, never goes back, a summary only
    grows, and an action that is stated again is known since it was stated first.
    """
    new, key = statement.excluded, [column.name for column in table.primary_key]
    changed: dict[str, Any] = {c.name: new[c.name] for c in table.columns if c.name not in key}
    where = None
    if table in (POSITIONS, LEDGER):
        where = new.position >= table.c.position
    elif table in SAID_AGAIN:
        other = [new[name].is_distinct_from(table.c[name]) for name in changed if name != "position"]
        where = or_(*other, new.position < table.c.position)
    elif table is SYMBOLS:
        s = SYMBOLS.c
        earlier, later = new.first_start < s.first_start, new.last_start > s.last_start
        changed = {
            "first_start": case((earlier, new.first_start), else_=s.first_start),
            "last_start": case((later, new.last_start), else_=s.last_start),
        }
        where = earlier | later
    elif table is COVERED:
        where = new.longest > table.c.longest
    elif table is ACTIONS:
        where = new.value != table.c.value
    if not changed:
        return statement.on_conflict_do_nothing(index_elements=key)
    return statement.on_conflict_do_update(index_elements=key, set_=changed, where=where)
