"""A tape: recorded trades played again, from CSV, Parquet or NDJSON of a provider's messages, plain or gzip or zstd.

The whole tape is kept in memory (about 60 bytes a trade). Trades are ordered by time; those of an instrument by id. Ids are
kept where every trade of an instrument has one, and given from 1 on where not; a trade that is there twice is played once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tickhouse.core.errors import BadSetting, NoData
from tickhouse.core.symbols import split_pair
from tickhouse.exchange import I64, Instrument, Play, Trades

BLOCK = 1024
E8 = 8


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a reader found, in order of the file, columns of shape (n,): `price` and `quantity` in units of 1e-8, `id` -1 where
    there is none, `order` the aggregate trade's id or -1. `skipped` counts messages or lines that hold no trade."""

    symbols: list[str]
    code: I64
    id: I64
    price: I64
    quantity: I64
    time: I64
    maker: I64
    order: I64
    skipped: int = 0


class Tape:
    """A recording. `speed` is 1 for as it was, N for N times as fast, 0 for as fast as clients read.

    With `shift` its times are moved so that the first trade is at the moment of playing (at full speed: the last one), and
    at N times the speed they are also that much closer together. It begins with the first subscription.
    """

    waits = True

    def __init__(self, path: Path | str, speed: float = 1.0, shift: bool = False) -> None:
        from tickhouse.exchange._tape_files import read

        if speed < 0:
            raise BadSetting("speed", speed, "0 (as fast as possible), 1 (as it was) or more")
        self.path, self.speed, self.shift = Path(path), speed, shift
        found = read(self.path)
        if not len(found.code):
            raise NoData(f"there is no trade in {self.path} ({found.skipped} lines or messages that are none)")
        self.skipped = found.skipped
        self.repeated = 0
        self._instruments, self._trades = self._ordered(found)

    @property
    def instruments(self) -> Sequence[Instrument]:
        """The instruments of the tape, in order of their first trade."""
        return self._instruments

    def __len__(self) -> int:
        return len(self._trades)

    def play(self, now: int) -> Play:
        """Begin."""
        trades = self._trades
        first, last = int(trades.time[0]), int(trades.time[-1])
        if not self.shift:
            return Play(self._blocks(trades), first, self.speed)
        if not self.speed:
            return Play(self._blocks(replace(trades, time=trades.time + (now - last))), now - last + first, 0.0)
        passed = np.rint((trades.time - first) / self.speed).astype(np.int64)
        return Play(self._blocks(replace(trades, time=now + passed)), now)

    def past(self, code: int) -> None:
        """A tape makes nothing up."""
        return

    def about(self) -> dict[str, object]:
        """File name, number of trades, speed."""
        return {
            "source": "tape", "tape": self.path.name, "trades": len(self), "speed": self.speed, "shift": self.shift,
            "skipped": self.skipped, "repeated": self.repeated,
        }  # fmt: skip

    def _blocks(self, trades: Trades) -> Iterator[Trades]:
        """Blocks that end between two moments, so that fills of one order stay together."""
        ends = np.append(np.flatnonzero(np.diff(trades.time)) + 1, len(trades))
        first = 0
        while first < len(trades):
            place = min(int(np.searchsorted(ends, first + BLOCK)), len(ends) - 1)
            last = int(ends[place])
            yield trades.take(slice(first, last))
            first = last

    def _ordered(self, found: Recorded) -> tuple[list[Instrument], Trades]:
        """Instruments with their decimals, and the trades in order of time, gapless ids where the recording has none."""
        code = found.code
        without = np.bincount(code[found.id < 0], minlength=len(found.symbols)) > 0
        ids = np.where(without[code], _numbers(code, np.argsort(found.time, kind="stable")), found.id)
        by = np.lexsort((ids, code))
        same = np.zeros(len(by), np.bool_)
        same[1:] = (np.diff(code[by]) == 0) & (np.diff(ids[by]) == 0)
        self.repeated = int(same.sum())
        by = by[~same]
        time = _never_back(found.time[by], code[by])
        rows = np.argsort(time, kind="stable")
        by, time = by[rows], time[rows]
        trades = Trades(
            code[by], ids[by], found.price[by], found.quantity[by], time, found.maker[by] > 0, found.order[by]
        )  # fmt: skip
        return self._scaled(found.symbols, replace(trades, order=_orders(trades)))

    def _scaled(self, symbols: list[str], trades: Trades) -> tuple[list[Instrument], Trades]:
        """The same in units of as many decimals as each instrument needs."""
        instruments = []
        price, quantity = trades.price.copy(), trades.quantity.copy()
        for code, symbol in enumerate(symbols):
            rows = trades.code == code
            decimals = _decimals(price[rows]), _decimals(quantity[rows])
            price[rows] //= 10 ** (E8 - decimals[0])
            quantity[rows] //= 10 ** (E8 - decimals[1])
            base, _, quote = split_pair(symbol).partition("-")
            instruments.append(Instrument(symbol, base, quote, *decimals, int(price[rows][0]) if rows.any() else 1))
        return instruments, replace(trades, price=price, quantity=quantity)


def _numbers(code: I64, order: I64) -> I64:
    """Ids from 1 on for each instrument, in the given order."""
    by = order[np.argsort(code[order], kind="stable")]
    starts = np.flatnonzero(np.diff(code[by], prepend=-1))
    out = np.empty_like(code)
    out[by] = np.arange(len(code)) - np.repeat(starts, np.diff(starts, append=len(code))) + 1
    return out


def _never_back(time: I64, code: I64) -> I64:
    """Times of one instrument that go back in its order of ids are raised to the time before."""
    offset = code * (int(time.max()) - int(time.min()) + 1)
    return np.maximum.accumulate(time - int(time.min()) + offset) - offset + int(time.min())


def _orders(trades: Trades) -> I64:
    """Aggregate ids: those recorded, else from 1 on for fills in a row of one side, price and millisecond."""
    by = np.argsort(trades.code, kind="stable")
    part = trades.take(by)
    new = np.ones(len(by), np.bool_)
    moments: list[Any] = [part.code, part.price, part.maker.astype(np.int64), part.time // 1000, part.order]
    new[1:] = np.logical_or.reduce([np.diff(column) != 0 for column in moments])
    starts = np.flatnonzero(np.diff(part.code, prepend=-1))
    nth = np.cumsum(new)
    runs = np.repeat(starts, np.diff(starts, append=len(by)))
    known = np.bincount(part.code[part.order < 0], minlength=int(part.code.max()) + 1) == 0
    out = np.empty(len(by), np.int64)
    out[by] = np.where(known[part.code], part.order, nth - nth[runs] + 1)
    return out


def _decimals(units: I64) -> int:
    """How many decimals numbers in units of 1e-8 need."""
    for decimals in range(E8):
        if not (units % 10 ** (E8 - decimals)).any():
            return decimals
    return E8
