"""Returns far outside what they lately were."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tickhouse.core.batches import F64, I64
from tickhouse.core.kernels import kernel
from tickhouse.core.kernels.window import deviation, mean, push
from tickhouse.process.parameters import check_bars, check_positive, label_of

PREVIOUS, WINDOW = 0, 1


@kernel
def _returns(state: Any, row: Any, close: Any, period: int, sigmas: float) -> Any:
    out = np.full((row.size, 2), np.nan)
    for i in range(row.size):
        series = state[row[i]]
        previous = series[PREVIOUS]
        series[PREVIOUS] = close[i] if close[i] != 0 else np.nan  # zero says that there was no bar
        if previous == 0:
            continue
        value = np.log(close[i] / previous)
        if series[WINDOW] == period:
            out[i, 0] = value
            out[i, 1] = sigmas * deviation(series, WINDOW, period, mean(series, WINDOW, period), 1)
        push(series, WINDOW, period, value)
    return out


@dataclass(frozen=True, slots=True)
class Returns:
    """A bar whose log return is more than `sigmas` times the volatility of the `period` returns before it.

    value = ln(close[t] / close[t - 1]); threshold = sigmas * sample standard deviation of the returns t - period to t - 1, which is
    the volatility of the bar before. Both are plain numbers. Not judged before there are `period` earlier returns.

    >>> from tickhouse.process.catalog import apply
    >>> verdict = apply(Returns(2, 3), close=[100.0, 101.0, 100.0, 150.0])
    >>> verdict["value"].round(4).tolist()[3], verdict["threshold"].round(4).tolist()
    (0.4055, [nan, nan, nan, 0.0422])
    """

    period: int = 20
    sigmas: float = 3.0

    def __post_init__(self) -> None:
        check_bars(self, least=2, period=self.period)
        check_positive(self, sigmas=self.sigmas)

    @property
    def label(self) -> str:
        return label_of(self)

    @property
    def width(self) -> int:
        return self.period + 2

    @property
    def memory(self) -> int:
        return self.period + 1

    def update(self, state: F64, row: I64, bars: Mapping[str, Any]) -> F64:
        values: F64 = _returns(state, row, bars["close"], self.period, float(self.sigmas))
        return values
