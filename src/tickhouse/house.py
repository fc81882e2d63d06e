"""The Python API: one house, opened for reading.

Times go in as `datetime`, as text such as "2026-11-20T14:31", or as a length before now such as "-6h"; they come out in UTC.
Symbols go in in any spelling such as "btc/usdt". Tables come out as Polars frames (`.to_pandas()` and `.to_arrow()` as usual). A
question about a symbol or an interval that the house has not raises `UnknownSymbol` or `NoData`, which name those that it has.
"""

import shlex
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl
import pyarrow as pa

from tickhouse.core.asking import back, listed, question
from tickhouse.core.errors import SettingsError
from tickhouse.core.model import Query
from tickhouse.core.settings import load
from tickhouse.core.symbols import canonical, series_names
from tickhouse.core.times import instant, length
from tickhouse.core.values import flat
from tickhouse.pipeline import Pipeline
from tickhouse.steps.follow import Follow
from tickhouse.steps.notes import is_house
from tickhouse.steps.read import Reader

Symbols = str | Sequence[str]


class House:
    """One house as a person asks it. Made by `tickhouse.open`. Once closed, it answers every question with `SettingsError`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._reader: Reader | None = Reader(pipeline)

    @classmethod
    def at(cls, place: str | Path) -> "House":
        """The house in a folder, or of a settings file. Raises `SettingsError` when there is none."""
        path = Path(place)
        option = "config" if path.suffix == ".toml" else "data"
        settings = load(path) if option == "config" else load(data=path)
        if not is_house(settings):
            command = f"tickhouse up --{option} {shlex.quote(str(path))}"
            raise SettingsError(f"there is no house in {settings.data}; make one with `{command}`")
        return cls(Pipeline(settings))

    def __enter__(self) -> "House":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        if self._reader is not None:
            self._reader = None
            self._pipeline.close()

    @property
    def reader(self) -> Reader:
        """What answers. Raises `SettingsError` when the house is closed."""
        if self._reader is None:
            raise SettingsError(f"the house in {self._pipeline.settings.data} is closed; tickhouse.open opens it again")
        return self._reader

    def bars(
        self,
        symbol: Symbols,
        interval: str = "1m",
        *,
        start: Any = None,
        end: Any = None,
        last: str | int | None = None,
        as_of: Any = None,
        source: str | None = None,
        versions: bool = False,
        indicators: Symbols = (),
        adjust: str = "none",
    ) -> pl.DataFrame:
        """Bars of one symbol or several, oldest first; columns as `core.model.BAR`.

        `last` is a number of bars, or a length of time such as "6h" back from the newest bar. `as_of` asks what was believed
        then. `indicators` such as ["sma(20)", "rsi(14)"] or "all" are further columns: what the house keeps as it is kept, any
        other computed over all bars before, too. The indicator vwap is the column `vwap()`, since a bar has a `vwap` of its own.
        `adjust` is "none" for prices as their provider states them, "splits" for prices and volumes in the shares of today, or
        of `as_of`, "all" for prices that take dividends into account too; by the formulas in `core.adjusting`.
        """
        rest = {"as_of": as_of, "source": source, "versions": versions, "adjust": adjust}
        query = self._query(symbol, start, end, interval=interval, **rest)
        table = self._told(self.reader.bars, query, last)
        wanted = listed(indicators)
        return pl.DataFrame(flat(table, self.reader.beside(table, wanted, query.as_of, adjust)) if wanted else table)

    def ticks(self, symbol: str, *, start: Any = None, end: Any = None, last: str | int | None = None) -> pl.DataFrame:
        """Ticks of one symbol by event time; columns as `core.model.TICK`. `last` is a number, or a length of time such as "5m"
        back from the newest.
        """
        query = self._query(symbol, start, end)
        if not isinstance(last, str):
            return pl.DataFrame(self._told(self.reader.ticks, query, last))
        frame, time = pl.DataFrame(self._told(self.reader.ticks, query)), pl.col("event_time")
        return frame.filter(time > time.max() - pl.duration(microseconds=length(last)))

    def series(
        self,
        names: str | Sequence[str],
        *,
        start: Any = None,
        end: Any = None,
        as_of: Any = None,
        versions: bool = False,
    ) -> pl.DataFrame:
        """Values of economic series by date; columns as `core.model.OBSERVATION`. `versions` gives every vintage."""
        found = series_names([names] if isinstance(names, str) else names)
        query = self._query(None, start, end, as_of=as_of, versions=versions)
        return pl.DataFrame(self.reader.observations(replace(query, symbols=tuple(found))))

    def anomalies(self, symbol: Symbols | None = None, *, start: Any = None, end: Any = None) -> pl.DataFrame:
        """What the detectors said; columns as `core.model.ANOMALY`."""
        return pl.DataFrame(self._told(self.reader.anomalies, self._query(symbol, start, end)))

    def coverage(self, symbol: Symbols | None = None, *, start: Any = None, end: Any = None) -> pl.DataFrame:
        """When data came, when nothing traded, when we were blind; columns as `core.model.COVERAGE`."""
        return pl.DataFrame(self._told(self.reader.coverage, self._query(symbol, start, end)))

    def trace(self, symbol: str, at: Any, interval: str = "1m", source: str | None = None) -> dict[str, Any]:
        """The bar at a time, its versions and the raw messages behind it. Raises `NoData`."""
        return self.reader.trace(canonical(symbol), instant(at, self._pipeline.clock.now()), interval, source)

    def reconcile(
        self, symbol: str, a: str, b: str, interval: str = "1m", *, start: Any = None, end: Any = None, worst: int = 10
    ) -> dict[str, Any]:
        """How two sources differ on the same bars of a symbol: how many are equal or of one alone, the distances of `b` from `a` in
        basis points, the ratio of the volumes, the `worst` bars with the positions of their messages. Raises `NoData`.
        """
        return self.reader.reconcile(self._query(symbol, start, end, interval=interval), a, b, worst)

    def status(self) -> dict[str, Any]:
        """The ledger of each source, positions, and who runs what."""
        return self.reader.status()

    def sql(self, statement: str) -> pl.DataFrame:
        """The answer to one SELECT over the stores and the lake; warns when it is cut. Raises `BadQuery`."""
        answer = self.reader.sql(statement)
        if answer.cut:
            warnings.warn(answer.cut, stacklevel=2)
        return pl.DataFrame(answer.table)

    def stream(self, topic: str = "bars", symbols: Symbols = (), poll: float = 0.5) -> AsyncIterator[dict[str, Any]]:
        """Rows of a topic from now on, for as long as they are read: `bars` or `anomalies` as they are stored, corrections too,
        or `ticks` as they are journaled, repeated ones too.

        It reads what another process writes, so forming bars are not among them; those are on the WebSocket. Corrections of bars
        more than a day older than the newest are left out. Raises `BadSetting` for another topic.
        """
        return Follow(lambda: self.reader.pipeline, topic, self._query(symbols).symbols).rows(poll)

    def _query(self, symbol: Symbols | None, start: Any = None, end: Any = None, **rest: Any) -> Query:
        return question(self._pipeline.clock.now(), symbol, start=start, end=end, **rest)

    def _told(self, ask: Callable[[Query], pa.Table], query: Query, last: str | int | None = None) -> pa.Table:
        if last is not None:
            query = back(query, last, ask) if isinstance(last, str) else replace(query, last=last)
        return self.reader.told(ask, query)
