"""Volume-weighted average price of the day."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tickhouse.core.batches import F64, I64
from tickhouse.core.kernels import kernel
from tickhouse.process.parameters import label_of

DAY_US = 86_400_000_000
DAY, WORTH, VOLUME, WIDTH = 0, 1, 2, 3


@kernel
def _vwap(state: Any, row: Any, start: Any, price: Any, volume: Any) -> Any:
    out = np.full((row.size, 1), np.nan)
    for i in range(row.size):
        series = state[row[i]]
        day = float(start[i] // DAY_US)
        if day != series[DAY]:
            series[DAY], series[WORTH], series[VOLUME] = day, 0.0, 0.0
        if volume[i] > 0:
            series[WORTH] += price[i] * volume[i]
            series[VOLUME] += volume[i]
        if series[VOLUME] > 0:
            out[i, 0] = series[WORTH] / series[VOLUME]
    return out


@dataclass(frozen=True, slots=True)
class Vwap:
    """What a unit traded today cost on average, in units of price. The day is UTC, and every day begins anew.

    value = sum(bar's vwap * volume) / sum(volume) over the bars of the day so far; absent before the first volume. A bar without a
    vwap of its own (a file of bars) counts with (high + low + close) / 3. TA-Lib has no such function.
    Source: S. A. Berkowitz, D. E. Logue, E. A. Noser, The Total Cost of Transactions on the NYSE, Journal of Finance 43 (1988).

    >>> from tickhouse.process.catalog import apply
    >>> day = 86_400_000_000
    >>> bars = {"high": [1.0] * 3, "low": [1.0] * 3, "close": [1.0] * 3}
    >>> apply(Vwap(), start=[0, 60_000_000, day], vwap=[10.0, 20.0, 7.0], volume=[1.0, 3.0, 2.0], **bars)["value"].tolist()
    [10.0, 17.5, 7.0]
    """

    outputs: ClassVar[tuple[str, ...]] = ("value",)
    memory: ClassVar[None] = None

    @property
    def label(self) -> str:
        return label_of(self)

    @property
    def width(self) -> int:
        return WIDTH

    def update(self, state: F64, row: I64, bars: Mapping[str, Any]) -> F64:
        own = bars["vwap"]
        price = np.where(np.isnan(own), (bars["high"] + bars["low"] + bars["close"]) / 3, own)
        values: F64 = _vwap(state, row, bars["start"], price, bars["volume"])
        return values
