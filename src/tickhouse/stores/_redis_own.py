"""What one process took in for a hot store that is a server, and which of it the server has not been told."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np

from tickhouse.core.model import State
from tickhouse.stores.memory import BAR_COLUMNS, I64, PRICE_COLUMNS, REAL, Kind, MemoryHot

FIELDS: dict[Kind, tuple[str, ...]] = {
    "price": ("symbol", "source", *PRICE_COLUMNS),
    "bar": ("symbol", "source", "interval", *BAR_COLUMNS),
}
"""The fields of a value, by kind, in the order in which they are written."""
RANK: dict[Kind, tuple[str, ...]] = {"price": ("event_time",), "bar": ("start", "version", "state", "known_at")}
"""What makes one value newer than another; a forming bar comes before one that closed."""
STATES = [state.name.lower() for state in State]
TEXTS = ("symbol", "source", "interval", "state")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lot:
    """Values to write, as columns of text in the order of `FIELDS`; `names` end their keys. `rows` are where they came from."""

    kind: Kind
    rows: list[int]
    names: list[str]
    columns: list[list[str]]

    def part(self, start: int, stop: int) -> "Lot":
        """Values start to stop."""
        cut = slice(start, stop)
        return Lot(self.kind, self.rows[cut], self.names[cut], [column[cut] for column in self.columns])


class Own(MemoryHot):
    """The newest values in memory, which remembers what changed: of each series once, so what waits is bounded by what there is."""

    def __init__(self) -> None:
        super().__init__()
        self._untold: dict[Kind, set[int]] = {"price": set(), "bar": set()}
        self._names: dict[Kind, list[str]] = {"price": [], "bar": []}

    @property
    def untold(self) -> int:
        """How many values are still to be written."""
        return sum(map(len, self._untold.values()))

    def take(self) -> list[Lot]:
        """Everything that is to be written, which from now on counts as told."""
        lots = []
        for kind in FIELDS:
            with self._lock:
                rows, self._untold[kind] = self._untold[kind], set()
                if not rows:
                    continue
                order = np.fromiter(rows, np.int64, len(rows))
                held = {name: column[order] for name, column in self._columns(kind)}
            lots.append(self._lot(kind, order, held))
        return lots

    def untell(self, lot: Lot) -> None:
        """The values of these rows were not written, or not for sure."""
        with self._lock:
            self._untold[lot.kind].update(lot.rows)

    def untell_all(self) -> None:
        """The server may know nothing of what it was told."""
        with self._lock:
            self._untold["price"] = set(self._newest.held(len(self._prices)))
            self._untold["bar"] = set(self._shown.held(len(self._bars)))

    def _changed(self, kind: Kind, rows: I64) -> None:
        self._untold[kind].update(rows.tolist())

    def _columns(self, kind: Kind) -> Iterator[tuple[str, Any]]:
        if kind == "price":
            return ((name, self._newest[name]) for name in PRICE_COLUMNS)
        return ((name, self._shown[name]) for name in BAR_COLUMNS)

    def _lot(self, kind: Kind, rows: I64, held: dict[str, Any]) -> Lot:
        places = rows.tolist()
        keys = (self._prices if kind == "price" else self._bars).keys
        names = self._names[kind]
        names += [name_of(keys[row]) for row in range(len(names), len(keys))]
        named = [names[row] for row in places]
        sources = [keys[row][0] for row in places]
        if kind == "price":
            columns = [[keys[row][1] for row in places], sources]
        else:
            columns = [[keys[row][1][0] for row in places], sources, [keys[row][1][1] for row in places]]
        return Lot(kind, places, named, columns + [texts(name, column) for name, column in held.items()])


def name_of(key: tuple[str, Any]) -> str:
    """How the key of a series ends: `symbol:source`, or `symbol:interval:source`; no symbol and no source has a colon.

    >>> name_of(("binance", "BTC-USDT")), name_of(("binance", ("BTC-USDT", "1m")))
    ('BTC-USDT:binance', 'BTC-USDT:1m:binance')
    """
    source, name = key
    return ":".join((name, source) if isinstance(name, str) else (*name, source))


def texts(name: str, column: Any) -> list[str]:
    """A column as the server keeps it: numbers with all their digits, the empty text for none, times in microseconds."""
    values = column.tolist()
    if name == "state":
        return [STATES[value] for value in values]
    if name in REAL:
        return ["" if isnan(value) else repr(value) for value in values]
    return list(map(str, values))


def row_of(kind: Kind, values: list[str]) -> Row:
    """The plain values of what the server keeps, in the order of `FIELDS`."""
    return {name: _value(name, text) for name, text in zip(FIELDS[kind], values, strict=True)}


def merged(kind: Kind, ours: list[Row], theirs: list[Row]) -> list[Row]:
    """One row of each series, the newer one."""
    if not theirs:
        return ours
    key = ("symbol", "source") if kind == "price" else ("symbol", "source", "interval")
    found = {tuple(row[name] for name in key): row for row in theirs}
    for row in ours:
        series = tuple(row[name] for name in key)
        held = found.get(series)
        if held is None or rank(kind, row) >= rank(kind, held):
            found[series] = row
    return list(found.values())


def rank(kind: Kind, row: Row) -> tuple[int, ...]:
    """What the newer of two rows has more of."""
    return tuple(int(row[name] != "forming") if name == "state" else row[name] for name in RANK[kind])


def _value(name: str, text: str) -> Any:
    if name in TEXTS:
        return text
    if name in REAL:
        return float(text) if text else None
    return int(text)
