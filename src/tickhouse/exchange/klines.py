"""Bars of any edges from columns of trades: plain numpy on whole numbers, exact, and independent of the engine."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

import numpy as np

from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting
from tickhouse.core.model import interval_us
from tickhouse.exchange import F64, I64

INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")
MINUTE, DAY = 60 * SECOND, 86_400 * SECOND
MONDAY = 4 * DAY
"""1970-01-05, from which weeks are counted."""
LARGE = 2.0**62


@dataclass(frozen=True, slots=True)
class Klines:
    """Bars in a column each, all of shape (n,), prices and quantities in units of the instrument.

    `quote` and `taker_quote` are sums of price times quantity (units of both); `first` and `last` trade ids are -1 in a bar
    without trades, whose prices are 0.
    """

    start: I64
    open: I64
    high: I64
    low: I64
    close: I64
    volume: I64
    quote: I64
    trades: I64
    taker_volume: I64
    taker_quote: I64
    first: I64
    last: I64

    def __len__(self) -> int:
        return len(self.start)

    def rows(self) -> Iterator[tuple[int, ...]]:
        """The bars as tuples of whole numbers, in order of the columns."""
        return zip(*(getattr(self, column.name).tolist() for column in fields(self)), strict=True)

    def merged(self, later: "Klines") -> "Klines":
        """Bars of the same edges from an earlier and a later part of their time as one."""
        a, b = self.trades > 0, later.trades > 0
        low = np.where(a & b, np.minimum(self.low, later.low), np.where(b, later.low, self.low))
        return Klines(
            self.start, np.where(a, self.open, later.open), np.maximum(self.high, later.high), low,
            np.where(b, later.close, self.close), self.volume + later.volume, self.quote + later.quote,
            self.trades + later.trades, self.taker_volume + later.taker_volume, self.taker_quote + later.taker_quote,
            np.where(self.first >= 0, self.first, later.first), np.where(later.last >= 0, later.last, self.last),
        )  # fmt: skip

    def regrouped(self, edges: I64) -> "Klines":
        """Bars of wider edges; shape (len(edges) - 1,)."""
        kept, starts, filled = _segments(self.start, edges)
        if not len(starts):
            return empty(edges)
        out, ends = empty(edges), np.append(starts[1:], kept.stop) - 1
        out.open[filled], out.close[filled] = self.open[starts], self.close[ends]
        out.high[filled] = np.maximum.reduceat(self.high[kept], starts - kept.start)
        out.low[filled] = np.minimum.reduceat(self.low[kept], starts - kept.start)
        for name in ("volume", "quote", "trades", "taker_volume", "taker_quote"):
            getattr(out, name)[filled] = np.add.reduceat(getattr(self, name)[kept], starts - kept.start)
        out.first[filled], out.last[filled] = self.first[starts], self.last[ends]
        return out


def empty(edges: I64) -> Klines:
    """Bars without trades."""
    sums = [np.zeros(len(edges) - 1, np.int64) for _ in range(9)]
    ids = [np.full(len(edges) - 1, -1) for _ in range(2)]
    return Klines(*[edges[:-1].copy(), *sums, *ids])


def of_trades(columns: "Columns", edges: I64) -> Klines:
    """The bars [edges[i], edges[i + 1]) of the trades of one instrument."""
    kept, starts, filled = _segments(columns.time, edges)
    out = empty(edges)
    if not len(starts):
        return out
    offsets, ends = starts - kept.start, np.append(starts[1:], kept.stop) - 1
    inside = columns[kept]
    price, quantity = inside.price, inside.quantity
    taken = np.where(inside.maker, 0, quantity)
    quote, taker_quote = _money(price, quantity, offsets), _money(price, taken, offsets)
    out.open[filled], out.close[filled] = columns.price[starts], columns.price[ends]
    out.high[filled], out.low[filled] = np.maximum.reduceat(price, offsets), np.minimum.reduceat(price, offsets)
    out.volume[filled], out.taker_volume[filled] = np.add.reduceat(quantity, offsets), np.add.reduceat(taken, offsets)
    out.trades[filled] = ends - starts + 1
    out.first[filled], out.last[filled] = columns.id[starts], columns.id[ends]
    return replace(out, quote=_spread(quote, filled, len(out)), taker_quote=_spread(taker_quote, filled, len(out)))


@dataclass(frozen=True, slots=True)
class Columns:
    """The trades of one instrument in order, as columns of shape (n,). `packed` is twice the quantity, plus 1 for a maker."""

    id: I64
    price: I64
    packed: I64
    time: I64
    order: I64

    @property
    def quantity(self) -> I64:
        return self.packed >> 1

    @property
    def maker(self) -> I64:
        return self.packed & 1

    def __len__(self) -> int:
        return len(self.id)

    def __getitem__(self, part: slice) -> "Columns":
        return Columns(self.id[part], self.price[part], self.packed[part], self.time[part], self.order[part])


def floor_to(us: int, interval: str) -> int:
    """The start of the bar that holds a moment. Weeks begin on Monday, `1M` is a month of the calendar.

    >>> floor_to(90_000_000, "1m")
    60000000
    """
    if interval == "1M":
        moment = datetime.fromtimestamp(us // SECOND, UTC)
        return int(datetime(moment.year, moment.month, 1, tzinfo=UTC).timestamp()) * SECOND
    origin = MONDAY if interval == "1w" else 0
    return us - (us - origin) % interval_us(interval)


def next_after(start: int, interval: str) -> int:
    """The start of the bar after the one that begins at `start`."""
    if interval == "1M":
        return floor_to(start + 32 * DAY, interval)
    return start + interval_us(interval)


def edges_between(first: int, last: int, interval: str, most: int) -> I64:
    """The edges of at most `most` bars, from the one that starts at `first` to the one that starts at or before `last`."""
    if interval not in INTERVALS:
        raise BadSetting("interval", interval, f"one of {', '.join(INTERVALS)}")
    if interval != "1M":
        step = interval_us(interval)
        count = min(max((last - first) // step + 1, 0), most)
        return first + step * np.arange(count + 1, dtype=np.int64)
    found = [first]
    while len(found) <= most and found[-1] <= last:
        found.append(next_after(found[-1], interval))
    return np.array(found, np.int64)


def real(units: I64, decimals: int) -> F64:
    """Whole units as floating point numbers, each the nearest to its decimal text."""
    return units / 10.0**decimals


def _money(price: I64, quantity: I64, offsets: I64) -> I64:
    """Sums of price times quantity; Python's whole numbers where 64 bits could be too few."""
    if float(price.max()) * float(quantity.sum()) >= LARGE:
        return np.add.reduceat(price.astype(object) * quantity.astype(object), offsets)
    return np.add.reduceat(price * quantity, offsets)


def _spread(sums: I64, filled: I64, count: int) -> I64:
    out = np.zeros(count, sums.dtype)
    out[filled] = sums
    return out


def _segments(times: I64, edges: I64) -> tuple[slice, I64, I64]:
    """The rows inside the edges, where each bar that has any starts, and which bars those are."""
    bounds = np.searchsorted(times, edges)
    filled = np.flatnonzero(np.diff(bounds))
    return slice(int(bounds[0]), int(bounds[-1])), bounds[filled], filled
