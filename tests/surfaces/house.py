"""A small real house in memory: deterministic bars with corrections, forming ones, a blind stretch, and changes on demand."""

import copy
import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa

from tickhouse.core.clock import SECOND
from tickhouse.core.errors import NoData, Temporary
from tickhouse.core.model import ANOMALY, BAR, COVERAGE, FINDING, INDICATOR, OBSERVATION, TICK, TIME, Query, interval_us
from tickhouse.core.settings import INDICATORS as CONFIGURED
from tickhouse.core.values import Values
from tickhouse.steps.beside import Beside
from tickhouse.steps.reconcile import reconcile
from tickhouse.surfaces import Listener

MINUTE = 60 * SECOND
START = 1_767_225_600_000_000
METRIC = pa.schema([("at", TIME), ("source", pa.string()), ("name", pa.string()), ("value", pa.float64())])
KEYS = {
    "bars": ("symbol", "interval", "start", "source", "version"),
    "indicators": ("symbol", "interval", "start", "source", "version"),
    "anomalies": ("symbol", "interval", "start", "source", "version", "detector"),
    "coverage": ("symbol", "start", "source", "channel"),
    "findings": ("at", "source", "symbol", "check", "severity", "raw", "message"),
    "metrics": ("at", "source", "name"),
    "observations": ("series", "date", "source", "vintage"),
}
BLIND = (181, 188)
"""Minutes without a feed: the first symbol has no bars there."""

PRICES = {"BTC-USDT": 68_000.0, "ETH-USDT": 3_900.0, "SOL-USDT": 182.0, "DOGE-USDT": 0.162}


