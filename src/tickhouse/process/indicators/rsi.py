"""Relative strength index."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tickhouse.core.batches import F64, I64
from tickhouse.core.kernels import kernel
from tickhouse.process.parameters import check_bars, label_of

COUNT, PREVIOUS, GAIN, LOSS, WIDTH = 0, 1, 2, 3, 4
NOTHING = 1e-14
"""Below it TA-Lib takes the mean move for zero, and so do we."""


@kernel
def _rsi(state: Any, row: Any, close: Any, period: int) -> Any:
    """COUNT is the number of closes, at most period + 1; until the first value GAIN and LOSS hold sums, then means."""
    out = np.full((row.size, 1), np.nan)
    for i in range(row.size):
        series = state[row[i]]
        change = close[i] - series[PREVIOUS]
        series[PREVIOUS] = close[i]
        if series[COUNT] == 0:
            series[COUNT] = 1
            continue
        gain, loss = max(change, 0.0), max(-change, 0.0)
        if series[COUNT] <= period:
            series[COUNT] += 1
            series[GAIN] += gain
            series[LOSS] += loss
            if series[COUNT] <= period:
                continue
            series[GAIN] /= period
            series[LOSS] /= period
        else:
            series[GAIN] = (series[GAIN] * (period - 1) + gain) / period
            series[LOSS] = (series[LOSS] * (period - 1) + loss) / period
        moved = series[GAIN] + series[LOSS]
        out[i, 0] = 100.0 * (series[GAIN] / moved) if moved >= NOTHING else 0.0
    return out


@dataclass(frozen=True, slots=True)
class Rsi:
    """How much of the recent movement was upward, from 0 to 100.

    value = 100 * gain / (gain + loss), which is 100 - 100 / (1 + gain / loss): Wilder's means of the rises and falls of the close,
    mean[t] = (mean[t - 1] * (period - 1) + x[t]) / period, begun with the plain means of the first `period` changes; absent before.
    0 where nothing moved. Equals TA-Lib's RSI. Source: J. W. Wilder, New Concepts in Technical Trading Systems (1978).

    >>> from tickhouse.process.catalog import apply
    >>> apply(Rsi(2), close=[1.0, 2.0, 1.5, 3.0])["value"].round(2).tolist()
    [nan, nan, 66.67, 88.89]
    """

    period: int = 14
    outputs: ClassVar[tuple[str, ...]] = ("value",)
    memory: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_bars(self, least=2, period=self.period)

    @property
    def label(self) -> str:
        return label_of(self)

    @property
    def width(self) -> int:
        return WIDTH

    def update(self, state: F64, row: I64, bars: Mapping[str, Any]) -> F64:
        values: F64 = _rsi(state, row, bars["close"], self.period)
        return values
