"""Moving average convergence divergence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tickhouse.core.batches import F64, I64
from tickhouse.core.errors import BadSetting
from tickhouse.core.kernels import kernel
from tickhouse.process.parameters import check_bars, label_of

COUNT, FAST, SLOW, SIGNAL, WIDTH = 0, 1, 2, 3, 4


@kernel
def _macd(state: Any, row: Any, close: Any, lengths: tuple[int, int, int]) -> Any:
    """COUNT is the number of closes, at most slow + signal - 1. Each average holds a sum until its first value."""
    fast, slow, signal = lengths
    full = slow + signal - 1
    out = np.full((row.size, 3), np.nan)
    for i in range(row.size):
        series, price = state[row[i]], close[i]
        series[COUNT] = min(series[COUNT] + 1, full + 1.0)
        count = series[COUNT]
        if count <= slow:
            series[SLOW] += price
            if count > slow - fast:
                series[FAST] += price
            if count < slow:
                continue
            series[SLOW] /= slow
            series[FAST] /= fast
        else:
            series[FAST] += 2.0 / (fast + 1) * (price - series[FAST])
            series[SLOW] += 2.0 / (slow + 1) * (price - series[SLOW])
        line = series[FAST] - series[SLOW]
        if count <= full:
            series[SIGNAL] += line
            if count < full:
                continue
            series[SIGNAL] /= signal
        else:
            series[SIGNAL] += 2.0 / (signal + 1) * (line - series[SIGNAL])
        out[i, 0] = line
        out[i, 1] = series[SIGNAL]
        out[i, 2] = line - series[SIGNAL]
    return out


@dataclass(frozen=True, slots=True)
class Macd:
    """The distance of a fast from a slow exponential average, its own average, and the distance of these two, in units of price.

    macd = EMA(fast) - EMA(slow) of the closes; signal = EMA(signal) of macd; histogram = macd - signal. As in TA-Lib's MACD both
    averages begin at the same bar, each with the mean of its last closes, and all three outputs begin when the signal does, at bar
    slow + signal - 1. Source: G. Appel, Technical Analysis: Power Tools for Active Investors (2005).

    >>> from tickhouse.process.catalog import apply
    >>> values = apply(Macd(2, 3, 2), close=[1.0, 2.0, 4.0, 8.0, 16.0])
    >>> [values[name].round(3).tolist()[3:] for name in Macd.outputs]
    [[1.167, 2.194], [0.917, 1.769], [0.25, 0.426]]
    """

    fast: int = 12
    slow: int = 26
    signal: int = 9
    outputs: ClassVar[tuple[str, ...]] = ("macd", "signal", "histogram")
    memory: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_bars(self, fast=self.fast, slow=self.slow, signal=self.signal)
        if self.fast >= self.slow:
            raise BadSetting("macd: fast", self.fast, f"less than slow ({self.slow})")

    @property
    def label(self) -> str:
        return label_of(self)

    @property
    def width(self) -> int:
        return WIDTH

    def update(self, state: F64, row: I64, bars: Mapping[str, Any]) -> F64:
        values: F64 = _macd(state, row, bars["close"], (self.fast, self.slow, self.signal))
        return values
