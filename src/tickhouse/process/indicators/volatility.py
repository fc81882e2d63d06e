"""Rolling volatility of log returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tickhouse.core.batches import F64, I64
from tickhouse.core.kernels import kernel
from tickhouse.core.kernels.window import deviation, mean, push
from tickhouse.process.parameters import check_bars, label_of

PREVIOUS, WINDOW = 0, 1


@kernel
def _volatility(state: Any, row: Any, close: Any, period: int) -> Any:
    out = np.full((row.size, 1), np.nan)
    for i in range(row.size):
        series = state[row[i]]
        previous = series[PREVIOUS]
        series[PREVIOUS] = close[i] if close[i] != 0 else np.nan  # zero says that there was no bar
        if previous != 0 and push(series, WINDOW, period, np.log(close[i] / previous)):
            out[i, 0] = deviation(series, WINDOW, period, mean(series, WINDOW, period), 1)
    return out


@dataclass(frozen=True, slots=True)
class Volatility:
    """How much the last `period` log returns scatter: their sample standard deviation, per bar and not annualised.

    value = sqrt(sum((r - mean(r))^2) / (period - 1)), r[t] = ln(close[t] / close[t - 1]); a plain number (0.01 is about one
    percent), absent before there are `period` returns. TA-Lib has no such function; its STDDEV is that of a population.
    Source: J. C. Hull, Options, Futures, and Other Derivatives, "Estimating volatility from historical data".

    >>> from tickhouse.process.catalog import apply
    >>> apply(Volatility(2), close=[100.0, 101.0, 100.0])["value"].round(6).tolist()
    [nan, nan, 0.014072]
    """

    period: int = 20
    outputs: ClassVar[tuple[str, ...]] = ("value",)

    def __post_init__(self) -> None:
        check_bars(self, least=2, period=self.period)

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
        values: F64 = _volatility(state, row, bars["close"], self.period)
        return values
