"""What every instrument cost at any time: trades since the market began, and a made-up past of years before them.

Coins go back through the day of bars that the market has from before its first trade; before it they follow a walk of their
own. Shares and currencies follow the floor's. Bars never change once they are over.
"""

import zlib
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np

from tickhouse.core.clock import SECOND
from tickhouse.core.model import interval_us
from tickhouse.exchange import F64, I64, Bools, Instrument, Now
from tickhouse.exchange._listed import CURRENCIES
from tickhouse.exchange._walk import chance, opens_and_closes, path
from tickhouse.exchange.floor import DAY, FIRST_DAY, MINUTE, Floor, Hours
from tickhouse.exchange.history import History
from tickhouse.exchange.klines import MONDAY, Klines, empty, of_trades

COIN_DAILY = 0.024
_COLUMNS = tuple(Klines.__dataclass_fields__)


class Chronicle:
    """Bars and prices by the code of the instrument, times in us."""

    def __init__(self, history: History, now: Now) -> None:
        self.history, self._now = history, now
        self.floor: Floor | None = getattr(history.source, "floor", None)
        self.seed = int(str(history.source.about().get("seed", 7)))
        self.money = self.floor or Floor(self.seed)
        """Knows what currencies are worth, be they traded here or not."""
        self.currencies = CURRENCIES
        self._codes = {one.name: code for code, one in enumerate(history.instruments)}
        self._first_floor = len(history.instruments) - (len(self.floor.instruments) if self.floor else 0)
        if self.floor:
            self.floor.wake(self.public())
        self._whole_days = lru_cache(4096)(self._days_of_year)
        self._invented = lru_cache(256)(self._made_up)

    def public(self) -> int:
        """The last moment of which the market has told (us)."""
        return self.history.visible if self.history.visible > 0 else self._now()

    def code(self, name: str) -> int | None:
        """The instrument of a canonical symbol. Coins have no pair with the dollar; the one with Tether stands for it."""
        found = self._codes.get(name)
        if found is None and name.endswith("-USD"):
            return self._codes.get(f"{name}T")
        return found

    def instrument(self, code: int) -> Instrument:
        """What it is."""
        return self.history.instruments[code]

    def hours(self, code: int, extended: bool = False) -> Hours | None:
        """When it is traded, None for always."""
        market = self.instrument(code).market
        if market == "crypto" or self.floor is None:
            return None
        return self.floor.hours(market, extended, self.public())

    def minutes(self, code: int, start: int, end: int, extended: bool = False) -> Klines:
        """Bars of a minute that begin in [start, end) and in which there were trades; the last one up to `end`."""
        edge = self._edge(code)
        before = self._invented(code, max(start, FIRST_DAY), min(end, edge), extended)
        since = max(start, edge) // MINUTE * MINUTE
        if end <= since:
            return before
        edges = np.append(np.arange(since, end, MINUTE, dtype=np.int64), end)
        bars = self._traded(code, edges)
        inside = (bars.trades > 0) & self._open(code, bars.start, extended)
        return _joined([before, _taken(bars, inside)])

    def bars(self, code: int, interval: str, start: int, end: int, extended: bool = False) -> Klines:
        """Bars that begin in [start, end), were begun in public and had trades: from the open of a session on, or on the grid.

        The newest one is still open unless its time is over. Intervals are those shorter than a day; see `days`.
        """
        end = min(end, self.public() + 1)
        hours, step = self.hours(code, extended), interval_us(interval)
        edges = _grid(hours, start, end, step)
        if not len(edges):
            return empty(np.zeros(1, np.int64))
        stop = min(int(edges[-1]) + step, self.public() + 1)
        minutes = self.minutes(code, int(edges[0]), stop, extended)
        return _full(minutes.regrouped(np.append(edges, edges[-1] + step)))

    def days(self, code: int, start: int, end: int) -> Klines:
        """Bars of days whose UTC midnight is in [start, end), stamped at it: regular sessions of shares, UTC days of others."""
        first, last = max(start, FIRST_DAY), min(end, self.public() + 1)
        parts = [self._days_between(code, *span) for span in _years(first, last)]
        found = _joined(parts)
        return _taken(found, (found.start >= first) & (found.start < last))

    def weeks(self, code: int, start: int, end: int) -> Klines:
        """Bars of weeks that begin on Mondays in [start, end)."""
        first = MONDAY + -(-(start - MONDAY) // (7 * DAY)) * 7 * DAY
        edges = np.arange(max(first, FIRST_DAY // DAY * DAY), max(end, first) + 1, 7 * DAY, dtype=np.int64)
        if not len(edges):
            return empty(np.zeros(1, np.int64))
        edges = np.append(edges[edges < end], edges[edges < end][-1] + 7 * DAY) if (edges < end).any() else edges
        return _full(self.days(code, int(edges[0]), int(edges[-1])).regrouped(edges))

    def last(self, code: int, at: int, extended: bool = True) -> tuple[int, int]:
        """Price in units and time of the last trade up to a moment."""
        for since in (at - 2 * 3600 * SECOND, at - 5 * DAY, at - 12 * DAY):
            bars = self.minutes(code, since // MINUTE * MINUTE, at + 1, extended)
            if len(bars):
                break
        else:
            return self.instrument(code).first_price, at
        begun = int(bars.start[-1])
        times = self.history.until(code, at).time
        seen = int(np.searchsorted(times, min(begun + MINUTE, at + 1))) - 1
        traded = seen >= 0 and int(times[seen]) >= begun
        return int(bars.close[-1]), int(times[seen]) if traded else min(begun + MINUTE, at)

    def _edge(self, code: int) -> int:
        """From here on there are trades, or could be; before it the past is made up. A whole minute."""
        if code >= self._first_floor and self.floor:
            return (self.floor.began or self.public() + 1) // MINUTE * MINUTE
        found = self.history.earliest(code)
        return (self.public() if found is None else found) // MINUTE * MINUTE

    def _traded(self, code: int, edges: I64) -> Klines:
        """Bars of trades, of the day before the market began too."""
        if code >= self._first_floor:
            return of_trades(self.history.until(code, int(edges[-1]) - 1), edges)
        return self.history.klines(code, edges)

    def _open(self, code: int, starts: I64, extended: bool) -> Bools:
        hours = self.hours(code, extended)
        if hours is None:
            return np.ones(len(starts), np.bool_)
        place = np.searchsorted(hours.starts, starts, "right") - 1
        return np.asarray((place >= 0) & (starts < hours.ends[np.maximum(place, 0)]), np.bool_)

    def _made_up(self, code: int, start: int, end: int, extended: bool) -> Klines:
        """Whole minutes of the past before `end`."""
        starts = np.arange(-(-start // MINUTE) * MINUTE, end - MINUTE + 1, MINUTE, dtype=np.int64)
        starts = starts[self._open(code, starts, extended)]
        if not len(starts) or (self.floor is None and self.instrument(code).market != "crypto"):
            return empty(np.zeros(1, np.int64))
        if code >= self._first_floor and self.floor:
            return self.floor.minutes(code - self._first_floor, starts)
        return self._coin(code, starts)

    def _coin(self, code: int, starts: I64) -> Klines:
        """The past of a pair of coins: a walk that ends where its bars begin."""
        one, edge = self.instrument(code), self._edge(code)
        known = self.history.klines(code, np.array([edge, edge + DAY], np.int64))
        first = int(known.open[0]) or one.first_price
        walk = 10_000 + zlib.crc32(one.symbol.encode()) % 1_000_000
        home = path(self.seed, walk, np.array([edge / MINUTE]))

        def price(us: I64) -> I64:
            level = first * np.exp(COIN_DAILY * (path(self.seed, walk, us / MINUTE) - home))
            return np.asarray(np.maximum(np.rint(level), 1), np.int64)

        opened, closed = opens_and_closes(price, starts, MINUTE)
        luck = [chance(self.seed, walk + part, starts // MINUTE) for part in (1, 2, 3)]
        high = np.maximum(opened, closed) + np.rint(luck[0] * opened * 2e-4).astype(np.int64)
        low = np.maximum(np.minimum(opened, closed) - np.rint(luck[1] * opened * 2e-4).astype(np.int64), 1)
        trades = np.full(len(starts), max(int(known.trades[0]) // 1440, 1))
        volume = np.maximum(np.rint(int(known.volume[0]) / 1440 * (0.5 + luck[2])), 1).astype(np.int64)
        mean, none = (opened + closed) // 2, np.full(len(starts), -1)
        sums = [volume, volume * mean, trades, volume // 2, volume // 2 * mean]
        return Klines(*[starts, opened, high, low, closed, *sums, none, none])

    def _days_between(self, code: int, first: int, last: int) -> Klines:
        """The days of a part of a year; those of a whole year that is over are kept."""
        year_over = last <= self._edge(code) and last - first >= 365 * DAY
        return self._whole_days(code, first, last) if year_over else self._days_of_year(code, first, last)

    def _days_of_year(self, code: int, first: int, last: int) -> Klines:
        hours = self.hours(code)
        if hours is None or self.instrument(code).market == "forex":
            edges = np.arange(first // DAY * DAY, last + DAY, DAY, dtype=np.int64)
            minutes = self.minutes(code, int(edges[0]), min(int(edges[-1]), self.public() + 1))
            return _full(minutes.regrouped(edges))
        begun = np.flatnonzero((hours.starts >= first) & (hours.starts < last + DAY) & (hours.starts <= self.public()))
        if not len(begun):
            return empty(np.zeros(1, np.int64))
        edges = np.append(hours.starts[begun], hours.ends[begun[-1]])
        minutes = self.minutes(code, int(edges[0]), min(int(edges[-1]), self.public() + 1))
        bars = _full(minutes.regrouped(edges))
        return replace(bars, start=bars.start // DAY * DAY)

    def prices(self, code: int, times: I64) -> F64:
        """The last price before each of some ascending moments, as numbers; minutes are as fine as it is for the made-up past."""
        bars = self.minutes(code, int(times[0]) - 4 * DAY, int(times[-1]) + 1, extended=True)
        place = np.searchsorted(bars.start, times, "right") - 1
        inside = times - bars.start[np.maximum(place, 0)] < MINUTE
        whole = np.maximum(place - inside, 0)
        closes: F64 = bars.close[whole] / 10.0 ** self.instrument(code).price_decimals
        return closes


def _grid(hours: Hours | None, start: int, end: int, step: int) -> I64:
    """The starts in [start, end) of bars of a length, counted from the open of each session, or from 1970."""
    if hours is None:
        return np.arange(-(-start // step) * step, end, step, dtype=np.int64)
    first, last = max(hours.at(start), 0), hours.at(end - 1)
    sessions = zip(hours.starts[first : last + 1].tolist(), hours.ends[first : last + 1].tolist(), strict=True)
    parts = [np.arange(opened, closed, step, dtype=np.int64) for opened, closed in sessions]
    edges = np.concatenate(parts) if parts else np.empty(0, np.int64)
    return edges[(edges >= start) & (edges < end)]


def _years(first: int, last: int) -> list[tuple[int, int]]:
    """A range cut at the beginnings of years of UTC."""
    begun = np.array([first, last], "datetime64[us]").astype("datetime64[Y]")
    years = np.arange(begun[0], begun[1] + 1).astype("datetime64[us]").astype(np.int64).tolist()
    cuts = sorted({first, *(year for year in years if first < year < last), last})
    return list(pairwise(cuts))


def _joined(parts: list[Klines]) -> Klines:
    if len(parts) == 1:
        return parts[0]
    return Klines(
        *(np.concatenate([getattr(part, name) for part in parts] or [np.empty(0, np.int64)]) for name in _COLUMNS)
    )


def _taken(bars: Klines, rows: Bools) -> Klines:
    return Klines(*(getattr(bars, name)[rows] for name in _COLUMNS))


def _full(bars: Klines) -> Klines:
    """Those with trades."""
    return _taken(bars, bars.trades > 0)
