"""What is written, as Arrow tables in the order of a database's columns and as plain rows; and what was read as Arrow again."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import BigInteger, Boolean, Date, Float, Integer, LargeBinary, Table, Text
from sqlalchemy.types import TypeEngine

from tickhouse.core.batches import Output
from tickhouse.stores._tables import (
    ACTIONS,
    ANOMALIES,
    BARS,
    COVERAGE,
    COVERED,
    FINDINGS,
    INDICATORS,
    LEDGER,
    OBSERVATIONS,
    SWITCHES,
    SYMBOLS,
)  # fmt: skip

Rows = list[tuple[Any, ...]]

TYPES = (
    (Text, pa.string()), (LargeBinary, pa.binary()), (Float, pa.float64()), (BigInteger, pa.int64()),
    (Integer, pa.int32()), (Boolean, pa.bool_()), (Date, pa.date32()),
)  # fmt: skip

CLUSTERED_FROM = 256
"""Fewer rows than this are written in the order they come."""

ABSENT = {"symbol": "", "source": "", "raw": -1, "count": 1, "missing": 0, "message": ""}
"""What stands for null in a column that is part of a key or a count."""


def of_output(output: Output, group: str) -> Iterator[tuple[Table, pa.Table]]:
    """Every row of an output of a group, table by table, with the columns of `prepared`; the summaries come last."""
    bars = [batch.to_arrow() for batch in output.bars if len(batch)]
    tables = [(BARS, table) for table in bars]
    rest = (INDICATORS, output.indicators), (ANOMALIES, output.anomalies), (FINDINGS, output.findings)
    tables += [
        (kind, table) for kind, table in (*rest, (COVERAGE, output.coverage)) if table is not None and table.num_rows
    ]
    as_they_came = (OBSERVATIONS, output.observations), (ACTIONS, output.actions), (SWITCHES, output.switches)
    known = [(kind, table) for kind, table in as_they_came if table is not None and table.num_rows]
    for kind, table in (*tables, *known):
        yield kind, prepared(kind, table, output.position)
    yield from _summaries(tables)
    if output.ledger:
        totals = [(group, source, name, total, output.position) for (source, name), total in output.ledger.items()]
        yield LEDGER, few(LEDGER, totals)


def _summaries(tables: list[tuple[Table, pa.Table]]) -> Iterator[tuple[Table, pa.Table]]:
    if series := [table for kind, table in tables if kind in (BARS, INDICATORS, ANOMALIES)]:
        yield SYMBOLS, spans(series)
    if stretches := [table for kind, table in tables if kind is COVERAGE]:
        yield COVERED, longest(stretches)


def prepared(kind: Table, table: pa.Table, position: int) -> pa.Table:
    """An Arrow table with the columns of `kind` in their order: times as microseconds, the position in each row."""
    table = clustered(table) if "symbol" in table.column_names else table
    columns = {c.name: plain(table[c.name], ABSENT.get(c.name)) for c in kind.columns if c.name != "position"}
    return pa.table({**columns, "position": np.full(table.num_rows, position)})


def few(kind: Table, rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows in the order of the columns of `kind` as an Arrow table."""
    columns = zip(*rows, strict=True)
    return pa.table({c.name: pa.array(v, _arrow(c.type)) for c, v in zip(kind.columns, columns, strict=True)})


@lru_cache
def _schema(kind: Table) -> pa.Schema:
    return pa.schema([(column.name, _arrow(column.type)) for column in kind.columns])


def typed(kind: Table, rows: pa.Table) -> pa.Table:
    """Rows of `prepared` or `few` whose numbers are as wide as the columns of the table."""
    wanted = _schema(kind)
    return rows if rows.schema.types == wanted.types else rows.cast(wanted)


def _arrow(kind: TypeEngine[Any]) -> pa.DataType | None:
    """The type of a column: its values alone do not always tell it."""
    return next((arrow for ours, arrow in TYPES if isinstance(kind, ours)), None)


def tuples(table: pa.Table) -> Rows:
    """The rows of what `prepared` or `few` made, for the driver of a database: days as text."""
    return list(zip(*(values(column) for column in table.columns), strict=True))


def clustered(table: pa.Table) -> pa.Table:
    """The rows with those of one symbol together, so that a database touches each of its pages once."""
    symbol = table["symbol"].combine_chunks()
    if not pa.types.is_dictionary(symbol.type) or table.num_rows < CLUSTERED_FROM:
        return table
    return table.take(np.argsort(symbol.indices.to_numpy(), kind="stable"))


def plain(column: pa.ChunkedArray, absent: object = None) -> pa.ChunkedArray:
    """A column without dictionaries, with times as microseconds and null as `absent`."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    elif pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    if absent is not None and column.null_count:
        column = column.fill_null(pa.scalar(absent, column.type))
    return column


def values(column: pa.ChunkedArray) -> list[Any]:
    """A column as plain values."""
    if pa.types.is_date(column.type):
        column = column.cast(pa.string())
    return list(column.to_pylist() if column.null_count else column.to_numpy().tolist())


def spans(tables: Iterable[pa.Table]) -> pa.Table:
    """(symbol, interval, source, first start, last start) of every series that occurs."""
    keys = ["symbol", "interval", "source"]
    plain = [pa.table({key: _text(table[key]) for key in keys} | {"start": table["start"]}) for table in tables]
    found = _grouped(pa.concat_tables(plain), keys, [("start", "min"), ("start", "max")])
    return found.rename_columns([*keys, "first_start", "last_start"])


def longest(tables: Iterable[pa.Table]) -> pa.Table:
    """(symbol, microseconds) of the longest stretch of every symbol that occurs."""
    sized = []
    for table in tables:
        ends, starts = (table[name].cast(pa.int64()).to_numpy() for name in ("end", "start"))
        sized.append(pa.table({"symbol": _text(table["symbol"]).fill_null(""), "longest": ends - starts}))
    return _grouped(pa.concat_tables(sized), ["symbol"], [("longest", "max")]).rename_columns(["symbol", "longest"])


def _grouped(table: pa.Table, keys: list[str], wanted: list[tuple[str, str]]) -> pa.Table:
    grouped = table.group_by(keys, use_threads=False).aggregate(wanted)
    return pa.table({n: plain(grouped[n]) for n in (*keys, *(f"{name}_{how}" for name, how in wanted))})


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string())


def to_arrow(schema: pa.Schema, found: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows in the order of a schema's columns as a table of that schema."""
    if not found:
        return schema.empty_table()
    columns = [pa.array(_typed(c, f.type), f.type) for c, f in zip(zip(*found, strict=True), schema, strict=True)]
    return pa.table(columns, schema=schema)


def _typed(column: Sequence[Any], kind: pa.DataType) -> Sequence[Any]:
    """Some databases keep a flag as 0 or 1, and a day as text."""
    if pa.types.is_date(kind):
        return [date.fromisoformat(value) if isinstance(value, str) else value for value in column]
    return [bool(value) for value in column] if pa.types.is_boolean(kind) else column


def of_metrics(at: int, given: Mapping[tuple[str, str], float]) -> Rows:
    """One point of every metric."""
    return [(at, source, name, value) for (source, name), value in given.items()]
