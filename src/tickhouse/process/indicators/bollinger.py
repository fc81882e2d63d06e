"""Bollinger bands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tickhouse.core.batches import F64, I64
from tickhouse.core.kernels import kernel
from tickhouse.core.kernels.window import deviation, mean, push
from tickhouse.process.parameters import check_bars, check_positive, label_of


@kernel
def _bollinger(state: Any, row: Any, close: Any, period: int, deviations: float) -> Any:
    out = np.full((row.size, 3), np.nan)
    for i in range(row.size):
        series = state[row[i]]
        if push(series, 0, period, close[i]):
            middle = mean(series, 0, period)
            reach = deviations * deviation(series, 0, period, middle, 0)
            out[i, 0] = middle + reach
            out[i, 1] = middle
            out[i, 2] = middle - reach
    return out


@dataclass(frozen=True, slots=True)
class Bollinger:
    """The mean of the last `period` closes and the lines `deviations` standard deviations above and below it, in units of price.

    middle = mean of the closes; upper, lower = middle +- deviations * s, where s is the population standard deviation (over
    period, not period - 1). Equals TA-Lib's BBANDS with a simple average, without the cancellation of its sums of squares.
    Source: J. Bollinger, Bollinger on Bollinger Bands (2001).

    >>> from tickhouse.process.catalog import apply
    >>> bands = apply(Bollinger(4, 2), close=[1.0, 1.0, 3.0, 3.0])
    >>> bands["upper"].tolist(), bands["middle"].tolist()[-1], bands["lower"].tolist()[-1]
    ([nan, nan, nan, 4.0], 2.0, 0.0)
    """

    period: int = 20
    deviations: float = 2.0
    outputs: ClassVar[tuple[str, ...]] = ("upper", "middle", "lower")

    def __post_init__(self) -> None:
        check_bars(self, least=2, period=self.period)
        check_positive(self, deviations=self.deviations)

    @property
    def label(self) -> str:
        return label_of(self)

    @property
    def width(self) -> int:
        return self.period + 1

    @property
    def memory(self) -> int:
        return self.period

    def update(self, state: F64, row: I64, bars: Mapping[str, Any]) -> F64:
        values: F64 = _bollinger(state, row, bars["close"], self.period, float(self.deviations))
        return values
