"""Bars on their way out: what one call has made public, and which version each bar has."""

import math
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tickhouse.core.batches import BarBatch
from tickhouse.core.kernels.bars import BARS
from tickhouse.core.model import BAR, Query, State, interval_text, interval_us
from tickhouse.process import History

VALUES = ("open", "high", "low", "close", "volume", "vwap", "trades", "completeness")
"""What makes a new version when it differs."""

Key = tuple[int, int, int]
"""Symbol code, interval (us), start (us)."""

NO_BARS = np.zeros(0, BARS)


class Run(Enum):
    """What the analysis makes of bars: they go on their series, they correct them, or they wait and are only known of."""

    NEWER = "newer"
    LATE = "late"
    HELD = "held"


class Named(Protocol):
    """A source and its symbols; a code is a place among them."""

    name: str
    codes: dict[str, int]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol, by code."""


class Emitted:
    """The bars of one source that one call has made, in groups: all bars of a group came out at the same moment."""

    def __init__(self, source: Named, history: History) -> None:
        self.source = source
        self.groups: list[NDArray[Any]] = []
        self.forming: dict[Key, Any] = {}
        """Given bars that are not over: the newest of each."""
        self.runs: list[tuple[Run, list[NDArray[Any]]]] = []
        self._history = history
        self._newest: dict[Key, Any] = {}
        self._indexed = 0

    def add(self, bars: NDArray[Any]) -> NDArray[Any]:
        """Add the bars of a moment and return them in order: by end, interval and symbol code."""
        group = bars[np.lexsort((bars["code"], bars["interval"], bars["start"] + bars["interval"]))]
        self.groups.append(group)
        return group

    def analyse(self, group: NDArray[Any], run: Run) -> None:
        """Add bars to what is analysed. Those that correct nothing join others of their run since the last correction."""
        for kind, groups in reversed(self.runs):
            if kind is Run.LATE:
                break
            if kind is run:
                groups.append(group)
                return
        self.runs.append((run, [group]))

    def newest(self, wanted: Iterable[Key], before: int) -> dict[Key, Any]:
        """The newest version of bars, where there is one: those of this call, else those stored up to position `before`."""
        self._index()
        keys = set(wanted)
        found = {key: self._newest[key] for key in keys if key in self._newest}
        keys -= found.keys()
        for interval in sorted({interval for _, interval, _ in keys}):
            starts = [start for _, length, start in keys if length == interval]
            codes = sorted({code for code, length, _ in keys if length == interval})
            for row in self.stored(codes, interval, min(starts), max(starts) + 1, before):
                key = (int(row["code"]), interval, int(row["start"]))
                if key in keys:
                    found[key] = row
        return found

    def between(self, code: int, interval: int, start: int, end: int, before: int) -> dict[Key, Any]:
        """The newest version of every bar of a symbol that starts in [start, end)."""
        self._index()
        found = {(code, interval, int(row["start"])): row for row in self.stored([code], interval, start, end, before)}
        made = self._newest.items()
        return found | {key: row for key, row in made if key[:2] == (code, interval) and start <= key[2] < end}

    def stored(self, codes: Sequence[int], interval: int, start: int, end: int, before: int) -> NDArray[Any]:
        """The newest stored version of the bars of symbols that start in [start, end)."""
        named = tuple(sorted(self.source.symbols[code] for code in codes)) if len(codes) <= 100 else ()
        query = Query(named, interval_text(interval), self.source.name, start, end, before=before)
        return from_table(self._history.bars(query), self.source.codes)

    def batch(self, groups: Sequence[NDArray[Any]]) -> BarBatch | None:
        """Groups as one batch, in their order; None when there is no bar."""
        rows = np.concatenate(groups) if groups else NO_BARS
        return to_batch(rows, self.source.name, self.source.symbols) if len(rows) else None

    def _index(self) -> None:
        for group in self.groups[self._indexed :]:
            for row, key in zip(group, group[["code", "interval", "start"]].tolist(), strict=True):
                self._newest[key] = row
        self._indexed = len(self.groups)


def to_batch(rows: NDArray[Any], source: str, symbols: Sequence[str]) -> BarBatch:
    """Bars as a batch of plain arrays."""
    columns = {name: np.ascontiguousarray(rows[name]) for name in BARS.names or () if name != "code"}
    return BarBatch(source=source, symbols=symbols, symbol=np.ascontiguousarray(rows["code"]), **columns)


def from_batch(batch: BarBatch, code: NDArray[np.int32]) -> NDArray[Any]:
    """The bars of a batch, with `code` as their symbols."""
    rows = np.zeros(len(batch), BARS)
    rows["code"] = code
    for name in BARS.names or ():
        if name != "code":
            rows[name] = getattr(batch, name)
    return rows


def from_table(table: pa.Table, codes: dict[str, int]) -> NDArray[Any]:
    """The bars of a table of schema `model.BAR` whose symbols are known."""
    table = table.select(BAR.names).combine_chunks()
    rows = np.zeros(table.num_rows, BARS)
    if not len(rows):
        return rows
    symbol = table["symbol"].cast(pa.string()).combine_chunks().dictionary_encode()
    interval = table["interval"].cast(pa.string()).combine_chunks().dictionary_encode()
    symbol, interval = (one.combine_chunks() if isinstance(one, pa.ChunkedArray) else one for one in (symbol, interval))
    known = np.array([codes.get(name, -1) for name in symbol.dictionary.to_pylist()], np.int32)
    rows["code"] = known[np.asarray(symbol.indices)]
    lengths = np.array([interval_us(text) for text in interval.dictionary.to_pylist()], np.int64)
    rows["interval"] = lengths[np.asarray(interval.indices)]
    rows["state"] = [State[text.upper()] for text in table["state"].cast(pa.string()).to_pylist()]
    for name in ("start", "known_at"):
        rows[name] = table[name].cast(pa.int64()).to_numpy()
    for name in ("open", "high", "low", "close", "volume", "vwap", "completeness"):
        rows[name] = table[name].cast(pa.float64()).fill_null(np.nan).to_numpy()
    for name in ("version", "trades", "first_raw", "last_raw"):
        rows[name] = table[name].to_numpy()
    return rows[rows["code"] >= 0]


def differs(one: Any, other: Any) -> bool:
    """Whether two versions of a bar differ in a value; two missing values are equal."""
    pairs = ((float(one[name]), float(other[name])) for name in VALUES)
    return any(a != b and not (math.isnan(a) and math.isnan(b)) for a, b in pairs)


def succeeding(row: Any, old: Any | None) -> Any | None:
    """The bar as the version after `old`, or None when it says the same or knows less."""
    if old is None:
        row["version"], row["state"] = 0, State.FINAL
        return row
    poorer = row["trades"] < old["trades"] and row["completeness"] < old["completeness"]
    if poorer or not differs(row, old):
        return None
    row["version"], row["state"] = old["version"] + 1, State.CORRECTED
    return row
