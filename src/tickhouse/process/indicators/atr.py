"""Average true range."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tickhouse.core.batches import F64, I64
from tickhouse.core.kernels import kernel
from tickhouse.process.parameters import check_bars, label_of

COUNT, PREVIOUS, VALUE, WIDTH = 0, 1, 2, 3


@kernel
def _atr(state: Any, row: Any, prices: Any, period: int) -> Any:
    """COUNT is the number of bars, at most period + 1; until the first value VALUE holds the sum of the true ranges."""
    high, low, close = prices
    out = np.full((row.size, 1), np.nan)
    for i in range(row.size):
        series = state[row[i]]
        previous = series[PREVIOUS]
        series[PREVIOUS] = close[i]
        if series[COUNT] == 0:
            series[COUNT] = 1
            continue
        reach = max(high[i], previous) - min(low[i], previous)
        if series[COUNT] <= period:
            series[COUNT] += 1
            series[VALUE] += reach
            if series[COUNT] <= period:
                continue
            series[VALUE] /= period
        else:
            series[VALUE] = (series[VALUE] * (period - 1) + reach) / period
        out[i, 0] = series[VALUE]
    return out


@dataclass(frozen=True, slots=True)
class Atr:
    """How far the price goes in one bar, gaps included, on average; in units of price.

    true range = max(high, previous close) - min(low, previous close); value = Wilder's mean of it, value[t] = (value[t - 1] *
    (period - 1) + range[t]) / period, begun with the plain mean of the first `period` ranges; absent before. Equals TA-Lib's ATR.
    Source: J. W. Wilder, New Concepts in Technical Trading Systems (1978).

    >>> from tickhouse.process.catalog import apply
    >>> apply(Atr(2), high=[2.0, 3.0, 5.0, 5.0], low=[1.0, 2.0, 4.0, 4.0], close=[1.0, 3.0, 4.0, 4.0])["value"].tolist()
    [nan, nan, 2.0, 1.5]
    """

    period: int = 14
    outputs: ClassVar[tuple[str, ...]] = ("value",)
    memory: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_bars(self, period=self.period)

    @property
    def label(self) -> str:
        return label_of(self)

    @property
    def width(self) -> int:
        return WIDTH

    def update(self, state: F64, row: I64, bars: Mapping[str, Any]) -> F64:
        values: F64 = _atr(state, row, (bars["high"], bars["low"], bars["close"]), self.period)
        return values
