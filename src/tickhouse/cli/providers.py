"""`tickhouse feeds`: every provider there is, and how it is with it."""

from collections.abc import Mapping
from typing import Any

from tickhouse.core import sessions
from tickhouse.core.clock import Clock, SystemClock
from tickhouse.core.errors import SettingsError
from tickhouse.core.marks import HEARD
from tickhouse.core.plugins import names
from tickhouse.core.quantities import duration_text
from tickhouse.core.requests import Ways
from tickhouse.core.settings import FeedSettings, Settings
from tickhouse.core.times import rfc3339
from tickhouse.feeds import Feed
from tickhouse.steps import chosen, locks, quota
from tickhouse.steps.lines import LineState, lines

WAYS = ("socket", "polled", "history")
Row = dict[str, Any]


def providers(settings: Settings, clock: Clock | None = None) -> list[Row]:
    """One row a feed, as plain values. A section that cannot be used is told in its row as `error`."""
    clock = clock or SystemClock()
    journal = chosen.journal(settings) if settings.data.is_dir() else None
    running = settings.data.is_dir() and locks.holder(settings.data, "ingest") is not None
    try:
        rows = []
        for name in dict.fromkeys([*names("feeds"), *settings.feeds]):
            section = settings.feeds.get(name)
            known = lines(journal, name) if journal is not None else {}
            try:
                feed = chosen.feed(settings, name)
                row = _row(feed, section, settings, clock)
            except SettingsError as error:
                row = {"feed": name, "error": str(error)}
            rows.append({**row, "lines": _lines(known), "running": running and name in settings.feeds})
        return rows
    finally:
        if journal is not None:
            journal.close()


def _row(feed: Feed, section: FeedSettings | None, settings: Settings, clock: Clock) -> Row:
    about, given = feed.about, section or FeedSettings()
    market, now = given.market or about.market, clock.now()
    is_open = sessions.open_at(market, now)
    polled = feed.ways.is_polled(given.channel or feed.channel)
    return {
        "feed": feed.name, "title": about.title, "symbols": len(settings.symbols_of(feed.name)) if section else 0,
        "channel": given.channel or feed.channel, "channels": _ways(feed.ways),
        "every": (given.every or feed.ways.every) if polled else None,
        "key": {"needed": about.key, "set": bool(given.key)},
        "quota": quota.quotas(settings, {feed.name: given.paced(feed.pace)}, clock)[feed.name], "market": market, "open": is_open,
        "opens": None if is_open else rfc3339(sessions.next_open(market, now)), "licence": about.licence,
    }  # fmt: skip


def _ways(ways: Ways) -> dict[str, list[str]]:
    """In which ways each channel can be had."""
    found: dict[str, list[str]] = {}
    for way in WAYS:
        for channel in getattr(ways, way):
            found.setdefault(channel, []).append(way)
    return found


def _lines(known: Mapping[str, LineState]) -> list[Row]:
    return [
        {
            "line": name, "up": state.event in HEARD, "heard": rfc3339(state.heard) if state.heard else None,
            "told": rfc3339(state.told), "channel": state.channel, "symbols": state.symbols, **state.detail,
        } for name, state in known.items()
    ]  # fmt: skip


def told(row: Row) -> str:
    """A row as one line for a person."""
    if "error" in row:
        return f"{row['feed']}: {row['error']}"
    by_way = {way: [name for name, ways in row["channels"].items() if way in ways] for way in WAYS}
    key = row["key"]["needed"]
    parts = [
        f"{row['feed']}: {row['title']}",
        "; ".join(f"{way} {', '.join(some)}" for way, some in by_way.items() if some) or "files",
        "no key needed" if key == "none" else f"key {key}, {'set' if row['key']['set'] else 'not set'}",
        quota.told(row["quota"]),
        row["market"] if row["open"] else f"{row['market']} (closed until {row['opens'][:16]}Z)",
        *([_health(row)] if row["symbols"] else []),
        row["licence"],
    ]
    return "  |  ".join(parts)


def _health(row: Row) -> str:
    if not row["running"]:
        return "not running"
    told = [
        f"{line['line']} {'up' if line['up'] else 'down'}"
        + (f" every {duration_text(float(line['every']))}" if line.get("every") else "")
        + (f": {line['reason']}" if line.get("reason") else "")
        for line in row["lines"]
    ]
    return "; ".join(told) or "no word yet"
