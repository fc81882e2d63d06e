"""The ticks of the last days in PostgreSQL, for other tools: a table `ticks` with a partition for each day (UTC) of event time.

The days that rows need, and the day after the newest of them, are made in the transaction that writes the rows. Writers, and those
who let days go, take turns (`postgres.TURN`), so no two of them make or drop a day at once. A day is made beside the table and
then attached, which holds up nobody who reads.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from sqlalchemy import Connection

from tickhouse.core.batches import I64, TickBatch
from tickhouse.core.clock import SECOND
from tickhouse.stores import _ticks_pages
from tickhouse.stores._copy import Sent, added, binary, copy, raw, without_nan
from tickhouse.stores._rows import clustered
from tickhouse.stores._ticks_pages import COLUMNS, Stretch, date_of

DAY = 86_400 * SECOND
NAME = re.compile(r"ticks_(\d{8})")
DAYS = """
SELECT c.relname, greatest(c.reltuples, 1)::bigint FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'ticks'::regclass"""
SHORT = "SET LOCAL lock_timeout = '200ms'"


class DailyTicks:
    """`Ticks` in partitions."""

    def save(self, connection: Connection, batches: Sequence[TickBatch]) -> None:
        """Write ticks; those that are there already stay as they are."""
        self.put(connection, pa.concat_tables([_rows(batch) for batch in batches]))

    def put(self, connection: Connection, rows: pa.Table) -> None:
        """Write rows with the columns of the table; those that are there already stay as they are."""
        link = raw(connection)
        day = rows["event_time"].cast(pa.int64()).to_numpy() // DAY
        days = np.unique(day).tolist()
        _make(link, [*days, days[-1] + 1])
        for one in days:
            sent = binary(rows if len(days) == 1 else rows.filter(pa.array(day == one)))
            if not added(link, _name(one), sent):
                _add_rest(link, sent)

    def days(self, connection: Connection) -> list[int]:
        """The days that there are, as numbers since 1970."""
        return sorted(day for _, day, _ in _days(raw(connection)))

    def count(self, connection: Connection, day: int) -> int:
        """How many ticks a day has; they are read from end to end."""
        return _ticks_pages.count(raw(connection), day)

    def read(self, connection: Connection, stretch: Stretch, most: int) -> pa.Table:
        """The first ticks of a stretch, `most` at most, by key."""
        return _ticks_pages.read(raw(connection), stretch, most)

    def forget(self, connection: Connection, stretch: Stretch) -> None:
        """Take out the ticks of a stretch."""
        _ticks_pages.forget(raw(connection), stretch)

    def trim(self, connection: Connection, before: int) -> int:
        """Let go of a day that was over by a time (us), and return about how many ticks went with it.

        Who asks about ticks holds their table until the answer is there. That is not waited for: the day goes the next time.
        """
        link = raw(connection)
        over = ((name, count) for name, day, count in _days(link) if (day + 1) * DAY <= before)
        name, count = min(over, default=(None, 0))
        if name is None:
            return 0
        try:
            with link.transaction():
                link.execute(SHORT)
                link.execute(f"DROP TABLE {name}".encode())
        except psycopg.errors.LockNotAvailable:
            return 0
        return count


def _rows(batch: TickBatch) -> pa.Table:
    table = clustered(batch.to_arrow().append_column("number", pa.array(numbers(batch), pa.int32())))
    names = ("symbol", "conditions")
    plain = {name: table[name].cast(pa.string()) if name in names else table[name] for name in COLUMNS}
    return without_nan(pa.table(plain))


def numbers(batch: TickBatch) -> I64:
    """Which tick of its symbol in its message each one is, from 0 on: with the message and the symbol it names the tick."""
    if (np.diff(batch.raw) > 0).all():
        return np.zeros(len(batch), np.int64)
    order = np.lexsort((batch.symbol, batch.raw))
    message, symbol = batch.raw[order], batch.symbol[order]
    first = np.append(True, (np.diff(message) != 0) | (np.diff(symbol) != 0))
    place = np.arange(len(order))
    found = np.empty(len(order), np.int64)
    found[order] = place - np.maximum.accumulate(np.where(first, place, 0))
    return found


def _make(link: psycopg.Connection[Any], days: Sequence[int]) -> None:
    """Make the days that are not there."""
    there = {day for _, day, _ in _days(link)}
    for day in sorted(set(days) - there):
        name = _name(day)
        span = f"FOR VALUES FROM ('{date_of(day)}') TO ('{date_of(day + 1)}')"
        link.execute(f"CREATE TABLE IF NOT EXISTS {name} (LIKE ticks INCLUDING ALL)".encode())
        link.execute(f"ALTER TABLE ticks ATTACH PARTITION {name} {span}".encode())


def _add_rest(link: psycopg.Connection[Any], sent: Sent) -> None:
    """Some of the rows are there already."""
    link.execute("CREATE TEMP TABLE IF NOT EXISTS new_ticks (LIKE ticks) ON COMMIT DELETE ROWS")
    copy(link, "new_ticks", sent)
    link.execute("INSERT INTO ticks SELECT * FROM new_ticks ON CONFLICT DO NOTHING")
    link.execute("TRUNCATE new_ticks")


def _days(link: psycopg.Connection[Any]) -> Iterator[tuple[str, int, int]]:
    """The days there are: name, number since 1970, about how many ticks."""
    for name, count in link.execute(DAYS).fetchall():
        if found := NAME.fullmatch(name):
            began = datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=UTC)
            yield name, round(began.timestamp()) // 86_400, count


def _name(day: int) -> str:
    return f"ticks_{date_of(day):%Y%m%d}"
