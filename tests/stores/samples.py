"""Small outputs for tests of the stores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tickhouse.core.batches import BarBatch, Output, TickBatch
from tickhouse.core.model import ANOMALY, BAR, COVERAGE, FINDING, INDICATOR, State, interval_us

MINUTE = 60_000_000
T0 = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z."""


def bar(symbol: str = "BTC-USDT", minute: int = 0, **values: Any) -> dict[str, Any]:
    """One bar as plain values, with the names of `model.BAR`; `minute` counts from T0."""
    start = T0 + minute * MINUTE
    row = {
        "symbol": symbol, "source": "binance", "interval": "1m", "start": start, "open": 2.0, "high": 4.0, "low": 1.0,
        "close": 3.0, "volume": 5.0, "vwap": 2.5, "trades": 7, "completeness": 1.0, "state": State.FINAL, "version": 0,
        "first_raw": 1, "last_raw": 9, "known_at": start + MINUTE,
    }  # fmt: skip
    return {**row, **values}


def batches(rows: Sequence[Mapping[str, Any]]) -> tuple[BarBatch, ...]:
    """Rows as batches, one a source."""
    sources = dict.fromkeys(row["source"] for row in rows)
    return tuple(batch([row for row in rows if row["source"] == source]) for source in sources)


def batch(rows: Sequence[Mapping[str, Any]]) -> BarBatch:
    """Rows of one source as a batch."""
    symbols = list(dict.fromkeys(row["symbol"] for row in rows))
    kinds = {"interval": np.int64, "state": np.uint8, "version": np.int32}
    kinds |= dict.fromkeys(("start", "trades", "first_raw", "last_raw", "known_at"), np.int64)
    columns = {
        name: np.array(
            [interval_us(row[name]) if name == "interval" else row[name] for row in rows], kinds.get(name, np.float64)
        )
        for name in BAR.names
        if name not in ("symbol", "source")
    }
    codes = np.array([symbols.index(row["symbol"]) for row in rows], np.int32)
    return BarBatch(source=rows[0]["source"], symbols=symbols, symbol=codes, **columns)


def bars_output(position: int, *rows: Mapping[str, Any], **rest: Any) -> Output:
    """An output of bars."""
    return Output(position, bars=batches(rows), **rest)


def indicator(symbol: str = "BTC-USDT", minute: int = 0, **values: Any) -> dict[str, Any]:
    """One indicator row."""
    start = T0 + minute * MINUTE
    row = {
        "symbol": symbol, "source": "binance", "interval": "1m", "start": start, "version": 0,
        "known_at": start + MINUTE, "values": '{"sma(20)":1.5}',
    }  # fmt: skip
    return {**row, **values}


def anomaly(symbol: str = "BTC-USDT", minute: int = 0, **values: Any) -> dict[str, Any]:
    """One anomaly."""
    start = T0 + minute * MINUTE
    row = {
        "symbol": symbol, "source": "binance", "interval": "1m", "start": start, "detector": "returns(20,3)", "version": 0,
        "value": 4.5, "threshold": 3.0, "retracted": False, "known_at": start + MINUTE,
    }  # fmt: skip
    return {**row, **values}


def finding(at: int = T0, **values: Any) -> dict[str, Any]:
    """One finding."""
    row = {
        "source": "binance", "symbol": "BTC-USDT", "check": "ranges", "severity": "warning", "at": at, "count": 1,
        "message": "jump: far", "raw": 5,
    }  # fmt: skip
    return {**row, **values}


def stretch(start: int, end: int, **values: Any) -> dict[str, Any]:
    """One stretch of coverage, in minutes from T0."""
    row = {
        "source": "binance", "symbol": "BTC-USDT", "channel": "trade", "start": T0 + start * MINUTE,
        "end": T0 + end * MINUTE, "state": "live", "missing": 0,
    }  # fmt: skip
    return {**row, **values}


SCHEMAS = {"indicators": INDICATOR, "anomalies": ANOMALY, "findings": FINDING, "coverage": COVERAGE}


def output(position: int, **tables: Sequence[Mapping[str, Any]]) -> Output:
    """An output of the named tables, from plain rows."""
    return Output(
        position, **{name: pa.Table.from_pylist(list(rows), schema=SCHEMAS[name]) for name, rows in tables.items()}
    )


def plain(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of an answer with times in microseconds."""
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(i, field.name, table[field.name].cast(pa.int64()))
    return table.to_pylist()


def ticks(*rows: Mapping[str, Any], source: str = "binance", lane: str = "live") -> TickBatch:
    """A batch of ticks; what a row does not say is small and harmless."""
    full = [
        {"symbol": "BTC-USDT", "event_time": T0, "received_at": T0 + 5, "price": 1.0, "size": 1.0, **row}
        for row in rows
    ]
    return TickBatch.of(source, full, lane)
