"""What was said before: the rows in the stores, and over them the rows that this run has not stored yet."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tickhouse.core.batches import I64, BarBatch
from tickhouse.core.model import ANOMALY, BAR, INDICATOR, TIME, Query, interval_us
from tickhouse.process import History
from tickhouse.process.series import FIELDS

Old = dict[tuple[str, int], tuple[int, str]]
"""By (symbol, start): the newest version of an indicator row and its values."""
Judged = dict[tuple[str, int, str], tuple[int, bool, float, float]]
"""By (symbol, start, detector): the newest version of an anomaly, whether it is retracted, value and threshold."""


class Said:
    """Answers questions about earlier rows as of the journal position `before`.

    The stores are asked as they were at `before`; what came out since is kept here until `before` rises, when the caller has
    stored it. Without a history everything is kept for good, which is meant for short runs.
    """

    def __init__(self, history: History | None) -> None:
        self._history = history
        self._before = 0
        self.forget()

    def forget(self) -> None:
        """Drop what is not stored: a run begins or goes on from a snapshot."""
        self._bars: list[BarBatch] = []
        self._indicators: list[pa.Table] = []
        self._anomalies: list[pa.Table] = []

    def up_to(self, before: int) -> None:
        """Everything said while `before` was less has been stored."""
        if before > self._before and self._history is not None:
            self.forget()
        self._before = before

    def add(self, bars: BarBatch) -> None:
        """Remember closed bars."""
        self._bars.append(bars)

    def add_rows(self, indicators: pa.Table | None, anomalies: pa.Table | None) -> None:
        """Remember rows that came out."""
        self._indicators += [indicators] if indicators is not None else []
        self._anomalies += [anomalies] if anomalies is not None else []

    def bars(self, query: Query) -> tuple[list[str], I64, dict[str, NDArray[Any]]]:
        """The newest version of each bar asked for, by symbol and start: the symbols, each bar's place in them, the columns.

        `last` counts for each symbol. A question about indicators or anomalies has none.
        """
        kept = [_only(batch, query) for batch in self._bars if batch.source == query.source]
        parts = [batch.to_arrow().cast(BAR) for batch in kept if len(batch)]
        stored = [self._history.bars(replace(query, before=self._before))] if self._history else []
        table = _joined(BAR, [*stored, *parts], query).combine_chunks()
        coded = table["symbol"].combine_chunks().dictionary_encode()
        symbols, code = coded.dictionary.to_pylist(), np.asarray(coded.indices, np.int64)
        start, version = np.asarray(table["start"].cast(pa.int64())), np.asarray(table["version"])
        order = np.lexsort((np.arange(len(code)), version, start, code))
        code, start = code[order], start[order]
        newest = np.append((code[1:] != code[:-1]) | (start[1:] != start[:-1]), np.ones(min(len(code), 1), bool))
        if query.last is not None:
            newest[newest] = _last(code[newest], query.last)
        chosen = order[newest]
        columns = {
            name: table[name].fill_null(np.nan).to_numpy()[chosen].astype(np.float64)
            for name in FIELDS
            if name != "start"
        }
        return symbols, code[newest], {"start": start[newest], **columns}

    def indicators(self, query: Query) -> Old:
        """The newest version of each indicator row asked for."""
        stored = [self._history.indicators(replace(query, before=self._before))] if self._history else []
        table = _joined(INDICATOR, [*stored, *self._indicators], query)
        found: Old = {}
        for symbol, start, version, values in _rows(table, "symbol", "start", "version", "values"):
            if version >= found.get((symbol, start), (-1, ""))[0]:
                found[symbol, start] = version, values
        return found

    def anomalies(self, query: Query) -> Judged:
        """The newest version of each anomaly asked for, retracted ones too."""
        asked = replace(query, before=self._before, versions=True)
        stored = [self._history.anomalies(asked)] if self._history else []
        table = _joined(ANOMALY, [*stored, *self._anomalies], query)
        found: Judged = {}
        names = ("symbol", "start", "detector", "version", "retracted", "value", "threshold")
        for symbol, start, detector, version, retracted, value, threshold in _rows(table, *names):
            key = symbol, start, detector
            if key not in found or version >= found[key][0]:
                found[key] = version, retracted, _float(value), _float(threshold)
        return found


def _only(batch: BarBatch, query: Query) -> BarBatch:
    """The bars of a batch that are asked for."""
    wanted = [i for i, symbol in enumerate(batch.symbols) if symbol in query.symbols]
    inside = np.isin(batch.symbol, wanted) & (batch.interval == interval_us(query.interval or ""))
    inside &= True if query.start is None else batch.start >= query.start
    inside &= True if query.end is None else batch.start < query.end
    return batch.take(inside)


def _last(code: I64, count: int) -> NDArray[np.bool_]:
    """Which of ascending codes are among the last `count` of their kind."""
    left: I64 = np.searchsorted(code, code, side="right") - np.arange(len(code))
    return left <= count


def _joined(schema: pa.Schema, tables: list[pa.Table], query: Query) -> pa.Table:
    """The rows asked for of all tables, in their order."""
    parts = [_matching(table.select(schema.names).cast(schema), query) for table in tables if table.num_rows]
    return pa.concat_tables(parts) if parts else schema.empty_table()


def _matching(table: pa.Table, query: Query) -> pa.Table:
    keep = pc.and_(pc.equal(table["source"], query.source), pc.equal(table["interval"], query.interval))
    keep = pc.and_(keep, pc.is_in(table["symbol"], pa.array(query.symbols, pa.string())))
    if query.start is not None:
        keep = pc.and_(keep, pc.greater_equal(table["start"], pa.scalar(query.start).cast(TIME)))
    if query.end is not None:
        keep = pc.and_(keep, pc.less(table["start"], pa.scalar(query.end).cast(TIME)))
    return table.filter(keep)


def _rows(table: pa.Table, *names: str) -> zip:  # type: ignore[type-arg]
    """The rows as tuples, times as integers."""
    columns = (table[name].cast(pa.int64()) if name == "start" else table[name] for name in names)
    return zip(*(column.to_pylist() for column in columns), strict=True)


def _float(value: float | None) -> float:
    return float("nan") if value is None else value
