"""What the tests of this folder share: seeded price walks, and a history that keeps what an engine said."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from tickhouse.core.batches import BarBatch, TickBatch
from tickhouse.core.model import ANOMALY, BAR, INDICATOR, TIME, Query, State

MINUTE = 60_000_000
DAY = 1440 * MINUTE
T0 = 1_767_225_600_000_000
KEY = ["symbol", "interval", "start", "source"]
Columns = dict[str, NDArray[Any]]


def walk(random: np.random.Generator, n: int, begin: int = T0, step: int = MINUTE) -> Columns:
    """n bars in a row with consistent prices."""
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.002, n)))
    open_ = np.append(100.0, close[:-1])
    spread = random.random((2, n)) * 0.1
    high, low = np.maximum(open_, close) + spread[0], np.minimum(open_, close) - spread[1]
    return {
        "start": begin + step * np.arange(n), "open": open_, "high": high, "low": low, "close": close,
        "volume": random.exponential(10, n), "vwap": (high + low + close) / 3,
    }  # fmt: skip


def batch(rows: Sequence[dict[str, Any]], source: str = "s") -> BarBatch:
    """A batch of rows with symbol, interval, start, prices, and perhaps version and known_at."""
    symbols = list(dict.fromkeys(r["symbol"] for r in rows))

    def column(name: str, kind: type, default: Any = None) -> NDArray[Any]:
        return np.array([r.get(name, default) for r in rows], kind)

    floats = {name: column(name, np.float64) for name in ("open", "high", "low", "close", "volume", "vwap")}
    version = column("version", np.int32, 0)
    ends = column("start", np.int64) + column("interval", np.int64)
    known = np.array([r.get("known_at", end) for r, end in zip(rows, ends, strict=True)], np.int64)
    return BarBatch(
        source=source, symbols=symbols, symbol=np.array([symbols.index(r["symbol"]) for r in rows], np.int32),
        interval=column("interval", np.int64), start=column("start", np.int64), **floats, trades=np.ones(len(rows), np.int64),
        completeness=np.ones(len(rows)), state=np.where(version > 0, State.CORRECTED, State.FINAL).astype(np.uint8),
        version=version, first_raw=np.zeros(len(rows), np.int64), last_raw=np.zeros(len(rows), np.int64), known_at=known,
    )  # fmt: skip


@dataclass
class Shelf:
    """A history in memory that answers as the warm store does: newest versions, rows stored at or before a position."""

    kept: dict[str, list[tuple[int, pl.DataFrame]]] = field(
        default_factory=lambda: {"bars": [], "indicators": [], "anomalies": []}
    )
    asked: list[Query] = field(default_factory=list)

    def put(self, position: int, bars: BarBatch, indicators: pa.Table | None, anomalies: pa.Table | None) -> None:
        tables = {"bars": bars.to_arrow().cast(BAR), "indicators": indicators, "anomalies": anomalies}
        for name, table in tables.items():
            if table is not None:
                self.kept[name].append((position, pl.DataFrame(table)))

    def bars(self, query: Query) -> pa.Table:
        return self._answer("bars", BAR, query, KEY)

    def indicators(self, query: Query) -> pa.Table:
        return self._answer("indicators", INDICATOR, query, KEY)

    def anomalies(self, query: Query) -> pa.Table:
        return self._answer("anomalies", ANOMALY, query, [*KEY, "detector"])

    def ticks(self, source: str, symbol: str, start: int, end: int, before: int) -> Sequence[TickBatch]:
        return []

    def _answer(self, name: str, schema: pa.Schema, query: Query, key: list[str]) -> pa.Table:
        self.asked.append(query)
        frames = [f for position, f in self.kept[name] if query.before is None or position <= query.before]
        if not frames:
            return schema.empty_table()
        frame = pl.concat(frames).sort([*key, "version"])
        if query.symbols:
            frame = frame.filter(pl.col("symbol").is_in(query.symbols))
        if query.interval:
            frame = frame.filter(interval=query.interval)
        if query.source:
            frame = frame.filter(source=query.source)
        if query.start is not None:
            frame = frame.filter(pl.col("start") >= pl.lit(query.start).cast(pl.Datetime("us", "UTC")))
        if query.end is not None:
            frame = frame.filter(pl.col("start") < pl.lit(query.end).cast(pl.Datetime("us", "UTC")))
        if not query.versions:
            frame = frame.unique(key, keep="last", maintain_order=True)
            if "retracted" in frame.columns:
                frame = frame.filter(~pl.col("retracted"))
        if query.last is not None:
            frame = frame.group_by("symbol", "interval", "source", maintain_order=True).tail(query.last)
        table = frame.to_arrow()
        return pa.table(
            [table[n].cast(TIME if schema.field(n).type == TIME else schema.field(n).type) for n in schema.names],
            schema=schema,
        )
