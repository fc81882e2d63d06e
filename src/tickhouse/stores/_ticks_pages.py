"""Ticks that PostgreSQL keeps, read in pages along their key: a stretch of a day at a time."""

from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from pyarrow import csv

from tickhouse.core.model import TIME

if TYPE_CHECKING:
    import psycopg

COLUMNS = (
    "event_time", "received_at", "price", "size", "first_id", "last_id", "raw", "number", "symbol", "source", "conditions",
)  # fmt: skip
"""Of fixed width first, so that no room is lost between them."""
KEY = ("symbol", "event_time", "raw", "number")
TIMES = ("event_time", "received_at")
TYPES = {
    "price": pa.float64(), "size": pa.float64(), "first_id": pa.int64(), "last_id": pa.int64(), "raw": pa.int64(),
    "number": pa.int32(), "symbol": pa.string(), "source": pa.string(), "conditions": pa.string(),
}  # fmt: skip
SCHEMA = pa.schema([(name, TYPES.get(name, TIME)) for name in COLUMNS])
Key = tuple[str, datetime, int, int]


class Stretch(NamedTuple):
    """The ticks of a day (of 1970) whose keys are behind `after` and not behind `last`; None: no such bound."""

    day: int
    after: Key | None = None
    last: Key | None = None


def read(link: "psycopg.Connection[Any]", stretch: Stretch, most: int) -> pa.Table:
    """The first ticks of a stretch, `most` at most, by key."""
    columns = ", ".join(f"(extract(epoch FROM {c}) * 1000000)::bigint" if c in TIMES else c for c in COLUMNS)
    where, bounds = _within(stretch)
    wanted = f"SELECT {columns} FROM ticks WHERE {where} ORDER BY {', '.join(KEY)} LIMIT {most}"  # noqa: S608 - our own names
    link.execute("SET LOCAL enable_sort = off")  # along the key, also where there are no statistics of a new day
    data = BytesIO()
    with link.cursor() as cursor, cursor.copy(f"COPY ({wanted}) TO STDOUT (FORMAT csv)".encode(), bounds) as source:
        for block in source:
            data.write(block)
    return _parsed(data.getvalue())


def forget(link: "psycopg.Connection[Any]", stretch: Stretch) -> None:
    """Take out the ticks of a stretch."""
    where, bounds = _within(stretch)
    link.execute(f"DELETE FROM ticks WHERE {where}".encode(), bounds)  # noqa: S608 - our own names


def count(link: "psycopg.Connection[Any]", day: int) -> int:
    """How many ticks a day has."""
    link.execute("SET LOCAL statement_timeout = 0")  # it is read from end to end
    where, bounds = _within(Stretch(day))
    (found,) = link.execute(f"SELECT count(*) FROM ticks WHERE {where}".encode(), bounds).fetchall()  # noqa: S608 - our own names
    return int(found[0])


def last_key(rows: pa.Table) -> Key:
    """The key of the last of some ticks."""
    symbol, event_time, raw, number = (rows[name][-1].as_py() for name in KEY)
    return symbol, event_time, raw, number


def _within(stretch: Stretch) -> tuple[str, list[Any]]:
    """What a stretch is in SQL."""
    parts = ["event_time >= %s AND event_time < %s"]
    bounds: list[Any] = [date_of(stretch.day), date_of(stretch.day + 1)]
    for sign, key in ((">", stretch.after), ("<=", stretch.last)):
        if key is not None:
            parts.append(f"({', '.join(KEY)}) {sign} (%s, %s, %s, %s)")
            bounds.extend(key)
    return " AND ".join(parts), bounds


def _parsed(data: bytes) -> pa.Table:
    if not data:
        return SCHEMA.empty_table()
    plain = {name: pa.int64() if name in TIMES else TYPES[name] for name in COLUMNS}
    rows = csv.read_csv(
        BytesIO(data),
        csv.ReadOptions(column_names=COLUMNS, use_threads=False),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types=plain, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    return rows.cast(SCHEMA)


def date_of(day: int) -> datetime:
    """When a day begins."""
    return datetime.fromtimestamp(day * 86_400, UTC)
