"""Bars of a house adjusted for splits and dividends: a view, since what is kept are prices as their provider states them.

The actions of a bar's own source count, those that had taken effect and were known at the time asked about. A provider may state
prices in the shares of the day on which it answers (`About.rebased`): then only the splits since that day are left to do. A bar
within a day is adjusted by the date that its market had.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from tickhouse.core.adjusting import ALL, NONE, Events, adjusted, dividend_factors, split_factors
from tickhouse.core.batches import I64
from tickhouse.core.errors import SettingsError
from tickhouse.core.model import INDICATOR, Query, interval_us
from tickhouse.core.sessions import zone_of
from tickhouse.feeds._zones import local_days
from tickhouse.steps import chosen
from tickhouse.steps.opening import market_of
from tickhouse.steps.past import Past

SECOND = 1_000_000
DAY = 86_400 * SECOND
EVERY = "*"


@dataclass(frozen=True, slots=True)
class _Share:
    """One symbol of one source: where its days begin, and of which intervals its prices are those of the day of the answer."""

    symbol: str
    source: str
    zone: ZoneInfo
    rebased: tuple[str, ...]

    def days(self, table: pa.Table, interval: str) -> I64:
        """The date of each bar, as days since 1970. Those of whole days are stamped at the midnight of their date."""
        start = _us(table["start"])
        return start // DAY if interval_us(interval) >= DAY else local_days(start // SECOND, self.zone)

    def counted(self, table: pa.Table, interval: str) -> I64:
        """The last day whose splits each bar has in it."""
        days = self.days(table, interval)
        if not self._has(interval):
            return days
        return np.maximum(days, local_days(_us(table["known_at"]) // SECOND, self.zone))

    def stated(self, days: I64, received: I64) -> I64:
        """The last day whose splits dividends of some days have in them."""
        if not self._has("1d"):
            return days
        return np.maximum(days, local_days(received // SECOND, self.zone))

    def _has(self, interval: str) -> bool:
        return EVERY in self.rebased or interval in self.rebased


class Adjusted:
    """Closed bars and their indicators as `Beside` reads them, adjusted."""

    def __init__(self, pipeline: Any, how: str) -> None:
        self._pipeline, self._how = pipeline, how
        self._past = Past(pipeline.journal, pipeline.lake, pipeline.shown)

    def bars(self, query: Query) -> pa.Table:
        """Stored bars, adjusted."""
        return self.of(self._past.bars(query), query.as_of)

    def indicators(self, query: Query) -> pa.Table:
        """None: those that are kept are of bars as they are kept."""
        return INDICATOR.empty_table()

    def of(self, bars: pa.Table, as_of: int | None = None) -> pa.Table:
        """Bars, adjusted by what was known at a time (us; None: now)."""
        if self._how == NONE or not bars.num_rows:
            return bars
        price, volume = np.ones(bars.num_rows), np.ones(bars.num_rows)
        names = (bars[name].cast(pa.string()).to_pylist() for name in ("symbol", "source", "interval"))
        groups: dict[tuple[str, str, str], list[int]] = {}
        for place, key in enumerate(zip(*names, strict=True)):
            groups.setdefault(key, []).append(place)
        for (symbol, source, interval), places in groups.items():
            rows, share = np.array(places), self._share(symbol, source)
            splits, dividends = self._events(share, as_of)
            some = bars.take(rows)
            factor = split_factors(share.counted(some, interval), splits)
            volume[rows] = 1.0 / factor
            if self._how == ALL and len(dividends):
                closes = self._closes(share, interval, as_of)
                factor = factor * dividend_factors(share.days(some, interval), dividends, splits, closes)
            price[rows] = factor
        return adjusted(bars, price, volume)

    def _share(self, symbol: str, source: str) -> _Share:
        settings = self._pipeline.settings
        section = settings.feeds.get(source)
        try:
            about = chosen.feed(settings, source).about
        except SettingsError:
            return _Share(symbol, source, zone_of(market_of(symbol, "equities")), ())
        market = section.market if section and section.market else market_of(symbol, about.market)
        return _Share(symbol, source, zone_of(market), about.rebased)

    def _events(self, share: _Share, as_of: int | None) -> tuple[Events, Events]:
        """The splits and the dividends that had taken effect and were known."""
        now = self._pipeline.clock.now() if as_of is None else as_of
        rows = self._pipeline.shown.actions(Query((share.symbol,), source=share.source)).to_pylist()
        received = self._received(share.source, {row["raw"] for row in rows})
        today = int(local_days(np.array([now // SECOND]), share.zone)[0])
        found: dict[str, list[tuple[int, float, int]]] = {"split": [], "dividend": []}
        for row in rows:
            day, known = int(np.datetime64(row["date"], "D").astype(np.int64)), received.get(row["raw"])
            if day <= today and (as_of is None or (known is not None and known <= as_of)):
                found[row["kind"]].append((day, row["value"], known or now))
        return self._of(share, found["split"]), self._of(share, found["dividend"])

    def _of(self, share: _Share, rows: Iterable[tuple[int, float, int]]) -> Events:
        columns = list(zip(*rows, strict=True)) or [(), (), ()]
        days, received = (np.array(columns[place], np.int64) for place in (0, 2))
        return Events(days, np.array(columns[1], np.float64), share.stated(days, received))

    def _received(self, source: str, positions: Iterable[int]) -> dict[int, int]:
        """When messages came (us)."""
        found = self._past.messages(source, sorted(positions))
        return {position: int(raw.received_at[index]) for position, raw, index in found}

    def _closes(self, share: _Share, interval: str, as_of: int | None) -> Events:
        """The last close of each day: that of its daily bar, or, on days that have none, of its last bar of the interval."""
        parts = []
        for length in dict.fromkeys((interval, "1d")):
            table = self._past.bars(Query((share.symbol,), length, share.source, as_of=as_of))
            close = table["close"].to_numpy(zero_copy_only=False)
            parts.append((share.days(table, length), close, share.counted(table, length)))
        days, close, counted = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.argsort(days, kind="stable")
        last = np.append(np.diff(days[order]) != 0, True) if len(order) else order
        rows = order[np.asarray(last, np.bool_)]
        return Events(days[rows], close[rows], counted[rows])


def _us(column: Any) -> I64:
    return np.asarray(column.cast(pa.int64()), np.int64)
