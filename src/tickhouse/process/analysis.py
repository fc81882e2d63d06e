"""Indicators and anomalies of closed bars, and their corrections."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tickhouse.core.batches import F64, I64, BarBatch
from tickhouse.core.errors import BadQuery
from tickhouse.core.model import Query, interval_text
from tickhouse.process import Detector, History, Indicator
from tickhouse.process.catalog import apply, indicator, names_of
from tickhouse.process.corrections import Again, known_since
from tickhouse.process.rows import Keys, anomalous, anomaly_rows, indicator_rows
from tickhouse.process.said import Said
from tickhouse.process.series import FIELDS, NEVER, SeriesTable

Tables = tuple[pa.Table | None, pa.Table | None]
SERIES_AT_ONCE = 500
"""How many series one question to the stores names."""


class Analysis:
    """Feeds closed bars to the indicators and detectors of each series, and says what follows.

    A bar newer than all of its series goes on from the state. A bar at or before the newest one (a correction, or an old bar
    seen for the first time) makes the series start again from the start of its day, or from its first bar, over the bars as
    they are now; then only rows that changed come out, with the next version. All late bars of one call count as one correction.
    The state at the start of the day is a copy, or, where a few bars decide it, made again of the last bars before.
    """

    def __init__(self, indicators: Sequence[Indicator], detectors: Sequence[Detector], history: History | None) -> None:
        self._names, self._detectors = names_of(indicators), [one.label for one in detectors]
        self._series = SeriesTable([*indicators, *detectors])
        self._said = Said(history)

    def closed(self, bars: BarBatch, before: int) -> Tables:
        """The rows of schema `model.INDICATOR` and `model.ANOMALY` that follow from closed or corrected bars of one source.

        New bars of a series come in order of start. `before` is the journal position up to which the rows of earlier calls are
        stored.
        """
        self._said.up_to(before)
        if not len(bars) or not (self._names or self._detectors):
            return None, None
        self._said.add(bars)
        rows = self._series.rows_of(bars)
        late = self._late(rows, bars)
        said = [self._new(rows[~late], bars.take(~late))] if not late.all() else []
        if late.any():
            said += self._again(rows[late], bars.take(late))
        joined = _joined([one for one, _ in said]), _joined([one for _, one in said])
        self._said.add_rows(*joined)
        return joined

    def known(self, bars: BarBatch, before: int) -> None:
        """Hear of bars that are public and come to `closed` later: a correction until then sees them, stored or not."""
        self._said.up_to(before)
        self._said.add(bars)

    def up_to(self, before: int) -> None:
        """Let go of rows: by the next call everything is stored that was said of the journal up to the position `before`."""
        self._said.up_to(before)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """All state as arrays of numbers. Rows not stored yet are not in it: store each output before the next call."""
        return self._series.snapshot()

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a snapshot. Raises `SettingsError` when it was made with other indicators or detectors."""
        self._series.restore(arrays)
        self._said.forget()

    def _late(self, rows: I64, bars: BarBatch) -> NDArray[np.bool_]:
        """The bars of every series that has one which is not newer than all before it."""
        order = np.argsort(rows, kind="stable")
        behind = bars.start <= self._series.newest[rows]
        falling = (np.diff(rows[order]) == 0) & (np.diff(bars.start[order]) <= 0)
        behind[order[1:][falling]] = True
        return np.isin(rows, rows[behind]) if behind.any() else behind

    def _new(self, rows: I64, bars: BarBatch) -> Tables:
        """Rows of bars that are newer than all of their series."""
        values, verdicts = self._fed(rows, {name: getattr(bars, name) for name in FIELDS})
        said = (
            indicator_rows(Keys.of(bars), self._names, values, np.zeros(len(bars), np.int32)) if self._names else None
        )
        bar, detector = anomalous(verdicts)
        if not len(bar):
            return said, None
        names, versions = [self._detectors[i] for i in detector.tolist()], np.zeros(len(bar), np.int32)
        return said, anomaly_rows(Keys.of(bars.take(bar)), names, verdicts[bar, detector], versions, [False] * len(bar))

    def _fed(self, rows: I64, columns: Mapping[str, NDArray[Any]]) -> tuple[F64, F64]:
        out = self._series.advance(rows, columns)
        split = len(self._names)
        return out[:, :split], out[:, split:].reshape(len(out), -1, 2)

    def _again(self, rows: I64, bars: BarBatch) -> list[Tables]:
        """Rows that change because of late bars: one run for all series of an interval that start from the same place."""
        first = np.full(len(self._series), np.iinfo(np.int64).max)
        np.minimum.at(first, rows, bars.start)
        today = first[rows] >= self._series.day_start(rows)
        found = []
        for interval in np.unique(bars.interval).tolist():
            for anchored in (True, False):
                series = np.unique(rows[(bars.interval == interval) & (today == anchored)])
                for i in range(0, len(series), SERIES_AT_ONCE):
                    here = np.isin(rows, series[i : i + SERIES_AT_ONCE])
                    found.append(self._rebuilt(rows[here], bars.take(here), anchored))
        return found

    def _rebuilt(self, rows: I64, late: BarBatch, anchored: bool) -> Tables:
        """Run series of one interval again over their bars as they are now; the rows that differ from what was said."""
        row_of = {late.symbols[code]: row for code, row in zip(late.symbol.tolist(), rows.tolist(), strict=True)}
        begin = int(self._series.day_start(rows).min()) if anchored else None
        interval = int(late.interval[0])
        query = Query(tuple(sorted(row_of)), interval_text(interval), late.source, begin)
        symbols, code, columns = self._said.bars(query)
        row = np.array([row_of[symbol] for symbol in symbols], np.int64)[code]
        if anchored:
            inside = columns["start"] >= self._series.day_start(row)
            row, code, columns = row[inside], code[inside], {name: values[inside] for name, values in columns.items()}
            self._series.to_anchor(np.unique(rows))
            self._recall(row_of, query)
        else:
            self._series.to_nothing(np.unique(rows))
        values, verdicts = self._fed(row, columns)
        known = np.empty(len(row), np.int64)
        for i, symbol in enumerate(symbols):
            here = code == i
            known[here] = known_since(late, symbol, columns["start"][here])
        keys = Keys(late.source, symbols, code.astype(np.int32), np.full(len(row), interval), columns["start"], known)
        kept = np.flatnonzero(known >= 0)
        again = Again(keys.take(kept), values[kept], verdicts[kept])
        asked = replace(query, start=int(late.start.min()))
        said = again.indicators(self._names, self._said.indicators(asked)) if self._names else None
        return said, again.anomalies(self._detectors, self._said.anomalies(asked)) if self._detectors else None

    def _recall(self, row_of: Mapping[str, int], query: Query) -> None:
        """Feed the last bars before the day of each series again to what remembers no more than these."""
        symbols = np.array(query.symbols, object)
        day = self._series.day_start(np.array([row_of[symbol] for symbol in query.symbols], np.int64))
        for end in np.unique(day[day != NEVER]).tolist() if self._series.memory else ():
            asked = replace(query, symbols=tuple(symbols[day == end]), start=None, end=end, last=self._series.memory)
            found, code, columns = self._said.bars(asked)
            self._series.recall(np.array([row_of[symbol] for symbol in found], np.int64)[code], columns)


