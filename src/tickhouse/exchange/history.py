"""Every trade that was made public, a shelf for each instrument: what REST answers from, and the truth that tests compare with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tickhouse.core.errors import BadSetting
from tickhouse.exchange import F64, I64, Instrument, Source, Trades
from tickhouse.exchange.klines import Columns, Klines, edges_between, floor_to, next_after, of_trades, real

WAITING = 1 << 16
"""Trades that wait to be put on their shelves together; a question puts them there at once."""
KEEP = 5_000_000
ID, PRICE, QUANTITY, TIME, ORDER = range(5)


@dataclass(frozen=True, slots=True)
class Truth:
    """The trades really made, as columns of shape (n,) ordered by instrument and id.

    `code` points into `symbols` (canonical spelling); prices and quantities are the nearest float64 of their decimals, `time`
    is us. `forgotten` counts trades that were made and are no longer kept.
    """

    symbols: tuple[str, ...]
    code: I64
    id: I64
    price: F64
    quantity: F64
    time: I64
    forgotten: int = 0

    def __len__(self) -> int:
        return len(self.code)

    def of(self, symbol: str) -> "Truth":
        """The trades of one symbol."""
        rows = self.code == self.symbols.index(symbol)
        return Truth(
            self.symbols, *(column[rows] for column in (self.code, self.id, self.price, self.quantity, self.time))
        )


class Shelf:
    """The trades of one instrument in one growing array of shape (5, capacity)."""

    def __init__(self) -> None:
        self._rows = np.empty((5, 16), np.int64)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, trades: Trades) -> None:
        """Put trades of this instrument at the end."""
        end = self._size + len(trades)
        if end > self._rows.shape[1]:
            grown = np.empty((5, max(end, 2 * self._rows.shape[1])), np.int64)
            grown[:, : self._size] = self._rows[:, : self._size]
            self._rows = grown
        part = self._rows[:, self._size : end]
        part[ID], part[PRICE], part[TIME], part[ORDER] = trades.id, trades.price, trades.time, trades.order
        part[QUANTITY] = trades.quantity << 1 | trades.maker
        self._size = end

    def forget(self, before: int) -> int:
        """Drop trades before a time (us), all but the last one; how many."""
        gone = min(int(np.searchsorted(self._rows[TIME, : self._size], before)), max(self._size - 1, 0))
        if gone:
            self._rows = self._rows[:, gone : self._size].copy()
            self._size -= gone
        return gone

    def columns(self, until: int) -> Columns:
        """The trades up to and including a time (us)."""
        size = int(np.searchsorted(self._rows[TIME, : self._size], until, "right"))
        rows = self._rows[:, :size]
        return Columns(rows[ID], rows[PRICE], rows[QUANTITY], rows[TIME], rows[ORDER])


class History:
    """Trades of all instruments. They are given block by block ahead of time and seen only up to `visible` (us).

    `keep` bounds how many are remembered (40 bytes each): beyond it the oldest quarter is forgotten, and counted.
    """

    def __init__(self, source: Source, keep: int = KEEP) -> None:
        self.source, self.keep = source, keep
        self.instruments: Sequence[Instrument] = source.instruments
        self.codes = {instrument.symbol: code for code, instrument in enumerate(self.instruments)}
        self._names = {instrument.name: code for code, instrument in enumerate(self.instruments)}
        self.visible = 0
        self.made = 0
        self.forgotten = 0
        self._shelves = [Shelf() for _ in self.instruments]
        self._waiting: list[Trades] = []
        self._waits = 0
        self._past: dict[int, Klines | None] = {}
        self._ages: list[tuple[int, int]] = []

    def add(self, trades: Trades) -> None:
        """The next block, in order of time."""
        self._waiting.append(trades)
        self._waits += len(trades)
        if self._waits >= min(WAITING, self.keep // 8):
            self._shelve()

    def columns(self, code: int) -> Columns:
        """What can be seen of one instrument."""
        self._shelve()
        return self._shelves[code].columns(self.visible)

    def until(self, code: int, us: int) -> Columns:
        """The trades of one instrument up to and including a time (us), be they public or not."""
        self._shelve()
        return self._shelves[code].columns(us)

    def last_price(self, code: int) -> int:
        """The newest price in units, the first price before there is a trade."""
        prices = self.columns(code).price
        return int(prices[-1]) if len(prices) else self.instruments[code].first_price

    def price_before(self, code: int, us: int) -> int:
        """The last price in units before a time (us), of the made-up past too; the first price before everything."""
        trades = self.columns(code)
        place = int(np.searchsorted(trades.time, us))
        if place:
            return int(trades.price[place - 1])
        past = self._before(code)
        if past is not None:
            traded = np.flatnonzero((past.trades > 0) & (past.start < us))
            if len(traded):
                return int(past.close[traded[-1]])
        return self.instruments[code].first_price

    def klines(self, code: int, edges: I64) -> Klines:
        """Bars of one instrument, those of the made-up past included."""
        bars, past = of_trades(self.columns(code), edges), self._before(code)
        if past is None or past.start[-1] < edges[0]:
            return bars
        return past.regrouped(edges).merged(bars)

    def earliest(self, code: int) -> int | None:
        """The time of the first bar or trade there is (us); None when there is none."""
        past, trades = self._before(code), self.columns(code)
        if past is not None:
            return int(past.start[0])
        return int(trades.time[0]) if len(trades) else None

    def seen(self) -> int:
        """How many trades were made public, those forgotten included."""
        return self.forgotten + sum(len(self.columns(code)) for code in range(len(self.instruments)))

    def truth(self) -> Truth:
        """Every trade kept and made public until now."""
        kept = [self.columns(code) for code in range(len(self.instruments))]
        codes = np.repeat(np.arange(len(kept)), [len(one) for one in kept])
        scales = list(zip(kept, self.instruments, strict=True))
        return Truth(
            tuple(one.name for one in self.instruments), codes,
            _joined([one.id for one in kept]),
            _joined([real(one.price, its.price_decimals) for one, its in scales]),
            _joined([real(one.quantity, its.quantity_decimals) for one, its in scales]),
            _joined([one.time for one in kept]), self.forgotten,
        )  # fmt: skip

    def bars(self, symbol: str, interval: str, start: int, end: int) -> list[dict[str, Any]]:
        """The true bars of a symbol, of trades only: those that start in [start, end) and have any.

        `symbol` in the spelling of the market or the canonical one; `start` in us, prices as float.
        """
        code = self.code(symbol)
        one = self.instruments[code]
        first = floor_to(start, interval)
        edges = edges_between(first if first >= start else next_after(first, interval), end - 1, interval, 10**6)
        prices, sizes = 10.0**one.price_decimals, 10.0**one.quantity_decimals
        found = []
        for bar in of_trades(self.columns(code), edges).rows():
            begin, opened, high, low, close, volume, quote, trades, *_, first_id, last_id = bar
            if trades:
                found.append({
                    "start": begin, "open": opened / prices, "high": high / prices, "low": low / prices,
                    "close": close / prices, "volume": volume / sizes, "vwap": quote / volume / prices,
                    "trades": trades, "first_id": first_id, "last_id": last_id,
                })  # fmt: skip
        return found

    def code(self, symbol: str) -> int:
        """The place of an instrument. Raises `BadSetting` for a symbol that is not listed."""
        found = self.codes.get(symbol, self._names.get(symbol))
        if found is None:
            raise BadSetting("symbol", symbol, f"one of the {len(self.codes)} listed symbols")
        return found

    def _before(self, code: int) -> Klines | None:
        if code not in self._past:
            self._past[code] = self.source.past(code)
        return self._past[code]

    def _shelve(self) -> None:
        """Sort what waits onto the shelves, in one go for all instruments."""
        if not self._waiting:
            return
        columns = zip(
            *((b.code, b.id, b.price, b.quantity, b.time, b.maker, b.order) for b in self._waiting), strict=True
        )
        block = Trades(*(np.concatenate(column) for column in columns))
        self._waiting.clear()
        self._waits = 0
        self._ages.append((int(block.time[-1]), len(block)))
        self.made += len(block)
        ordered = block.take(np.argsort(block.code, kind="stable"))
        starts = np.flatnonzero(np.diff(ordered.code, prepend=-1))
        for first, last in zip(starts.tolist(), [*starts[1:].tolist(), len(ordered)], strict=True):
            self._shelves[ordered.code[first]].append(ordered.take(slice(first, last)))
        if self.made - self.forgotten > self.keep:
            self._forget()

    def _forget(self) -> None:
        """Drop the oldest quarter."""
        dropped, before = 0, 0
        while self._ages and dropped < self.keep // 4:
            before, count = self._ages.pop(0)
            dropped += count
        self.forgotten += sum(shelf.forget(before + 1) for shelf in self._shelves)


def _joined(parts: list[Any]) -> Any:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
