"""Bars of FMP: days of the end-of-day history, and minutes and hours of the charts.

historical
    [{"symbol":"AAPL","date":"2023-01-10","open":130.26,"high":131.26,"low":128.12,"close":130.73,"volume":63896200,
      "change":0.47,"changePercent":0.36082,"vwap":130.0925}, ...]
    the old API: {"symbol":"AAPL","historical":[{"date":"2023-01-10","open":130.465, ...}]}
historical_chart (channel `historical_chart:AAPL:1m`; times are of New York, and of the bar's open)
    [{"date":"2025-09-23 15:59:00","open":254.4,"low":254.35,"high":254.5,"close":254.43,"volume":900000}, ...]

What FMP calls vwap is, in every recorded bar, the mean of open, high, low and close.
"""

import datetime as dt
import math
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tickhouse.core.batches import BarBatch
from tickhouse.core.clock import SECOND
from tickhouse.core.model import interval_us
from tickhouse.feeds._decoding import day, midnight
from tickhouse.feeds._fmp_names import Names
from tickhouse.feeds._fmp_rows import NEW_YORK, Item, listed, message, named, number, readable, symbol_of
from tickhouse.feeds._messages import Found, NotUnderstood, Read, bars_of

CHARTS = {"1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min", "1h": "1hour", "4h": "4hour"}
"""Interval to FMP's name of its chart."""
PRICES = ("open", "high", "low", "close")
_LOCAL = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}")


def days(names: Names, only: str) -> Read:
    """Reads the end-of-day history. A day that was not over when the message came is left out, as it may change."""

    def read(payload: bytes, received_at: int) -> Found:
        return _bars(_history(payload), "1d", lambda item: symbol_of(names, named(item), only), received_at)

    return read


def chart(names: Names, only: str, interval: str) -> Read:
    """Reads a chart, whose rows do not say their symbol."""

    def read(payload: bytes, received_at: int) -> Found:
        if not only or interval not in CHARTS:
            raise NotUnderstood(
                "unknown_symbol",
                "a chart does not say its symbol and interval; the channel must: historical_chart:AAPL:1m",
            )
        symbol = names.of(only)
        return _bars(listed(message(payload)), interval, lambda item: symbol, received_at)

    return read


def _history(payload: bytes) -> list[Any]:
    """The days of a message; those of the old API are given the symbol of the object they stand in."""
    said = message(payload)
    if not isinstance(said, dict) or "historical" not in said:
        return listed(said)
    rows, symbol = listed(said["historical"]), said.get("symbol")
    return [{"symbol": symbol, **row} if isinstance(row, dict) else row for row in rows]


def _bars(rows: list[Any], interval: str, symbol_of_row: Callable[[Item], str], received_at: int) -> Found:
    """Closed bars, oldest first, those of each symbol together."""
    length = interval_us(interval)
    refused: list[tuple[str, str]] = []
    by_symbol: dict[str, list[tuple[float, ...]]] = defaultdict(list)

    def take(item: Item) -> None:
        start = _midnight(item) if interval == "1d" else _local(item)
        if start + length <= received_at:
            symbol, bar = symbol_of_row(item), (start, *_values(item))
            by_symbol[symbol].append(bar)

    for _ in readable(rows, take, refused):
        pass
    return Found(bars=[_batch(symbol, interval, found) for symbol, found in by_symbol.items()], refused=refused)


def _values(item: Item) -> tuple[float, ...]:
    """Open, high, low, close, volume and vwap; the last two NaN where FMP has none."""
    prices = [number(item, name) for name in PRICES]
    if None in prices:
        raise NotUnderstood("price", f"the bar of {str(item.get('date'))[:40]!r} lacks a price")
    volume, vwap = number(item, "volume"), number(item, "vwap")
    return (*(p for p in prices if p is not None), math.nan if volume is None else volume, vwap or math.nan)


def _batch(symbol: str, interval: str, rows: list[tuple[float, ...]]) -> BarBatch:
    start, *prices, volume, vwap = zip(*sorted(rows, key=lambda row: row[0]), strict=True)
    bars = bars_of(symbol, interval, [int(at) for at in start], prices, volume)
    return replace(bars, vwap=np.asarray(vwap, np.float64))


def _midnight(item: Item) -> int:
    """The UTC midnight of a row's date, in microseconds."""
    text = item.get("date")
    return midnight(day(text[:10] if isinstance(text, str) and text[10:] == " 00:00:00" else text))


def _local(item: Item) -> int:
    """The moment of a row's time in New York. The hour that the clocks go through twice cannot be told, and is refused."""
    text = item.get("date")
    try:
        local = dt.datetime.fromisoformat(text) if isinstance(text, str) and _LOCAL.fullmatch(text) else None
    except ValueError:
        local = None
    if local is None:
        raise NotUnderstood("time", f"{str(text)[:40]!r} is not a time like 2025-09-23 15:59:00")
    first, second = (local.replace(tzinfo=NEW_YORK, fold=fold).timestamp() for fold in (0, 1))
    if first != second:
        raise NotUnderstood(
            "time", f"{text} is no moment or two of them, as the clocks of New York are set in that night"
        )
    return round(first) * SECOND