def compute(table: pa.Table, labels: Sequence[str]) -> dict[str, F64]:
    """Indicators over a table of bars of one series (columns of `model.BAR`, any order), from its first bar on.

    Returns one array of the table's length for each output, NaN without enough history; keyed by label or label.output as in
    the stored rows. Raises `UnknownName`, `BadSetting`, and `BadQuery` when the bars are of several series.

    >>> bars = pa.table({name: [1.0, 2.0, 3.0] for name in FIELDS} | {"start": [0, 60_000_000, 120_000_000]})
    >>> compute(bars, ["sma(2)"])["sma(2)"].tolist()
    [nan, 1.5, 2.5]
    """
    for name in ("symbol", "source", "interval"):
        several = len(table[name].unique()) if name in table.column_names else 1
        if several > 1:
            raise BadQuery(f"indicators need bars of one {name}, and these are of {several}; ask for one {name}")
    start = np.asarray(table["start"].cast(pa.int64()))
    order = np.argsort(start, kind="stable")
    floats = {n: np.asarray(table[n].cast(pa.float64()).fill_null(np.nan))[order] for n in FIELDS if n != "start"}
    found = {}
    for one in [indicator(label) for label in labels]:
        for name, values in zip(names_of([one]), apply(one, start=start[order], **floats).values(), strict=True):
            found[name] = np.empty(len(start))
            found[name][order] = values
    return found


def _joined(tables: Sequence[pa.Table | None]) -> pa.Table | None:
    present = [table for table in tables if table is not None and table.num_rows]
    return pa.concat_tables(present) if present else None
