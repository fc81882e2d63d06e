"""Simple moving average."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tickhouse.core.batches import F64, I64
from tickhouse.core.kernels import kernel
from tickhouse.core.kernels.window import mean, push
from tickhouse.process.parameters import check_bars, label_of


@kernel
def _sma(state: Any, row: Any, close: Any, period: int) -> Any:
    out = np.full((row.size, 1), np.nan)
    for i in range(row.size):
        series = state[row[i]]
        if push(series, 0, period, close[i]):
            out[i, 0] = mean(series, 0, period)
    return out


@dataclass(frozen=True, slots=True)
class Sma:
    """The mean of the last `period` closes, in units of price; absent before there are so many.

    value = (close[t] + ... + close[t - period + 1]) / period. Equals TA-Lib's SMA, without the drift of a running sum.
    Source: J. J. Murphy, Technical Analysis of the Financial Markets (1999), chapter 9.

    >>> from tickhouse.process.catalog import apply
    >>> apply(Sma(3), close=[1.0, 2.0, 3.0, 4.0])["value"].tolist()
    [nan, nan, 2.0, 3.0]
    """

    period: int = 20
    outputs: ClassVar[tuple[str, ...]] = ("value",)

    def __post_init__(self) -> None:
        check_bars(self, period=self.period)

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
        values: F64 = _sma(state, row, bars["close"], self.period)
        return values
