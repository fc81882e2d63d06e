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
from tickhouse.stores._copy import Sent, added, binary, copy, raw, without_nan
from tickhouse.stores._rows import clustered

COLUMNS = (
    "event_time", "received_at", "price", "size", "first_id", "last_id", "raw", "number", "symbol", "source", "conditions",
)  # fmt: skip
"""Of fixed width first, so that no room is lost between them."""
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
        link = raw(connection)
        rows = pa.concat_tables([_rows(batch) for batch in batches])
        day = rows["event_time"].cast(pa.int64()).to_numpy() // DAY
        days = np.unique(day).tolist()
        _make(link, [*days, days[-1] + 1])
        for one in days:
            sent = binary(rows if len(days) == 1 else rows.filter(pa.array(day == one)))
            if not added(link, _name(one), sent):
                _add_rest(link, sent)

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
        span = f"FOR VALUES FROM ('{_date(day)}') TO ('{_date(day + 1)}')"
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
    return f"ticks_{_date(day):%Y%m%d}"


def _date(day: int) -> datetime:
    return datetime.fromtimestamp(day * 86_400, UTC)
