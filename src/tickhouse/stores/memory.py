"""The hot store in the memory of one process: the newest prices and bars, as arrays with one row a series."""

from collections.abc import Iterator, Sequence
from math import isnan
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import BarBatch, Output, TickBatch
from tickhouse.core.errors import BadSetting
from tickhouse.core.model import State, interval_text
from tickhouse.stores._groups import Groups

I64 = NDArray[np.int64]
Kind = Literal["price", "bar"]

LONG_AGO = -(1 << 62)
REAL = {"price", "size", "open", "high", "low", "close", "volume", "vwap", "completeness"}
PRICE_COLUMNS = ("price", "size", "event_time", "received_at")
BAR_COLUMNS = (
    "start", "open", "high", "low", "close", "volume", "vwap", "trades", "completeness", "state", "version",
    "first_raw", "last_raw", "known_at",
)  # fmt: skip


def open(url: str = "memory://") -> "MemoryHot":
    """An empty store. Raises `BadSetting` for a URL with a path."""
    if url.removeprefix("memory:").strip("/"):
        raise BadSetting("hot.url", url, "memory://")
    return MemoryHot()


class MemoryHot:
    """`Hot` in memory. Each batch costs a few array operations, whatever its size."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._prices = _Series()
        self._newest = _Columns("event_time", PRICE_COLUMNS)
        self._bars = _Series()
        self._shown = _Columns("start", BAR_COLUMNS)

    def ticks(self, batch: TickBatch) -> None:
        """Take in ticks just journaled."""
        if not len(batch):
            return
        with self._lock:
            groups = Groups.of(self._prices.rows(batch.source, batch.symbols)[batch.symbol])
            self._newest.reserve(len(self._prices))
            newest = groups.newest(batch.event_time)
            newer = batch.event_time[newest] >= self._newest["event_time"][groups.series]
            rows, newest = groups.series[newer], newest[newer]
            for name in PRICE_COLUMNS:
                self._newest[name][rows] = getattr(batch, name)[newest]
            self._changed("price", rows)

    def bars(self, batch: BarBatch) -> None:
        """Take in forming, closed or corrected bars."""
        if not len(batch):
            return
        lengths, codes = np.unique(batch.interval, return_inverse=True)
        pairs, series = np.unique(batch.symbol * np.int64(len(lengths)) + codes, return_inverse=True)
        names = [interval_text(i) for i in lengths.tolist()]
        keys = [(batch.symbols[p // len(names)], names[p % len(names)]) for p in pairs.tolist()]
        rank = [batch.start, batch.version.astype(np.int64), batch.state != State.FORMING, batch.known_at]
        with self._lock:
            order = np.lexsort(rank[::-1])
            rows, last = self._bars.rows(batch.source, keys), np.zeros(len(keys), np.intp)
            last[series[order]] = order
            self._shown.reserve(len(self._bars))
            held = [self._shown[name][rows] for name in ("start", "version", "state", "known_at")]
            held[2] = held[2] != State.FORMING
            newer = _not_before([part[last] for part in rank], held)
            rows, last = rows[newer], last[newer]
            for name in BAR_COLUMNS:
                self._shown[name][rows] = getattr(batch, name)[last]
            self._changed("bar", rows)

    def latest(self, symbols: Sequence[str] = ()) -> list[dict[str, Any]]:
        """The newest price of each symbol: symbol, source, price, size, event_time, received_at (us), or of all symbols."""
        with self._lock:
            keys = self._prices.found(symbols)
            return [{"symbol": symbol, "source": source, **row} for (source, symbol), row in self._newest.plain(keys)]

    def forming(self, symbols: Sequence[str] = (), interval: str | None = None) -> list[dict[str, Any]]:
        """The newest bar of each (symbol, source, interval), forming or not, as plain values: the names of `model.BAR`."""
        with self._lock:
            keys = [(key, row) for key, row in self._bars.found(symbols) if interval in (None, key[1][1])]
            found = list(self._shown.plain(keys))
        states = [state.name.lower() for state in State]
        return [
            {"symbol": symbol, "source": source, "interval": length, **row, "state": states[row["state"]]}
            for (source, (symbol, length)), row in found
        ]

    @property
    def own(self) -> "MemoryHot":
        """The store itself."""
        return self

    def announce(self, output: Output) -> None:
        """Nobody hears it."""

    def busy(self) -> None:
        """Nobody hears it."""

    def follow(self) -> None:
        """No other process can be heard."""

    def check(self) -> str:
        """In one sentence how it is."""
        return "in the memory of each process"

    def close(self) -> None:
        """Nothing is held."""

    def _changed(self, kind: Kind, rows: I64) -> None:
        """Called with the rows that have new values, while no other thread writes."""


class _Series:
    """Rows of arrays by source and name: a name is a symbol, or a tuple that begins with one."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[Any, int]] = {}
        self._by_symbol: dict[str, list[tuple[Any, int]]] = {}
        self.keys: list[tuple[str, Any]] = []
        """(source, name) of each row."""

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, source: str, names: Sequence[Any]) -> I64:
        """The rows of names, new ones included."""
        known = self._rows.setdefault(source, {})
        for name in [name for name in names if name not in known]:
            self._add(source, name)
        return np.fromiter(map(known.__getitem__, names), np.int64, len(names))

    def found(self, symbols: Sequence[str]) -> list[tuple[Any, int]]:
        """((source, name), row) of symbols, or of all."""
        if not symbols:
            return [pair for pairs in self._by_symbol.values() for pair in pairs]
        return [pair for symbol in symbols for pair in self._by_symbol.get(symbol, ())]

    def _add(self, source: str, name: Any) -> None:
        symbol = name if isinstance(name, str) else name[0]
        self._rows[source][name] = len(self.keys)
        self._by_symbol.setdefault(symbol, []).append(((source, name), len(self.keys)))
        self.keys.append((source, name))


