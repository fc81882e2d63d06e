"""A seeded market: trades of several hundred pairs with the habits of real ones, made block by block.

Values of assets move together (`_paths`), pairs follow their two assets, so ETHBTC stays ETHUSDT over BTCUSDT. Orders come
more often in the afternoon, when it is hot, and right after other orders; a few pairs get most of them. An order is
filled by one or several trades, through the book if it is large; sizes are round or odd.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import numpy as np

from tickhouse.core.clock import SECOND
from tickhouse.exchange import F64, I64, MS, Bools, Instrument, Play, Trades
from tickhouse.exchange._paths import STEPS, Paths, daytime
from tickhouse.exchange.floor import Floor
from tickhouse.exchange.instruments import assets, listings
from tickhouse.exchange.klines import Klines
from tickhouse.exchange.past import minutes_before

BLOCK_TRADES = 1024
"""About how many trades are made at once; a block is never longer than a second nor shorter than 10 ms."""
FILL_STOP = 0.74
MEAN_FILLS = 1 / FILL_STOP
FOLLOWERS = 0.35
"""Share of orders that come a few milliseconds after another one."""
FIRST_ID, FIRST_ORDER = 1_000_001, 700_001


class Market:
    """Trades of `symbols` pairs, `rate` a second over all of them on the mean of a day; the same for the same seed.

    `past` seconds are made before the start, so that REST has trades at once; before them there are 24 hours of bars, made
    up when they are asked for. A `floor` adds shares and currencies, which are listed after the pairs.
    """

    waits = False

    def __init__(
        self, seed: int = 7, symbols: int = 300, rate: float = 200.0, past: float = 0.0, floor: Floor | None = None
    ) -> None:
        self.seed, self.rate, self.past_seconds, self.floor = seed, rate, past, floor
        self._assets = assets()
        self._listings = listings(symbols, self._assets)
        self._start = 0

    @property
    def instruments(self) -> Sequence[Instrument]:
        """What is listed: pairs of coins, the most traded first, then what the floor has."""
        pairs = [listing.instrument for listing in self._listings]
        return [*pairs, *self.floor.instruments] if self.floor else pairs

    def play(self, now: int) -> Play:
        """Begin. Times of trades are whole milliseconds from `now` less `past` on."""
        now -= now % MS
        self._start = now - round(self.past_seconds * 1000) * MS
        random = np.random.default_rng([self.seed, self._start // MS])
        return Play(self._blocks(random, self._start), now)

    def past(self, code: int) -> Klines | None:
        """The 24 hours before the first trade of a pair, in minutes; not joined up between pairs."""
        if code >= len(self._listings):
            return None
        listing = self._listings[code]
        return minutes_before(listing.instrument, self._start, self._share(code), [self.seed, code])

    def about(self) -> dict[str, object]:
        """Seed, number of symbols, rate."""
        return {"source": "market", "seed": self.seed, "symbols": len(self._listings), "rate": self.rate}

    def _share(self, code: int) -> float:
        """Trades a minute of one pair."""
        total = sum(listing.weight for listing in self._listings)
        return 60.0 * self.rate * self._listings[code].weight / total

    def _blocks(self, random: np.random.Generator, start: int) -> Iterator[Trades]:
        length = int(min(max(BLOCK_TRADES / max(self.rate, 1e-9), 0.01), 1.0) * 1000) * MS
        crowd = _Crowd(self, random)
        while True:
            trades = crowd.block(start, length)
            if self.floor and self.floor.awake:
                trades = _together(trades, self.floor.block(start, length), len(self._listings))
            if len(trades):
                yield trades
            start += length


def _together(pairs: Trades, floor: Trades, first: int) -> Trades:
    """The trades of both in order of time; codes of the floor begin at `first`."""
    floor = replace(floor, code=floor.code + first)
    columns = [np.concatenate([getattr(pairs, one.name), getattr(floor, one.name)]) for one in fields(Trades)]
    both = Trades(*columns)
    return both.take(np.argsort(both.time, kind="stable"))


class _Crowd:
    """The traders: everything that is remembered from block to block."""

    def __init__(self, market: Market, random: np.random.Generator) -> None:
        listed = market._listings
        self._random, self._rate = random, market.rate
        self._paths = Paths(market._assets, random)
        self._base = np.array([one.base for one in listed])
        self._quote = np.array([one.quote for one in listed])
        self._weight: F64 = np.array([one.weight for one in listed])
        self._price_scale: F64 = 10.0 ** np.array([one.instrument.price_decimals for one in listed])
        self._size_scale: F64 = 10.0 ** np.array([one.instrument.quantity_decimals for one in listed])
        rank = np.argsort(np.argsort(-self._weight))
        self._spread = 5e-6 * (1.0 + rank) ** 0.7
        self._next_id = np.full(len(listed), FIRST_ID, np.int64)
        self._next_order = np.full(len(listed), FIRST_ORDER, np.int64)

    def block(self, start: int, length: int) -> Trades:
        """The trades of [start, start + length)."""
        busy, seconds = daytime(start), length / SECOND
        path = self._paths.advance(seconds, busy)
        count = int(self._random.poisson(self._rate * busy / MEAN_FILLS * seconds))
        time, code = self._arrivals(count, length), self._symbols(count)
        level, trend = self._where(path, code, time / length)
        fills, place = self._fills(count)
        sells = self._random.random(count) < 0.5 - 0.3 * np.tanh(trend)
        best = np.floor(level * self._price_scale[code]).astype(np.int64)
        gap = np.maximum(np.rint(self._spread[code] * best).astype(np.int64), 1)
        price = self._prices(np.where(sells, best, best + gap), sells, fills, place)
        quantity = self._quantities(code[fills], busy)
        maker = np.asarray(sells[fills], np.bool_)
        moment = start + time[fills] // MS * MS
        return self._numbered(Trades(code[fills], fills, price, quantity, moment, maker, fills))

    def _arrivals(self, count: int, length: int) -> I64:
        """When orders come, ascending, in us from the start of the block: by chance, or soon after another one."""
        random = self._random
        time: F64 = np.sort(random.random(count)) * length
        follows = np.flatnonzero(random.random(count) < FOLLOWERS)
        follows = follows[follows > 0]
        time[follows] = time[follows - 1] + random.exponential(8000.0, len(follows))
        return np.sort(np.minimum(time, length - 1)).astype(np.int64)

    def _symbols(self, count: int) -> I64:
        """What they are about: a few pairs most of the time, more those that are hot."""
        share = np.cumsum(self._weight * np.exp(0.6 * self._paths.heat[self._base]))
        found = np.searchsorted(share, self._random.random(count) * share[-1], "right")
        symbols: I64 = np.minimum(found, len(share) - 1).astype(np.int64)
        return symbols

    def _where(self, path: F64, code: I64, moment: F64) -> tuple[F64, F64]:
        """The fair price of each order, and the trend it sees (about -1 to 1)."""
        exact = moment * STEPS
        step = np.minimum(exact.astype(np.int64), STEPS - 1)
        base, quote = self._base[code], self._quote[code]
        before = path[step, base] - path[step, quote]
        after = path[step + 1, base] - path[step + 1, quote]
        trend = (after - before) / (np.abs(after - before).mean() + 1e-12) if len(code) else after
        return np.exp(before + (after - before) * (exact - step)), trend

    def _fills(self, count: int) -> tuple[I64, I64]:
        """For each trade, which order it fills, and its place in it."""
        sizes = np.minimum(self._random.geometric(FILL_STOP, count), 12)
        first = np.cumsum(sizes) - sizes
        fills = np.repeat(np.arange(count), sizes)
        return fills, np.arange(len(fills)) - first[fills]

    def _prices(self, best: I64, sells: Bools, fills: I64, place: I64) -> I64:
        """Fills of one order walk away from the best price."""
        steps = ((place > 0) & (self._random.random(len(fills)) < 0.4)).astype(np.int64)
        walked = np.cumsum(steps)
        walked -= walked[np.arange(len(fills)) - place] if len(fills) else walked
        return np.maximum(best[fills] + np.where(sells[fills], -walked, walked), 1)

    def _quantities(self, code: I64, busy: float) -> I64:
        """Sizes from dust to blocks, log-normal in money; every fourth is a round number."""
        random, count = self._random, len(code)
        dollars = np.exp(random.normal(4.9, 1.7, count)) * busy**0.5
        exact = dollars / np.exp(self._paths.values[self._base[code]]) * self._size_scale[code]
        units = np.maximum(np.rint(exact), 1).astype(np.int64)
        digit = 10 ** np.floor(np.log10(units)).astype(np.int64)
        rounded = np.maximum(units // digit, 1) * digit
        sizes: I64 = np.where(random.random(count) < 0.25, rounded, units)
        return sizes

    def _numbered(self, made: Trades) -> Trades:
        """Give each pair's trades the next ids, and fills of one order at one price the next order id."""
        code, fills, price = made.code, made.order, made.price
        by_code = np.argsort(code, kind="stable")
        sorted_code = code[by_code]
        starts = np.flatnonzero(np.diff(sorted_code, prepend=-1))
        sizes = np.diff(starts, append=len(code))
        runs = np.repeat(starts, sizes)
        ids, orders = np.empty_like(code), np.empty_like(code)
        ids[by_code] = self._next_id[sorted_code] + np.arange(len(code)) - runs
        new = np.ones(len(code), np.int64)
        filled, paid = fills[by_code], price[by_code]
        new[1:] = (np.diff(filled) != 0) | (np.diff(paid) != 0) | (np.diff(sorted_code) != 0)
        nth = np.cumsum(new) - 1
        orders[by_code] = self._next_order[sorted_code] + nth - nth[runs]
        present = sorted_code[starts]
        self._next_id[present] += sizes
        if len(starts):
            self._next_order[present] += nth[np.append(starts[1:], len(code)) - 1] - nth[starts] + 1
        return replace(made, id=ids, order=orders)
