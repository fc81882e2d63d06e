"""Values that cannot be: prices, sizes and times out of range. Values that hardly can be: absurd jumps."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import LIVE, BarBatch, TickBatch
from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting
from tickhouse.quality import Verdict
from tickhouse.quality._memory import Memory
from tickhouse.quality._verdicts import Mask, moments, rejected, remarked, values

NAME = "ranges"
FIRST = 365 * 86_400 * SECOND
"""1971: an event time before it was a number of another unit."""


def open(max_price: float = 1e12, max_ahead: float = 60.0, max_factor: float = 10.0) -> "Ranges":
    """The check. `max_ahead` are seconds an event time may be ahead of the receive time in the live lane; `max_factor` is how
    many times the last good price, up or down, is remarked on.

    Raises `BadSetting`.
    """
    for name, value, above in (
        ("max_price", max_price, 0),
        ("max_ahead", max_ahead, -1),
        ("max_factor", max_factor, 1),
    ):
        if not value > above:
            raise BadSetting(f"quality.{name}", value, f"a number above {above}")
    return Ranges(max_price, round(max_ahead * SECOND), max_factor)


@dataclass(slots=True)
class Ranges:
    """Refuses impossible values, remarks on jumps. It remembers the last good price of each source, lane and symbol."""

    max_price: float
    max_ahead: int
    max_factor: float
    name: str = NAME
    _prices: Memory = field(default_factory=lambda: Memory(np.nan))

    def ticks(self, batch: TickBatch) -> list[Verdict]:
        """Reasons `price`, `size`, `time` and `ahead`; remarks `jump`."""
        price, size, time = batch.price, batch.size, batch.event_time
        bad_price = ~((price > 0) & (price <= self.max_price))
        bad_size = (size < 0) | (size == np.inf)
        early = time < FIRST
        ahead = time > batch.received_at + self.max_ahead if batch.lane == LIVE else np.zeros(len(time), np.bool_)
        wrong = bad_price | bad_size | early | ahead
        verdicts = self._jumps(batch, wrong)
        if not wrong.any():
            return verdicts
        return [
            *rejected(
                NAME, "price", f"a price must be above 0 and at most {self.max_price:g}", bad_price, values(price=price)
            ),
            *rejected(NAME, "size", "a size must be 0 or more, and finite", bad_size, values(size=size)),
            *rejected(NAME, "time", "the event time is before 1971", early, moments(time)),
            *rejected(
                NAME,
                "ahead",
                f"the event time is over {self.max_ahead / SECOND:g} s ahead of its arrival",
                ahead,
                moments(time),
            ),
            *verdicts,
        ]

    def bars(self, batch: BarBatch) -> list[Verdict]:
        """Reasons `price` and `time`."""
        low = np.minimum(np.minimum(batch.open, batch.close), np.minimum(batch.low, batch.high))
        high = np.maximum(np.maximum(batch.open, batch.close), np.maximum(batch.low, batch.high))
        wrong = ~((low > 0) & (high <= self.max_price))
        prices = values(open=batch.open, high=batch.high, low=batch.low, close=batch.close)
        return [
            *rejected(NAME, "price", f"prices must be above 0 and at most {self.max_price:g}", wrong, prices),
            *rejected(NAME, "time", "the bar starts before 1971", batch.start < FIRST, moments(batch.start)),
        ]

    def _jumps(self, batch: TickBatch, wrong: Mask) -> list[Verdict]:
        """Remark on good prices far from the good one before of the same symbol, and remember the last ones."""
        good = np.flatnonzero(~wrong) if wrong.any() else slice(None)
        price = batch.price[good]
        if not len(price):
            return []
        lane = self._prices.lane(batch.source, batch.lane)
        series = lane.codes(batch.symbols)[batch.symbol[good]]
        before = lane.values[series]
        known = np.isnan(before)
        if known.any():
            first = np.empty(len(lane.values))
            first[series[::-1]] = price[::-1]
            before = np.where(known, first[series], before)
        ratio = price / before
        near = self.max_factor**0.5
        found = np.zeros(0, np.int64)
        if ratio.max() > near or ratio.min() < 1 / near:
            found = _far(price, series, lane.values, self.max_factor)
        lane.values[series] = price
        rows = found if isinstance(good, slice) else good[found]
        return remarked(
            NAME, "jump", f"a price is over {self.max_factor:g} times away from the one before", rows, "warning"
        )


def _far(
    price: NDArray[np.float64], series: NDArray[np.int64], held: NDArray[np.float64] | NDArray[np.int64], factor: float
) -> NDArray[np.int64]:
    """The rows whose price is over `factor` times away from the one before of its series, in the batch or held."""
    order = np.argsort(series, kind="stable")
    sorted_price, sorted_series = price[order], series[order]
    before = held[sorted_series]
    same = sorted_series[1:] == sorted_series[:-1]
    before[1:][same] = sorted_price[:-1][same]
    ratio = sorted_price / before
    return np.sort(order[(ratio > factor) | (ratio < 1 / factor)])
