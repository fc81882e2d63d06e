"""How the groups of a house are, for its status."""

from collections import Counter
from typing import Any

from tickhouse.core.marks import HEARD
from tickhouse.core.model import Query
from tickhouse.core.settings import GroupSettings, Settings
from tickhouse.core.times import microseconds, rfc3339
from tickhouse.journal import Journal
from tickhouse.steps.lines import lines
from tickhouse.stores import Warm

MOST_SWITCHES = 10
"""How many of the newest switches of a group are told."""


def groups(settings: Settings, journal: Journal, warm: Warm) -> dict[str, Any]:
    """Each group: which of its feeds are heard, for how many symbols each is in use, and the newest switches."""
    return {name: _group(group, journal, warm) for name, group in settings.groups.items()}


def _group(group: GroupSettings, journal: Journal, warm: Warm) -> dict[str, Any]:
    rows = warm.switches(Query(group.symbols)).to_pylist()
    last = {row["symbol"]: row["to_source"] for row in rows}
    used = Counter(last.get(symbol, group.feeds[0]) for symbol in group.symbols)
    heard = {feed: any(line.event in HEARD for line in lines(journal, feed).values()) for feed in group.feeds}
    newest = sorted(rows, key=lambda row: row["at"])[-MOST_SWITCHES:]
    return {
        "symbols": len(group.symbols),
        "feeds": [{"feed": feed, "heard": heard[feed], "in_use": used[feed]} for feed in group.feeds],
        "answers": any(heard.values()),
        "switches": [{**row, "at": rfc3339(microseconds(row["at"]))} for row in newest],
    }
