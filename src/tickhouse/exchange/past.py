"""Bars from before there were trades, made up on demand: one day of minutes that end where the market begins."""

import math
from collections.abc import Sequence

import numpy as np

from tickhouse.core.clock import SECOND
from tickhouse.exchange import I64, Instrument
from tickhouse.exchange._paths import daytime
from tickhouse.exchange.klines import Klines

MINUTES = 1440
MINUTE = 60 * SECOND
DAILY = 0.035


def minutes_before(instrument: Instrument, start: int, trades_a_minute: float, seed: Sequence[int]) -> Klines:
    """The 24 hours up to the minute that holds `start` (us); the last close is the instrument's first price.

    They have no trades behind them: ids are -1, and only bars can be asked for.
    """
    random = np.random.default_rng(list(seed))
    first = start // MINUTE * MINUTE - MINUTES * MINUTE
    starts = first + MINUTE * np.arange(MINUTES, dtype=np.int64)
    busy = np.array([daytime(int(at)) for at in starts])
    heat = 0.4 * np.convolve(random.standard_normal(MINUTES + 29), np.ones(30) / math.sqrt(30), "valid")
    moves = random.standard_normal(MINUTES) * DAILY / math.sqrt(MINUTES) * np.exp(heat) * np.sqrt(busy)
    path = np.append(0.0, np.cumsum(moves))
    level = np.exp(path - path[-1]) * instrument.first_price
    prices = np.maximum(np.rint(level), 1).astype(np.int64)
    trades = random.poisson(trades_a_minute * busy * np.exp(heat - 0.08)).astype(np.int64)
    return _bars(starts, prices, trades, instrument, random)


def _bars(starts: I64, prices: I64, trades: I64, instrument: Instrument, random: np.random.Generator) -> Klines:
    """Bars that open where the one before closed."""
    traded = trades > 0
    opens, closes = prices[:-1], np.where(traded, prices[1:], prices[:-1])
    reach = np.abs(random.standard_normal((2, len(starts)))) * np.maximum(opens * 3e-4, 1.0)
    high = np.maximum(opens, closes) + np.rint(reach[0]).astype(np.int64)
    low = np.maximum(np.minimum(opens, closes) - np.rint(reach[1]).astype(np.int64), 1)
    unit = 10.0**instrument.quantity_decimals
    money = trades * np.exp(random.normal(5.6, 0.4, len(starts)))
    price = np.maximum(opens / 10.0**instrument.price_decimals, 1e-12)
    volume = np.where(traded, np.maximum(np.rint(money / price * unit), 1), 0).astype(np.int64)
    taken = np.rint(volume * np.clip(random.normal(0.5, 0.1, len(starts)), 0, 1)).astype(np.int64)
    mean = (opens + closes) // 2
    none = np.full(len(starts), -1)
    shown = [np.where(traded, column, 0) for column in (opens, high, low, closes)]
    sums = [volume, volume * mean, trades, taken, taken * mean]
    return Klines(*[starts, *shown, *sums, none, none])
