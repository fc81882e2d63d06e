"""Prices of the past in the shares of today: factors for splits and dividends, worked backwards from the newest bar.

    splits     price x product of 1/ratio, volume x product of ratio, over the splits that took effect after the bar's day
    dividends  price x product of 1 - D/C, over the dividends whose ex-date is after the bar's day; D is the dividend,
               C the close of the last day before its ex-date, both counted in the same shares

These are the multipliers of Yahoo's adjusted close, which says to follow the Center for Research in Security Prices: for a
dividend of 0.08 and a close of 24.96 the day before, 1 - 0.08/24.96 = 0.9968 (help.yahoo.com, SLN28256, "What is the adjusted
close?"). The split factors are CRSP's cumulative factors to adjust price and shares outstanding, CFACPR and CFACSHR (CRSP data
descriptions, www.crsp.org). Dividends change no volume.
Alpha Vantage's own adjusted close takes another factor, 1/(1 + D/E) with E the close of the ex-date; it is not used.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tickhouse.core.batches import F64, I64
from tickhouse.core.errors import BadSetting

NONE, SPLITS, ALL = ADJUST = ("none", "splits", "all")
PRICES = ("open", "high", "low", "close", "vwap")


def adjustment(text: str) -> str:
    """The text, checked. Raises `BadSetting`.

    >>> adjustment("splits")
    'splits'
    """
    if text not in ADJUST:
        raise BadSetting("adjust", text, "none, splits or all")
    return text


@dataclass(frozen=True, slots=True)
class Events:
    """Splits, dividends or closes as arrays of equal length: the `day` (since 1970) of each, its `value`, and `counted`, the last
    day whose splits the value has in it already."""

    day: I64
    value: F64
    counted: I64

    def __len__(self) -> int:
        return len(self.day)


def split_factors(counted: I64, splits: Events) -> F64:
    """What turns prices into those of today's shares; `counted` is the last day whose splits each of them has in it.

    >>> four = Events(np.array([10]), np.array([4.0]), np.array([10]))
    >>> split_factors(np.array([9, 10]), four).tolist()
    [0.25, 1.0]
    """
    return _later(counted, splits.day, 1.0 / splits.value)


def dividend_factors(day: I64, dividends: Events, splits: Events, closes: Events) -> F64:
    """What turns prices of days into those of a share that reinvests its dividends; `closes` are the closes of days, in order.

    A dividend without a close before it, or not below that close, changes nothing.

    >>> no, one = Events(*(np.zeros(0, np.int64),) * 3), np.array([1])
    >>> paid, closes = Events(one * 10, one * 0.08, one * 10), Events(one * 9, one * 24.96, one * 9)
    >>> dividend_factors(np.array([9, 10]), paid, no, closes).round(4).tolist()
    [0.9968, 1.0]
    """
    before = np.searchsorted(closes.day, dividends.day) - 1
    usable = before >= 0
    before = before[usable]
    paid = (dividends.value * split_factors(dividends.counted, splits))[usable]
    close = (closes.value * split_factors(closes.counted, splits))[before]
    sound = (paid > 0) & (paid < close)
    return _later(day, dividends.day[usable][sound], 1.0 - paid[sound] / close[sound])


def adjusted(bars: pa.Table, price: F64, volume: F64) -> pa.Table:
    """The bars with prices and volumes times a factor each."""
    for name in (*PRICES, "volume"):
        place, column = bars.schema.get_field_index(name), bars[name].cast(pa.float64())
        factor = volume if name == "volume" else price
        values = column.to_numpy(zero_copy_only=False) * factor
        bars = bars.set_column(place, bars.schema.field(name), pa.array(values, mask=np.asarray(column.is_null())))
    return bars


def _later(day: I64, events: I64, factors: F64) -> F64:
    """For each day the product of the factors of the events after it."""
    order = np.argsort(events, kind="stable")
    products = np.append(np.cumprod(factors[order][::-1])[::-1], 1.0)
    found: F64 = products[np.searchsorted(events[order], day, side="right")]
    return found
