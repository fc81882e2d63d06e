"""Old rows are let go a portion at a time, so that a writer waits no longer than one portion takes."""

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, exists, select, update

from tickhouse.stores import Kept
from tickhouse.stores._tables import ANOMALIES, BARS, COVERAGE, COVERED, FINDINGS, INDICATORS, QUALITY_METRICS, SYMBOLS

PORTION = 2_000
"""About so many rows of a table go at once."""
OF_SERIES = (BARS, INDICATORS, ANOMALIES)

Where = list[ColumnElement[bool]]


def trim(connection: Connection, kept: Kept, before: int, interval: str | None) -> int:
    """Delete a portion of what is older than a time (us); returns how many rows went."""
    if kept == "bars":
        return _bars(connection, before, interval)
    if kept == "coverage":
        return _coverage(connection, before)
    at = FINDINGS.c.at if kept == "findings" else QUALITY_METRICS.c.at
    return _oldest(connection, at, [at < before])


def _bars(connection: Connection, before: int, interval: str | None) -> int:
    s = SYMBOLS.c
    where = [s.first_start < before, *([s.interval == interval] if interval else [])]
    found = connection.execute(select(s.symbol, s.interval, s.source).where(*where).limit(PORTION)).all()
    return _portion(found, lambda series: _series(connection, series, before))


def _series(connection: Connection, series: Any, before: int) -> int:
    """Delete old bars of a series and what was said of them, up to the same one, and correct the summary."""
    tables = [(table.c, _same(table.c, series)) for table in OF_SERIES]
    ends = [_end(connection, c.start, [*same, c.start < before]) for c, same in tables]
    last = min((end for end in ends if end is not None), default=before - 1)
    gone = sum(_delete(connection, c.start, [*same, c.start <= last]) for c, same in tables)
    starts = (
        connection.execute(select(c.start).where(*same).order_by(c.start).limit(1)).scalar() for c, same in tables
    )
    left = [start for start in starts if start is not None]
    summary: Any = update(SYMBOLS).values(first_start=min(left)) if left else delete(SYMBOLS)
    connection.execute(summary.where(*_same(SYMBOLS.c, series)))
    return gone


def _coverage(connection: Connection, before: int) -> int:
    c = COVERAGE.c
    old = [c.start < before, c.end <= before]
    some = exists(select(1).select_from(COVERAGE).where(c.symbol == COVERED.c.symbol, *old))
    symbols = connection.execute(select(COVERED.c.symbol).where(some).limit(PORTION)).scalars().all()
    return _portion(symbols, lambda symbol: _oldest(connection, c.start, [c.symbol == symbol, *old]))


def _portion(parts: Iterable[Any], let_go: Callable[[Any], int]) -> int:
    """Let go of one part after the other until it is enough."""
    gone = 0
    for part in parts:
        gone += let_go(part)
        if gone >= PORTION:
            break
    return gone


def _oldest(connection: Connection, time: Any, where: Where) -> int:
    """Delete the first rows by time of those that are old."""
    last = _end(connection, time, where)
    return _delete(connection, time, where if last is None else [*where, time <= last])


def _end(connection: Connection, time: Any, where: Where) -> int | None:
    """The time of the last row of a portion, in order of time; None when there are fewer rows."""
    found = select(time).where(*where).order_by(time).offset(PORTION - 1).limit(1)
    return connection.execute(found).scalar()


def _delete(connection: Connection, time: Any, where: Where) -> int:
    return connection.execute(delete(time.table).where(*where)).rowcount


def _same(columns: Any, series: Any) -> Where:
    return [columns.symbol == series[0], columns.interval == series[1], columns.source == series[2]]