class MemoryHouse:
    """`House` over plain tables. `minutes` bars of 1m (and those of 5m) a symbol, the last one forming."""

    def __init__(self, minutes: int = 240, symbols: Mapping[str, float] | None = None, begin: int = START) -> None:
        self.simulated = True
        self.prices = dict(PRICES if symbols is None else symbols)
        self.begin, self.minutes = begin, minutes
        self.listeners: list[Listener] = []
        self.broken: Exception | None = None
        self.calls: list[str] = []
        self.chosen: dict[str, str] = {}
        """The source that is told of each symbol of a group."""
        self.tables: dict[str, pa.Table] = {}
        self.forming_rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.paths = {symbol: _walk(symbol, price, minutes + 6) for symbol, price in self.prices.items()}
        bars = [bar for number, symbol in enumerate(self.prices) for bar in self._bars(symbol, number)]
        self.forming_rows = {(b["symbol"], b["interval"]): b for b in bars if b["state"] == "forming"}
        closed = [b for b in bars if b["state"] != "forming"]
        self._fill("bars", closed, BAR)
        newest = [b for b in closed if b["version"] == 0]
        self._fill("indicators", _indicators(newest), INDICATOR)
        self._fill(
            "anomalies", [_anomaly(b, d) for b in newest if _odd(b) for d in ("returns(20,3)", "volume(20,3)")], ANOMALY
        )
        self._fill("coverage", [row for symbol in self.prices for row in self._coverage(symbol)], COVERAGE)
        self._fill("findings", list(self._findings()), FINDING)
        self._fill("metrics", list(self._metrics()), METRIC)
        self._fill("observations", list(_observations()), OBSERVATION)
        self._fill("ticks", [t for number, symbol in enumerate(self.prices) for t in self._ticks(symbol, number)], TICK)

    def fresh(self) -> "MemoryHouse":
        """Another house with the same rows, which can be changed without changing this one."""
        other = copy.copy(self)
        other.tables, other.forming_rows = dict(self.tables), dict(self.forming_rows)
        other.prices, other.listeners, other.calls, other.chosen = dict(self.prices), [], [], dict(self.chosen)
        return other

    @property
    def now(self) -> int:
        """The moment at which this house stands (us)."""
        return self.begin + self.minutes * MINUTE - 20 * SECOND

    # What a house answers.

    def bars(self, query: Query) -> pa.Table:
        """Stored bars, and the forming ones where neither a page nor the past is asked for."""
        table = self._ask("bars", BAR, replace(query, last=None))
        if query.as_of is None and not query.versions and query.limit is None and query.after is None:
            rows = [r for r in self.forming_rows.values() if _fits(r, query)]
            table = pa.concat_tables([table, pa.Table.from_pylist(rows, schema=BAR)]).sort_by(
                [(n, "ascending") for n in KEYS["bars"]]
            )
        return _newest(table, query, ("symbol", "interval", "source"))

    def ticks(self, query: Query) -> pa.Table:
        """Ticks of one symbol."""
        return self._timed("ticks", "event_time", query)

    def indicators(self, query: Query) -> pa.Table:
        """Indicator rows."""
        return _newest(self._ask("indicators", INDICATOR, query), query, ("symbol", "interval", "source"))

    def beside(self, bars: pa.Table, wanted: Sequence[str], as_of: int | None = None, adjust: str = "none") -> Values:
        """Indicators beside bars."""
        return Beside(self, CONFIGURED).values(bars, wanted, as_of)

    def reconcile(self, query: Query, a: str, b: str, worst: int = 10) -> dict[str, Any]:
        """How two sources differ."""
        return reconcile(self, replace(query, limit=1_000_000), a, b, worst)

    def picked(self, rows: pa.Table, wanted: Sequence[str]) -> Values:
        """The values in indicator rows."""
        return Beside(self, CONFIGURED).picked(rows, wanted)

    def anomalies(self, query: Query) -> pa.Table:
        """Anomalies."""
        return _newest(self._ask("anomalies", ANOMALY, query), query, ("symbol", "interval", "source"))

    def findings(self, query: Query) -> pa.Table:
        """Findings."""
        return self._timed("findings", "at", query)

    def coverage(self, query: Query) -> pa.Table:
        """Stretches that overlap the range."""
        frame = self._read("coverage")
        if query.symbols:
            frame = frame.filter(pl.col("symbol").is_in(query.symbols))
        if query.start is not None:
            frame = frame.filter(pl.col("end").dt.epoch("us") > query.start)
        return _newest(_paged("coverage", frame, replace(query, start=None), "start", COVERAGE), query, ("symbol",))

    def observations(self, query: Query) -> pa.Table:
        """Values of economic series."""
        frame = self._read("observations").filter(pl.col("series").is_in(query.symbols))
        if query.as_of is not None:
            frame = frame.filter(pl.col("vintage") <= datetime.fromtimestamp(query.as_of / SECOND, UTC).date())
        if not query.versions:
            frame = frame.filter(pl.col("vintage") == pl.col("vintage").max().over("series", "date"))
        frame = frame.with_columns(pl.col("date", "vintage").cast(pl.String))
        return _paged("observations", frame, query, "date", OBSERVATION)

    def metrics(self, query: Query) -> pa.Table:
        """Quality metrics."""
        return self._timed("metrics", "at", query)

    def latest(self, symbols: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """The newest price of each symbol."""
        self._called("latest")
        return [
            {"symbol": s, "source": self.forming_rows[s, "1m"]["source"], "price": self.forming_rows[s, "1m"]["close"], "size": 0.5,
             "event_time": self.now, "received_at": self.now + 12_000}
            for s in self.prices if not symbols or s in symbols
        ]  # fmt: skip

    def symbols(self) -> list[dict[str, Any]]:
        """Every symbol."""
        self._called("symbols")
        last = self.begin + (self.minutes - 2) * MINUTE
        return [
            {"symbol": s, "source": "binance", "intervals": ["1m", "5m"], "first_start": self.begin, "last_start": last}
            for s in self.prices
        ]

    def in_use(self, symbols: Sequence[str]) -> Mapping[str, str]:
        """What was chosen for symbols of groups."""
        return {symbol: self.chosen[symbol] for symbol in symbols if symbol in self.chosen}

    def trace(
        self, symbol: str, start: int, interval: str, source: str | None = None, limit: int = 100
    ) -> dict[str, Any]:
        """The bar, its versions and the messages behind it."""
        begin = start - start % interval_us(interval)
        versions = self.bars(Query((symbol,), interval, source, begin, begin + 1, versions=True)).to_pylist()
        if not versions:
            raise NoData(f"there is no {interval} bar of {symbol} at that time")
        messages = [
            {"position": n, "channel": "trade", "lane": "live", "received_at": begin + n * SECOND, "whole": False,
             "payload": f'{{"e":"trade","s":"{symbol.replace("-", "")}","p":"{versions[-1]["close"] + n:.2f}","q":"0.01"}}'}
            for n in range(min(limit, 12))
        ]  # fmt: skip
        coverage = self.coverage(Query((symbol,), start=begin, end=begin + interval_us(interval))).to_pylist()
        raw = {"count": 12, "shown": len(messages), "messages": messages}
        return {"bar": versions[-1], "versions": versions, "coverage": coverage, "ticks": 12, "raw": raw}

    def status(self) -> dict[str, Any]:
        """The ledger and the positions."""
        self._called("status")
        one = {"received": 5000, "parsed": 4990, "control": 8, "rejected": 2, "rows": 4990, "accepted": 4900, "duplicate": 60,
               "late": 30, "invalid": 0, "pending": 0, "balanced": 1}  # fmt: skip
        return {"house": "memory", "simulated": self.simulated, "ledger": {"binance": one},
                "journal": {"begin": 0, "end": 5000, "groups": {"process": 5000}, "behind": {"process": 0}},
                "symbols": len(self.prices), "roles": {"ingest": 1, "process": 1, "archive": None}}  # fmt: skip

    def health(self) -> Mapping[str, Any]:
        """Ready unless it was broken."""
        part = {"ok": self.broken is None, "message": str(self.broken) if self.broken else "answers"}
        return {"ready": self.broken is None, "journal": {"ok": True, "message": "answers"}, "warm": part}

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` for every change from now on."""
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    # What a test does to it.

    def emit(self, topic: str, rows: list[dict[str, Any]]) -> None:
        """Tell the listeners that rows changed."""
        columns = {
            name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)
        }
        for listener in list(self.listeners):
            listener(topic, columns)

    def tick(self, symbol: str, price: float) -> None:
        """A trade: the forming bar and the newest price change, and the listeners hear of it."""
        bar = {**self.forming_rows[symbol, "1m"], "close": price}
        bar |= {"high": max(bar["high"], price), "low": min(bar["low"], price), "volume": bar["volume"] + 0.01}
        bar |= {"trades": bar["trades"] + 1, "known_at": bar["known_at"] + 1000}
        self.forming_rows[symbol, "1m"] = bar
        self.emit("bars", [bar])
        self.emit("ticks", self.latest((symbol,)))

    def close(self, symbol: str) -> dict[str, Any]:
        """The forming 1m bar of a symbol closes, is stored, and the next one begins; returns the closed one."""
        bar = self.forming_rows[symbol, "1m"]
        done = {**bar, "state": "final"}
        after = {**bar, "start": bar["start"] + MINUTE, "open": bar["close"], "high": bar["close"], "low": bar["close"],
                 "volume": 0.0, "trades": 0, "known_at": bar["known_at"] + MINUTE}  # fmt: skip
        self._store("bars", [done], BAR)
        self.forming_rows[symbol, "1m"] = after
        self.emit("bars", [done, after])
        return done

    def switch(self, symbol: str, source: str) -> None:
        """Another feed is in use for a symbol of a group from its forming bars on; the listeners hear of nothing yet."""
        self.chosen[symbol] = source
        for key, bar in self.forming_rows.items():
            if key[0] == symbol:
                self.forming_rows[key] = {**bar, "source": source, "known_at": bar["known_at"] + 1000}

    def correct(self, symbol: str, start: int, close: float) -> dict[str, Any]:
        """A closed bar gets a new version; returns it."""
        query = Query((symbol,), "1m", start=start, end=start + 1)
        row = self._plain(self._ask("bars", BAR, query).to_pylist()[-1])
        row |= {"close": close, "version": row["version"] + 1, "state": "corrected", "known_at": self.now}
        row |= {"high": max(row["high"], close), "low": min(row["low"], close)}
        self._store("bars", [row], BAR)
        self.emit("bars", [row])
        return row

    # How it is made.

    def _bars(self, symbol: str, number: int) -> list[dict[str, Any]]:
        rows = []
        for interval, length in (("1m", 1), ("5m", 5)):
            for i in range(math.ceil(self.minutes / length)):
                if BLIND[0] <= i * length < BLIND[1] and number == 0:
                    continue
                last = (i + 1) * length >= self.minutes
                row = self._bar(symbol, number, interval, i, length)
                row["state"] = "forming" if last else "final"
                rows.append(row)
                if interval == "1m" and i % 50 == 40 and not last:
                    late = {"version": 1, "state": "corrected", "volume": row["volume"] * 1.1}
                    rows.append({**row, **late, "known_at": row["known_at"] + 30 * SECOND})
        return rows

    def _bar(self, symbol: str, number: int, interval: str, i: int, length: int) -> dict[str, Any]:
        base = self.prices[symbol]
        path = self.paths[symbol][i * length : (i + 1) * length + 1]
        wick = base * 0.00025 * (1 + (i * 7 % 5) / 4)
        start = self.begin + i * length * MINUTE
        return {
            "symbol": symbol, "source": "binance", "interval": interval, "start": start, "open": path[0], "high": max(path) + wick,
            "low": min(path) - wick, "close": path[-1], "volume": 10.0 + (i * 37) % 23 + (60 if i % 61 == 60 else 0),
            "vwap": sum(path) / len(path), "trades": 100 + i % 40, "completeness": 0.93 if i % 83 == 60 else 1.0, "state": "final",
            "version": 0, "first_raw": i * 100, "last_raw": i * 100 + 99, "known_at": start + length * MINUTE + 50_000,
        }  # fmt: skip

    def _coverage(self, symbol: str) -> list[dict[str, Any]]:
        stretches = [(0, 60, "live", 0), (60, 64, "quiet", 0), (64, 150, "live", 0), (150, 154, "backfilled", 0),
                     (154, BLIND[0], "live", 0), (*BLIND, "blind", 812), (BLIND[1], self.minutes, "live", 0)]  # fmt: skip
        return [
            {"source": "binance", "symbol": symbol, "channel": "trade", "start": self.begin + a * MINUTE,
             "end": self.begin + min(b, self.minutes) * MINUTE, "state": state, "missing": missing}
            for a, b, state, missing in stretches if a < min(b, self.minutes)
        ]  # fmt: skip

    def _findings(self) -> Any:
        for i in range(25 if self.prices else 0):
            yield {"source": "binance", "symbol": list(self.prices)[i % len(self.prices)], "check": "ranges",
                   "severity": "warning", "at": self.begin + (i // 3) * MINUTE, "count": i, "message": f"price, {i}",
                   "raw": i}  # fmt: skip

    def _metrics(self) -> Any:
        for i in range(40):
            for name in ("received", "rejected"):
                yield {"at": self.begin + i * MINUTE, "source": "binance", "name": name, "value": float(i)}

    def _ticks(self, symbol: str, number: int) -> Any:
        for i in range(600):
            at = self.now - (600 - i) // 4 * SECOND
            yield {"symbol": symbol, "source": "binance", "event_time": at, "received_at": at + 9_000,
                   "price": self.prices[symbol] + i, "size": None if i % 50 == 0 else 0.1, "first_id": i, "last_id": i,
                   "conditions": None, "raw": 1000 + i}  # fmt: skip

    def _fill(self, name: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
        self.tables[name] = pa.Table.from_pylist(rows, schema=schema)

    def _store(self, name: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
        self.tables[name] = pa.concat_tables([self.tables[name], pa.Table.from_pylist(rows, schema=schema)])

    @staticmethod
    def _plain(row: dict[str, Any]) -> dict[str, Any]:
        return {n: round(v.timestamp() * SECOND) if hasattr(v, "timestamp") else v for n, v in row.items()}

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.broken:
            raise self.broken

    def _read(self, name: str) -> pl.DataFrame:
        self._called(name)
        return pl.DataFrame(self.tables[name])

    def _ask(self, name: str, schema: pa.Schema, query: Query) -> pa.Table:
        frame = self._read(name)
        for column, wanted in (("interval", query.interval), ("source", query.source)):
            if wanted:
                frame = frame.filter(pl.col(column) == wanted)
        if query.symbols:
            frame = frame.filter(pl.col("symbol").is_in(query.symbols))
        if query.as_of is not None:
            frame = frame.filter(pl.col("known_at").dt.epoch("us") <= query.as_of)
        if not query.versions:
            same = [n for n in KEYS[name] if n != "version"]
            frame = frame.filter(pl.col("version") == pl.col("version").max().over(same))
        return _paged(name, frame, query, "start", schema)

    def _timed(self, name: str, time: str, query: Query) -> pa.Table:
        frame = self._read(name)
        if query.symbols and "symbol" in frame.columns:
            frame = frame.filter(pl.col("symbol").is_in(query.symbols))
        if query.source:
            frame = frame.filter(pl.col("source") == query.source)
        return _newest(_paged(name, frame, query, time, self.tables[name].schema), query, ())


def _paged(name: str, frame: pl.DataFrame, query: Query, time: str, schema: pa.Schema) -> pa.Table:
    at = pl.col(time).str.to_datetime("%Y-%m-%d") if time == "date" else pl.col(time)
    if query.start is not None:
        frame = frame.filter(at.dt.epoch("us") >= query.start)
    if query.end is not None:
        frame = frame.filter(at.dt.epoch("us") < query.end)
    key = KEYS.get(name, (time,))
    frame = frame.sort(key, maintain_order=True)
    if query.after is not None:
        given = [k.dt.epoch("us") if k.dtype == pl.Datetime else k for k in (frame[n] for n in key)]
        rows = list(zip(*(k.to_list() for k in given), strict=True))
        frame = frame.filter(pl.Series([row > query.after for row in rows], dtype=pl.Boolean))
    if query.limit is not None:
        frame = frame.head(query.limit)
    return frame.to_arrow().cast(schema)


def _newest(table: pa.Table, query: Query, groups: tuple[str, ...]) -> pa.Table:
    if query.last is None:
        return table
    if not groups:
        return table.slice(max(0, table.num_rows - query.last))
    return (
        pl.DataFrame(table)
        .group_by(groups, maintain_order=True)
        .tail(query.last)
        .select(table.column_names)
        .to_arrow()
        .cast(table.schema)
    )


def _fits(row: dict[str, Any], query: Query) -> bool:
    return (
        (not query.symbols or row["symbol"] in query.symbols)
        and query.interval in (None, row["interval"])
        and (query.start is None or row["start"] >= query.start)
        and (query.end is None or row["start"] < query.end)
    )


def _observations() -> Any:
    """A year of a monthly series, each value revised once."""
    for month in range(1, 13):
        for day, more in ((10, 0.0), (25, 0.5)):
            yield {"series": "CPI", "source": "fred", "date": date(2025, month, 1), "value": 300.0 + month + more,
                   "vintage": date(2025 + month // 12, month % 12 + 1, day), "raw": month}  # fmt: skip


def _odd(bar: dict[str, Any]) -> bool:
    return bar["interval"] == "1m" and bar["volume"] > 60


def _walk(symbol: str, price: float, steps: int) -> list[float]:
    """A price that wanders, the same every time."""
    chance = random.Random(symbol)
    path = [price]
    for _ in range(steps):
        path.append(path[-1] * math.exp(chance.gauss(0, 0.0006)))
    return path


def _indicators(bars: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Plain moving averages over the last 20 bars of the same series."""
    rows, closes, ema = [], {}, {}
    for bar in bars:
        key = (bar["symbol"], bar["interval"])
        past = closes.setdefault(key, [])
        past.append(bar["close"])
        ema[key] = bar["close"] if key not in ema else ema[key] + (bar["close"] - ema[key]) * 2 / 21
        values = {"ema(20)": ema[key], "vwap": bar["vwap"] + 1}
        if len(past) >= 20:
            mean, spread = statistics.fmean(past[-20:]), statistics.pstdev(past[-20:])
            values |= {"sma(20)": mean, "bollinger(20,2).middle": mean}
            values |= {"bollinger(20,2).upper": mean + 2 * spread, "bollinger(20,2).lower": mean - 2 * spread}
        names = ("symbol", "source", "interval", "start", "version", "known_at")
        rows.append({**{n: bar[n] for n in names}, "values": msgspec.json.encode(values).decode()})
    return rows


def _anomaly(bar: dict[str, Any], detector: str) -> dict[str, Any]:
    names = ("symbol", "source", "interval", "start", "version", "known_at")
    return {**{n: bar[n] for n in names}, "detector": detector, "value": 4.2, "threshold": 3.0, "retracted": False}


def busy() -> Temporary:
    """What a house raises that cannot keep up."""
    return Temporary("the store is being moved", retry_after=2.5)
