"""The floor: shares and currencies that are traded when their markets are open, beside the coins of the market.

Their values follow walks that can be told of any moment (`_walk`), so that there are years of bars from before the first trade
without keeping any. Trades begin when somebody first asks for one of them (`wake`): until then the floor costs nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from tickhouse.core import sessions
from tickhouse.core.clock import SECOND
from tickhouse.exchange import F64, I64, MS, Bools, Instrument, Trades
from tickhouse.exchange._listed import CURRENCIES, MONEY, OF_MONEY, listed
from tickhouse.exchange._walk import chance, opens_and_closes, path
from tickhouse.exchange.klines import Klines

MINUTE, DAY = 60 * SECOND, 86_400 * SECOND
FIRST_DAY = 1_262_304_000 * SECOND
"""2010-01-01: before it there is no past."""
HOME = 1_767_225_600 * SECOND
"""2026-01-01: the values of the list are those of this moment."""
YEAR = 365.25 * 86_400 * SECOND
QUIET = 0.05
"""How many of the trades of regular hours there are before and after them."""
MEAN_SIZE = 110.0


@dataclass(frozen=True, slots=True)
class Hours:
    """The stretches [starts[i], ends[i]) in which a market is open (us), oldest first."""

    starts: I64
    ends: I64

    def at(self, us: int) -> int:
        """The stretch that began last at a moment, be it over or not."""
        return int(np.searchsorted(self.starts, us, "right")) - 1

    def open(self, us: int) -> bool:
        """Whether the market is open."""
        place = self.at(us)
        return place >= 0 and us < int(self.ends[place])


class Floor:
    """The seeded prices and trades of everything listed, `rate` trades a second while all of it is open."""

    def __init__(self, seed: int = 7, rate: float = 40.0) -> None:
        self.seed, self.rate = seed, rate
        self.listed = listed()
        self.awake, self.began = False, 0
        self._hours: dict[tuple[str, bool], tuple[int, Hours]] = {}
        self._next_id = np.ones(len(self.listed), np.int64)
        self._at_minute = lru_cache(4)(self._logarithms)

    @property
    def instruments(self) -> Sequence[Instrument]:
        """What is listed."""
        return [one.instrument for one in self.listed]

    def wake(self, now: int) -> None:
        """Trade from the next block on. Loads the calendars, which takes seconds."""
        for market in ("equities", "forex"):
            self.hours(market, False, now)
        self.hours("equities", True, now)
        self.awake = True

    def hours(self, market: str, extended: bool, now: int) -> Hours:
        """When a market is open, from the first day to a year after now."""
        key = (market, extended and market == "equities")
        known, found = self._hours.get(key, (0, None))
        if found is None or now > known - 30 * DAY:
            known = now + 366 * DAY
            told = sessions.stretches(market, FIRST_DAY, known, extended=key[1])
            # One that began before is left out, so that regular and extended stretches have the same places.
            found = Hours(*np.array([one for one in told if one[0] >= FIRST_DAY], np.int64).reshape(-1, 2).T)
            self._hours[key] = (known, found)
        return found

    def value(self, place: int | I64, us: I64) -> F64:
        """The fair price of an instrument (or one for each moment) at moments."""
        own, other, own_daily, other_daily, growth, scale = self._numbers
        minutes = us / MINUTE
        moved = own_daily[place] * path(self.seed, self._walk(own, place), minutes)
        moved += other_daily[place] * path(self.seed, self._walk(other, place), minutes)
        return np.asarray(np.exp(scale[place] + moved + growth[place] * (us - HOME) / YEAR), np.float64)

    def worth(self, currency: str, us: I64) -> F64:
        """What a currency is worth in dollars at moments."""
        value, daily = MONEY[currency]
        walk, home = OF_MONEY + CURRENCIES.index(currency), np.array([HOME / MINUTE])
        moved = path(self.seed, walk, us / MINUTE) - path(self.seed, walk, home)
        return np.asarray(value * np.exp(daily * moved), np.float64)

    def block(self, start: int, length: int) -> Trades:
        """The trades of [start, start + length); codes count from 0."""
        self.began = self.began or start
        random = np.random.default_rng([self.seed, 0xF100, start // MS])
        counts = random.poisson(self._a_second(start) * (length / SECOND))
        code = np.repeat(np.arange(len(counts)), counts)
        time = start + np.sort(random.integers(0, max(length // MS, 1), len(code))) * MS
        code = random.permutation(code)
        units = 10.0 ** self._decimals[code]
        sells = random.random(len(code)) < 0.5
        price = np.rint(self._live(code, time) * units + np.where(sells, -0.6, 0.6)).astype(np.int64)
        quantity = np.where(self._is_share[code], _sizes(random, len(code)), 1)
        return self._numbered(code, np.maximum(price, 1), quantity, time, sells)

    def _live(self, code: I64, time: I64) -> F64:
        """The fair prices of trades: between two minutes logarithms are straight, so only those of whole minutes are made."""
        minute = time // MINUTE
        before, after = np.empty(len(time)), np.empty(len(time))
        for one in np.unique(minute).tolist():
            rows = minute == one
            before[rows], after[rows] = self._at_minute(one)[code[rows]], self._at_minute(one + 1)[code[rows]]
        return np.asarray(np.exp(before + (after - before) * (time / MINUTE - minute)), np.float64)

    def minutes(self, place: int, starts: I64) -> Klines:
        """Bars of a minute each of one instrument from before there were trades; the minutes must be open ones."""
        one, units = self.instruments[place], 10.0 ** self._decimals[place]

        def price(us: I64) -> I64:
            return np.asarray(np.rint(self.value(place, us) * units), np.int64)

        opened, closed = opens_and_closes(price, starts, MINUTE)
        luck = [chance(self.seed, 4000 + 8 * place + part, starts // MINUTE) for part in range(4)]
        reach = np.maximum(opened * 2e-4, 1.0)
        high = np.maximum(opened, closed) + np.rint(luck[0] ** 2 * reach).astype(np.int64)
        low = np.maximum(np.minimum(opened, closed) - np.rint(luck[1] ** 2 * reach).astype(np.int64), 1)
        regular = self._regular(one.market, starts)
        trades = self._shares[place] * self.rate * 60.0 * np.where(regular, 1.0, QUIET) * (0.6 + 0.8 * luck[2])
        trades = np.maximum(np.rint(trades), 1).astype(np.int64)
        share = one.market == "equities"
        volume = np.rint(trades * MEAN_SIZE * (0.7 + 0.6 * luck[3])).astype(np.int64) if share else trades
        taken, mean, none = volume // 2, (opened + closed) // 2, np.full(len(starts), -1)
        return Klines(
            starts, opened, high, low, closed, volume, volume * mean, trades, taken, taken * mean, none, none
        )  # fmt: skip

    def _a_second(self, now: int) -> F64:
        """How many trades a second each instrument has at a moment."""
        factor = {"forex": float(self.hours("forex", False, now).open(now)), "equities": 0.0}
        if self.hours("equities", False, now).open(now):
            factor["equities"] = 1.0
        elif self.hours("equities", True, now).open(now):
            factor["equities"] = QUIET
        open_ = np.array([factor[one.market] for one in self.instruments])
        return np.asarray(self.rate * self._shares * open_, np.float64)

    def _regular(self, market: str, starts: I64) -> F64:
        if market != "equities" or not len(starts):
            return np.ones(len(starts))
        hours = self.hours(market, False, int(starts.max()))
        place = np.searchsorted(hours.starts, starts, "right") - 1
        return np.asarray((place >= 0) & (starts < hours.ends[np.maximum(place, 0)]), np.float64)

    def _numbered(self, code: I64, price: I64, quantity: I64, time: I64, sells: Bools) -> Trades:
        """Give each instrument's trades the next ids."""
        by = np.argsort(code, kind="stable")
        counts = np.bincount(code, minlength=len(self.listed))
        ids = np.empty_like(code)
        ids[by] = self._next_id[code[by]] + np.arange(len(code)) - np.repeat(np.cumsum(counts) - counts, counts)
        self._next_id += counts
        return Trades(code, ids, price, quantity, time, sells, ids.copy())

    def _logarithms(self, minute: int) -> F64:
        """The logarithms of all prices at a minute since 1970."""
        places = np.arange(len(self.listed))
        return np.asarray(np.log(self.value(places, np.full(len(places), minute * MINUTE))), np.float64)

    def _walk(self, walks: I64, place: int | I64) -> int | I64:
        return int(walks[place]) if isinstance(place, int) else walks[place]

    @cached_property
    def _numbers(self) -> tuple[I64, I64, F64, F64, F64, F64]:
        """The walks of all instruments, how strong they are, growth, and the logarithm of what makes the value that of the list."""
        rows = [
            (one.own, one.other, one.own_daily, one.other_daily, one.growth, np.log(one.value)) for one in self.listed
        ]
        own, other, own_daily, other_daily, growth, scale = (np.array(column) for column in zip(*rows, strict=True))
        home = np.full(len(rows), HOME / MINUTE)
        scale -= own_daily * path(self.seed, own, home) + other_daily * path(self.seed, other, home)
        return own, other, own_daily, other_daily, growth, scale

    @cached_property
    def _decimals(self) -> I64:
        return np.array([one.price_decimals for one in self.instruments], np.int64)

    @cached_property
    def _is_share(self) -> I64:
        return np.array([one.market == "equities" for one in self.instruments], np.int64)

    @cached_property
    def _shares(self) -> F64:
        weights = np.array([one.weight for one in self.listed])
        return np.asarray(weights / weights.sum(), np.float64)


def _sizes(random: np.random.Generator, count: int) -> I64:
    """How many shares change hands: mostly fewer than a hundred, often just that, at times a block."""
    kind, odd = random.random(count), random.integers(1, 100, count)
    blocks = 100 * random.geometric(0.25, count)
    return np.asarray(np.where(kind < 0.6, odd, np.where(kind < 0.85, 100, blocks)), np.int64)
