"""What an answer of `v8/finance/chart` means: bars, splits, dividends, and the live price at its end.

{"chart":{"result":[{"meta":{"symbol":"AAPL","dataGranularity":"1d","exchangeTimezoneName":"America/New_York",
  "regularMarketTime":1739998801,"regularMarketPrice":244.87,...},
  "timestamp":[1598880600,...],
  "events":{"dividends":{"1604673000":{"amount":0.205,"date":1604673000}},
            "splits":{"1598880600":{"date":1598880600,"numerator":4,"denominator":1,"splitRatio":"4:1"}}},
  "indicators":{"quote":[{"open":[...],"high":[...],"low":[...],"close":[...],"volume":[...]}],
                "adjclose":[{"adjclose":[...]}]}}],"error":null}}

- Prices and dividends are those of shares as they are counted when the answer is given: every split so far is already in them.
  The splits and dividends beside them are actions; the adjusted close, which they imply, is not kept.
- Prices are in the unit of the listing, pence where Yahoo's currency is GBp.
- Intraday bars are stamped at their open. Daily ones, for which Yahoo states the open of the session, are stamped at the UTC
  midnight of the date that the exchange has then, so that the days of all providers lie on each other; weekly ones likewise.
- A row with a null in its prices is no bar. A bar whose time was not over when the answer came is none yet. The last row of a
  live chart is the price of the moment, off the grid and without volume: it becomes a quote.
"""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from tickhouse.core.batches import F64, I64, BarBatch
from tickhouse.core.model import interval_us
from tickhouse.feeds._messages import NOTHING, Found, NotUnderstood, bars_of
from tickhouse.feeds._yahoo_actions import Dividend, Split, actions
from tickhouse.feeds._yahoo_names import Names
from tickhouse.feeds._yahoo_quotes import SECOND, microseconds
from tickhouse.feeds._zones import DAY, FIRST, LAST, from_local, local_days, zone_of

INTERVALS = {
    "1m": "1m", "2m": "2m", "5m": "5m", "15m": "15m", "30m": "30m", "60m": "1h", "1h": "1h", "90m": "90m",
    "1d": "1d", "1wk": "1w",
}  # fmt: skip
"""Yahoo's granularities of which a bar has one length."""
MINUTE = 60
PRICES = ("open", "high", "low", "close")
Mask = NDArray[np.bool_]


class _Period(Struct):
    start: int = 0
    end: int = 0


class _Periods(Struct):
    regular: _Period | None = None


class _Meta(Struct, rename="camel"):
    symbol: str
    data_granularity: str = ""
    exchange_timezone_name: str = ""
    current_trading_period: _Periods | None = None
    previous_close: float | None = None
    regular_market_time: int | None = None
    regular_market_price: float | None = None
    regular_market_change_percent: float | None = None
    regular_market_day_high: float | None = None
    regular_market_day_low: float | None = None
    regular_market_volume: float | None = None


class _Columns(Struct):
    open: list[float | None] = []
    high: list[float | None] = []
    low: list[float | None] = []
    close: list[float | None] = []
    volume: list[float | None] = []


class _Indicators(Struct):
    quote: list[_Columns] = []


class _Events(Struct, rename="camel"):
    dividends: dict[str, Dividend] = {}
    capital_gains: dict[str, Dividend] = {}
    splits: dict[str, Split] = {}


class _Result(Struct):
    meta: _Meta
    timestamp: list[int] = []
    indicators: _Indicators | None = None
    events: _Events | None = None


class _Part(Struct):
    result: list[_Result] | None = None
    error: Any = None


class _Body(Struct):
    chart: _Part | None = None
    finance: _Part | None = None


_decoder = msgspec.json.Decoder(_Body)


