"""Arrow tables to plain rows for a database, and back."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import Table

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

CLUSTERED_FROM = 256
"""Fewer rows than this are written in the order they come."""

ABSENT = {"symbol": "", "source": "", "raw": -1, "count": 1, "missing": 0, "message": ""}
"""What stands for null in a column that is part of a key or a count."""


def of_output(output: Output) -> Iterator[tuple[Table, Rows]]:
    """Every row of an output, table by table, in the order of the tables' columns; the summaries come last."""
    bars = [batch.to_arrow() for batch in output.bars if len(batch)]
    tables = [(BARS, table) for table in bars]
    rest = (INDICATORS, output.indicators), (ANOMALIES, output.anomalies), (FINDINGS, output.findings)
    tables += [
        (kind, table) for kind, table in (*rest, (COVERAGE, output.coverage)) if table is not None and table.num_rows
    ]
    for kind, table in tables:
        yield kind, rows(kind, table, output.position)
    as_they_came = (OBSERVATIONS, output.observations), (ACTIONS, output.actions), (SWITCHES, output.switches)
    for kind, table in as_they_came:
        if table is not None and table.num_rows:
            yield kind, rows(kind, table, output.position)
    yield SYMBOLS, spans(table for kind, table in tables if kind in (BARS, INDICATORS, ANOMALIES))
    yield COVERED, longest(table for kind, table in tables if kind is COVERAGE)
    yield LEDGER, [(source, name, total, output.position) for (source, name), total in output.ledger.items()]


def rows(kind: Table, table: pa.Table, position: int) -> Rows:
    """The rows of an Arrow table as tuples in the order of `kind`'s columns, each with the position at its end."""
    table = clustered(table) if "symbol" in table.column_names else table
    columns = [values(table[c.name], ABSENT.get(c.name)) for c in kind.columns if c.name != "position"]
    return list(zip(*columns, repeat(position, table.num_rows), strict=True))


def clustered(table: pa.Table) -> pa.Table:
    """The rows with those of one symbol together, so that a database touches each of its pages once."""
    symbol = table["symbol"].combine_chunks()
    if not pa.types.is_dictionary(symbol.type) or table.num_rows < CLUSTERED_FROM:
        return table
    return table.take(np.argsort(symbol.indices.to_numpy(), kind="stable"))


def values(column: pa.ChunkedArray, absent: object = None) -> list[Any]:
    """A column as plain values: times as microseconds, null as `absent`."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    elif pa.types.is_date(column.type):
        column = column.cast(pa.string())
    elif pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    if not column.null_count:
        return list(column.to_numpy().tolist())
    if absent is not None:
        column = column.fill_null(pa.scalar(absent, column.type))
    return list(column.to_pylist())


def spans(tables: Iterable[pa.Table]) -> Rows:
    """(symbol, interval, source, first start, last start) of every series that occurs."""
    return [
        row
        for table in tables
        for row in _grouped(table, ["symbol", "interval", "source"], [("start", "min"), ("start", "max")])
    ]


def longest(tables: Iterable[pa.Table]) -> Rows:
    """(symbol, microseconds) of the longest stretch of every symbol that occurs."""
    found = []
    for table in tables:
        ends, starts = (table[name].cast(pa.int64()).to_numpy() for name in ("end", "start"))
        sized = pa.table({"symbol": table["symbol"].fill_null(""), "length": ends - starts})
        found += _grouped(sized, ["symbol"], [("length", "max")])
    return found


def _grouped(table: pa.Table, keys: list[str], wanted: list[tuple[str, str]]) -> Rows:
    plain = {key: _text(table[key]) for key in keys}
    plain |= {name: table[name] for name, _ in wanted}
    grouped = pa.table(plain).group_by(keys, use_threads=False).aggregate(wanted)
    order = [*keys, *(f"{name}_{how}" for name, how in wanted)]
    return list(zip(*(values(grouped[name]) for name in order), strict=True))


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
