"""A symbol at a moment, as all providers of quotes see it: the last price, and how the day went."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tickhouse.exchange import I64
from tickhouse.exchange.chronicle import Chronicle
from tickhouse.exchange.floor import DAY, MINUTE
from tickhouse.exchange.klines import Klines

DAYS = 16
"""So far back is looked for the day before."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Prices are numbers, `time` is that of the last trade (us). The day of shares is their newest regular session, that of others
    the day of UTC, told by its midnight. `money` is what was paid. `phase` is REGULAR, PRE, POST or CLOSED; `late` price and time
    of a newer trade outside regular hours."""

    symbol: str
    price: float
    time: int
    open: float
    high: float
    low: float
    volume: float
    money: float
    previous: float
    day: int
    phase: str = "REGULAR"
    late: tuple[float, int] | None = None

    @property
    def change(self) -> float:
        """How much higher than at the close of the day before."""
        return self.price - self.previous

    @property
    def percent(self) -> float:
        """The same in percent."""
        return 100.0 * self.change / self.previous


class Snapshots:
    """Snapshots of everything in a chronicle."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._previous = lru_cache(4096)(self._close_before)

    def of(self, code: int, at: int | None = None) -> Snapshot | None:
        """An instrument at a moment (us), now where none is given; None before anything was traded."""
        chronicle = self._chronicle
        at = chronicle.public() if at is None else at
        begun, minutes = self._newest_day(code, at)
        if not len(minutes):
            return None
        one, day = chronicle.instrument(code), begun // DAY * DAY
        unit, size = 10.0**one.price_decimals, 10.0**one.quantity_decimals
        bar = [int(column[0]) for column in _one(minutes, begun)]
        opened, high, low, close, volume, quote = bar
        if one.market == "forex":
            volume = quote = 0
        moment = self._moment(code, minutes, at)
        return Snapshot(
            one.name, close / unit, moment, opened / unit, high / unit, low / unit, volume / size,
            quote / size / unit, (self._previous(code, day) or opened) / unit, day, self.phase(code, at),
            self._late(code, at, moment),
        )  # fmt: skip

    def phase(self, code: int, at: int) -> str:
        """Whether it is traded in regular hours, before or after them, or not at all."""
        regular, extended = self._chronicle.hours(code), self._chronicle.hours(code, extended=True)
        if regular is None or extended is None or regular.open(at):
            return "REGULAR"
        if not extended.open(at):
            return "CLOSED"
        return "PRE" if at < int(regular.starts[extended.at(at)]) else "POST"

    def _newest_day(self, code: int, at: int) -> tuple[int, Klines]:
        """When the newest day with trades began, and its minutes."""
        hours = self._chronicle.hours(code)
        shares = self._chronicle.instrument(code).market == "equities"
        for back in range(DAYS):
            begun = at // DAY * DAY - back * DAY
            if hours is not None and shares:
                place = hours.at(at) - back
                begun = int(hours.starts[place])
            minutes = self._chronicle.minutes(code, begun, min(begun + DAY, at + 1))
            if len(minutes):
                break
        return begun, minutes

    def _moment(self, code: int, minutes: Klines, at: int) -> int:
        """When the last trade of the minutes was."""
        begun = int(minutes.start[-1])
        stop = min(begun + MINUTE, at + 1)
        times = self._chronicle.history.until(code, stop - 1).time
        return int(times[-1]) if len(times) and int(times[-1]) >= begun else min(begun + MINUTE, at)

    def _late(self, code: int, at: int, moment: int) -> tuple[float, int] | None:
        """Price and time of the last trade of a share outside regular hours, where it is newer than a moment."""
        one = self._chronicle.instrument(code)
        if one.market != "equities" or self.phase(code, at) == "REGULAR":
            return None
        price, time = self._chronicle.last(code, at)
        return (price / 10.0**one.price_decimals, time) if time > moment else None

    def _close_before(self, code: int, day: int) -> int:
        """The close of the day before, in units; 0 where there is none."""
        for back in (4, DAYS):
            before = self._chronicle.days(code, day - back * DAY, day)
            if len(before):
                return int(before.close[-1])
        return 0


def _one(minutes: Klines, begun: int) -> list[I64]:
    """Open, high, low, close, volume and money of all the minutes."""
    bar = minutes.regrouped(np.array([begun, int(minutes.start[-1]) + MINUTE], np.int64))
    return [bar.open, bar.high, bar.low, bar.close, bar.volume, bar.quote]