def read_chart(payload: bytes, received_at: int, names: Names) -> Found:
    """The bars and actions of one answer, and a quote where it ends in the live price. Raises `NotUnderstood`."""
    try:
        body = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotUnderstood("malformed", f"not an answer of Yahoo's charts: {str(error)[:200]}") from None
    part = body.chart or body.finance
    if part is None:
        raise NotUnderstood("malformed", "an answer of Yahoo's charts has chart in it, this one has not")
    if part.error or not part.result:
        return NOTHING
    charts = [_Chart(result, names).found(received_at // SECOND) for result in part.result]
    return Found(
        quotes=[row for found in charts for row in found.quotes],
        bars=[bars for found in charts for bars in found.bars],
        actions=[row for found in charts for row in found.actions],
        refused=[bad for found in charts for bad in found.refused],
    )


class _Chart:
    """One symbol's chart."""

    def __init__(self, result: _Result, names: Names) -> None:
        self.result, self.meta = result, result.meta
        self.symbol = names.of(self.meta.symbol)
        self.interval = self._interval()
        self.zone = self._zone()
        self.seconds = _seconds(result.timestamp, self.symbol)
        last = result.timestamp[-1] if result.timestamp else None
        self.live = last is not None and last == self.meta.regular_market_time

    def found(self, now: int) -> Found:
        """What there is in it at a moment in seconds."""
        bars, refused = self._bars(now) if len(self.seconds) else (None, [])
        rows, bad = self._actions()
        return Found(self._quotes(), bars=[bars] if bars is not None else [], actions=rows, refused=[*refused, *bad])

    def _interval(self) -> str:
        known = INTERVALS.get(self.meta.data_granularity)
        if known is None:
            detail = f"bars of {self.symbol} have the length {self.meta.data_granularity[:20]!r}, not one of {', '.join(INTERVALS)}"
            raise NotUnderstood("interval", detail)
        return known

    def _zone(self) -> ZoneInfo:
        zone = zone_of(self.meta.exchange_timezone_name)
        if zone is None:
            name = self.meta.exchange_timezone_name[:40]
            raise NotUnderstood(
                "timezone", f"the exchange of {self.symbol} is in a time zone {name!r} that is not known"
            )
        return zone

    def _bars(self, now: int) -> tuple[BarBatch | None, list[tuple[str, str]]]:
        """The bars that are whole and over, and why single rows were refused."""
        columns, n = self._columns(), len(self.seconds)
        whole: Mask = np.ones(n, np.bool_)
        for name in PRICES:
            whole &= ~np.isnan(columns[name])
        if self.interval in ("1d", "1w"):
            start, length = local_days(self.seconds, self.zone) * DAY, interval_us(self.interval) // SECOND
            usable, odd = whole & (self._ends(start, length) <= now), 0
            usable[-1] &= not (self.live and self.interval == "1w")
        else:
            start, length = self.seconds, interval_us(self.interval) // SECOND
            on_grid, live = start % MINUTE == 0, self._live_rows(columns["volume"])
            usable = whole & on_grid & ~live & (start + length <= now)
            odd = int((~on_grid & ~live & whole).sum())
        refused = [("grid", f"{odd} bars of {self.symbol} begin off the minute")] if odd else []
        if not usable.any():
            return None, refused
        rows = _last_of_each(start, np.flatnonzero(usable))
        prices = [columns[name][rows] for name in PRICES]
        return bars_of(self.symbol, self.interval, start[rows] * SECOND, prices, columns["volume"][rows]), refused

    def _columns(self) -> Mapping[str, F64]:
        """The columns of the bars, nulls as NaN."""
        quotes = self.result.indicators.quote if self.result.indicators else []
        lists = quotes[0] if quotes else _Columns()
        columns = {name: np.array(getattr(lists, name), np.float64) for name in (*PRICES, "volume")}
        if not len(columns["volume"]):
            columns["volume"] = np.zeros(len(self.seconds))
        if any(len(column) != len(self.seconds) for column in columns.values()):
            counts = ", ".join(f"{len(column)} {name}" for name, column in columns.items())
            raise NotUnderstood("columns", f"{self.symbol} has {len(self.seconds)} times and {counts}")
        return columns

    def _ends(self, start: I64, length: int) -> I64:
        """When the days or weeks that begin on these dates are over, in seconds: a minute after a session that is known to end."""
        ends = from_local(np.clip(start + length, FIRST, LAST - 1), self.zone)
        periods = self.meta.current_trading_period
        session = periods.regular if periods else None
        if self.interval != "1d" or session is None or not FIRST <= session.start < session.end < LAST:
            return ends
        today = local_days(np.array([session.start], np.int64), self.zone)[0] * DAY
        return np.where(start == today, np.minimum(ends, session.end + MINUTE), ends)

    def _live_rows(self, volume: F64) -> Mask:
        """The last row of an intraday chart, where it is the price of the moment and no bar."""
        rows: Mask = np.zeros(len(self.seconds), np.bool_)
        rows[-1] = self.live and (self.seconds[-1] % MINUTE != 0 or not volume[-1] > 0)
        return rows

    def _quotes(self) -> list[dict[str, Any]]:
        """The price of the moment, where the chart ends in it."""
        meta = self.meta
        if not self.live or meta.regular_market_price is None or meta.regular_market_time is None:
            return []
        quote = {
            "symbol": self.symbol, "event_time": microseconds(meta.regular_market_time, self.symbol),
            "price": meta.regular_market_price, "change_percent": meta.regular_market_change_percent,
            "day_high": meta.regular_market_day_high, "day_low": meta.regular_market_day_low,
            "day_volume": meta.regular_market_volume, "previous_close": meta.previous_close,
        }  # fmt: skip
        return [quote]

    def _actions(self) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
        """Splits and dividends."""
        events = self.result.events
        if events is None:
            return [], []
        return actions(
            self.symbol, self.zone, [*events.dividends.values(), *events.capital_gains.values()], events.splits.values()
        )


def _seconds(times: list[int], symbol: str) -> I64:
    if times and not FIRST <= min(times) <= max(times) < LAST:
        raise NotUnderstood("time", f"a bar of {symbol} has a time that is none")
    return np.array(times, np.int64)


def _last_of_each(start: I64, rows: I64) -> I64:
    """The rows by start, of those with the same the last: Yahoo may give a day so far and the price of the moment apart."""
    backwards = rows[::-1]
    return backwards[np.unique(start[backwards], return_index=True)[1]]