class _Columns:
    """Columns of the same length that grow; the column `time` is long ago in rows that hold nothing yet."""

    def __init__(self, time: str, names: Sequence[str]) -> None:
        self._time = time
        self._columns = {name: np.zeros(0, np.float64 if name in REAL else np.int64) for name in names}

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._columns[name]

    def reserve(self, rows: int) -> None:
        """Make room."""
        have = len(self._columns[self._time])
        if rows <= have:
            return
        for name, column in self._columns.items():
            more = np.full(max(16, rows, 2 * have) - have, LONG_AGO if name == self._time else 0, column.dtype)
            self._columns[name] = np.concatenate((column, more))

    def held(self, rows: int) -> list[int]:
        """Which of the first rows hold anything."""
        return np.flatnonzero(self._columns[self._time][:rows] != LONG_AGO).tolist()

    def plain(self, keys: Sequence[tuple[Any, int]]) -> Iterator[tuple[Any, dict[str, Any]]]:
        """The values of rows that hold any, NaN as None."""
        rows = np.fromiter((row for _, row in keys), np.int64, len(keys))
        held = self._columns[self._time][rows] != LONG_AGO
        if not held.all():
            rows, keys = rows[held], [key for key, holds in zip(keys, held.tolist(), strict=True) if holds]
        columns = [
            [None if isnan(v) else v for v in column[rows].tolist()] if name in REAL else column[rows].tolist()
            for name, column in self._columns.items()
        ]
        for (key, _), values in zip(keys, zip(*columns, strict=True), strict=True):
            yield key, dict(zip(self._columns, values, strict=True))


def _not_before(new: list[NDArray[Any]], held: list[NDArray[Any]]) -> NDArray[np.bool_]:
    """Where `new` is equal to or after `held`, compared column by column."""
    answer = np.ones(len(new[0]), np.bool_)
    for a, b in reversed(list(zip(new, held, strict=True))):
        answer = (a > b) | ((a == b) & answer)
    return answer
