"""The Python API: one house, opened for reading.

Times go in as `datetime`, as text such as "2026-11-20T14:31", or as a length before now such as "6h"; they come out
in UTC. Tables come out as Polars frames (`.to_pandas()` and `.to_arrow()` as usual).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

from tickhouse.core.clock import SECOND
from tickhouse.core.errors import SettingsError
from tickhouse.core.model import Query, interval_us
from tickhouse.core.settings import load
from tickhouse.core.symbols import series_names
from tickhouse.core.times import instant, length
from tickhouse.pipeline import Pipeline
from tickhouse.steps.process import GROUP as PROCESS
from tickhouse.steps.read import Reader
from tickhouse.surfaces import sql as sql_surface

DAY = 86_400 * SECOND


class House:
    """One house as a person asks it. Made by `tickhouse.open`."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.reader = Reader(pipeline)

    @classmethod
    def at(cls, place: str | Path) -> "House":
        """The house in a folder, or of a settings file. Raises `SettingsError` when there is none."""
        path = Path(place)
        if path.suffix == ".toml":
            return cls(Pipeline(load(path)))
        if not path.is_dir():
            raise SettingsError(f"there is no house in {path}; make one with `tickhouse --data {path} up`")
        return cls(Pipeline(load(data=path)))

    def __enter__(self) -> "House":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self._pipeline.close()

    def bars(
        self,
        symbol: str | Sequence[str],
        interval: str = "1m",
        *,
        start: Any = None,
        end: Any = None,
        last: str | int | None = None,
        as_of: Any = None,
        source: str | None = None,
        versions: bool = False,
        indicators: Sequence[str] = (),
    ) -> pl.DataFrame:
        """Bars of one symbol or several, oldest first; columns as `core.model.BAR`.

        `last` is a number of bars or a length of time such as "6h". `as_of` asks what was believed then. `indicators` such as
        "sma(20)" are computed over the bars that come out, as further columns; for one symbol and source only.
        """
        query = self._query(symbol, start, end, last, interval=interval, as_of=as_of, source=source, versions=versions)
        frame = pl.DataFrame(self.reader.bars(query))
        return self._with_indicators(frame, indicators) if indicators else frame

    def ticks(self, symbol: str, *, start: Any = None, end: Any = None, last: str | int | None = None) -> pl.DataFrame:
        """Ticks of one symbol by event time; columns as `core.model.TICK`."""
        return pl.DataFrame(self.reader.ticks(self._query(symbol, start, end, last)))

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
        query = self._query(found, start, end, None, as_of=as_of, versions=versions)
        return pl.DataFrame(self.reader.observations(query))

    def anomalies(self, symbol: str | None = None, *, start: Any = None, end: Any = None) -> pl.DataFrame:
        """What the detectors said; columns as `core.model.ANOMALY`."""
        return pl.DataFrame(self.reader.anomalies(self._query(symbol, start, end, None)))

    def coverage(self, symbol: str | None = None, *, start: Any = None, end: Any = None) -> pl.DataFrame:
        """When data came, when nothing traded, when we were blind; columns as `core.model.COVERAGE`."""
        return pl.DataFrame(self.reader.coverage(self._query(symbol, start, end, None)))

    def trace(self, symbol: str, at: Any, interval: str = "1m", source: str | None = None) -> dict[str, Any]:
        """The bar at a time, its versions and the raw messages behind it. Raises `NoData`."""
        return self.reader.trace(symbol, instant(at, self._pipeline.clock.now()), interval, source)

    def status(self) -> dict[str, Any]:
        """The ledger of each source, positions, and who runs what."""
        return self.reader.status()

    def sql(self, statement: str) -> pl.DataFrame:
        """The answer to one SELECT over the stores and the lake. Raises `BadQuery`."""
        return pl.DataFrame(sql_surface.query(self.place, statement))

    @property
    def place(self) -> sql_surface.Place:
        """Where SQL finds the data."""
        warm = Path(self._pipeline.settings.warm_url.removeprefix("sqlite:///"))
        lake = self._pipeline.lake
        return sql_surface.Place(warm, lake.url("ticks"), lake.url("bronze"))

    async def stream(
        self, topic: str = "bars", symbols: Sequence[str] = (), poll: float = 0.5
    ) -> AsyncIterator[dict[str, Any]]:
        """Rows of a topic (`bars` or `anomalies`) as they are stored from now on, corrections too, for as long as it is read.

        It reads what another process stores, so forming bars are not among them; those are on the WebSocket. Corrections of bars
        more than a day older than the newest are left out.
        """
        ask = {"bars": self.reader.bars, "anomalies": self.reader.anomalies}[topic]
        warm = self._pipeline.warm
        seen = await asyncio.to_thread(warm.position, PROCESS) or 0
        while True:
            position = await asyncio.to_thread(warm.position, PROCESS) or 0
            if position > seen:
                newest = max((row["last_start"] for row in warm.symbols()), default=0)
                query = Query(tuple(symbols), start=newest - DAY, versions=True, since=seen)
                for row in pl.DataFrame(await asyncio.to_thread(ask, query)).sort("known_at").iter_rows(named=True):
                    yield row
                seen = position
            await asyncio.sleep(poll)

    def _query(
        self, symbol: str | Sequence[str] | None, start: Any, end: Any, last: str | int | None, **rest: Any
    ) -> Query:
        now = self._pipeline.clock.now()
        if rest.get("interval"):
            interval_us(rest["interval"])
        symbols = () if symbol is None else (symbol,) if isinstance(symbol, str) else tuple(symbol)
        begin = instant(start, now) if start is not None else None
        if isinstance(last, str):
            begin, last = now - length(last), None
        if rest.get("as_of") is not None:
            rest["as_of"] = instant(rest["as_of"], now)
        return Query(symbols, start=begin, end=instant(end, now) if end is not None else None, last=last, **rest)

    def _with_indicators(self, frame: pl.DataFrame, labels: Sequence[str]) -> pl.DataFrame:
        from tickhouse.process.analysis import compute

        columns = compute(frame.to_arrow(), list(labels))
        return frame.with_columns(pl.Series(name, values).fill_nan(None) for name, values in columns.items())
