"""Exponential moving average."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tickhouse.core.batches import F64, I64
from tickhouse.core.errors import BadSetting
from tickhouse.core.kernels import kernel
from tickhouse.process.parameters import check_bars, label_of

SEEDS = ("sma", "first")
COUNT, VALUE, WIDTH = 0, 1, 2


@kernel
def _ema(state: Any, row: Any, close: Any, period: int, warm: int) -> Any:
    """`warm` is the number of closes whose mean is the first value; until then VALUE holds their sum."""
    alpha = 2.0 / (period + 1)
    out = np.full((row.size, 1), np.nan)
    for i in range(row.size):
        series = state[row[i]]
        if series[COUNT] < warm:
            series[COUNT] += 1
            series[VALUE] += close[i]
            if series[COUNT] < warm:
                continue
            series[VALUE] /= warm
        else:
            series[VALUE] += alpha * (close[i] - series[VALUE])
        out[i, 0] = series[VALUE]
    return out


@dataclass(frozen=True, slots=True)
class Ema:
    """An average of closes whose weights fall by the same factor each bar, in units of price.

    value[t] = value[t - 1] + alpha * (close[t] - value[t - 1]), alpha = 2 / (period + 1). With seed "sma" the first value is
    the mean of the first `period` closes and absent before, as TA-Lib's EMA; with seed "first" it is the first close and never
    absent, as the ewm of pandas with adjust=False.
    Source: J. J. Murphy, Technical Analysis of the Financial Markets (1999), chapter 9.

    >>> from tickhouse.process.catalog import apply
    >>> apply(Ema(3), close=[1.0, 2.0, 3.0, 4.0])["value"].tolist()
    [nan, nan, 2.0, 3.0]
    >>> apply(Ema(3, seed="first"), close=[1.0, 2.0, 3.0, 4.0])["value"].tolist()
    [1.0, 1.5, 2.25, 3.125]
    """

    period: int = 20
    seed: str = "sma"
    outputs: ClassVar[tuple[str, ...]] = ("value",)
    memory: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_bars(self, period=self.period)
        if self.seed not in SEEDS:
            raise BadSetting("ema: seed", self.seed, " or ".join(SEEDS))

    @property
    def label(self) -> str:
        return label_of(self)

    @property
    def width(self) -> int:
        return WIDTH

    def update(self, state: F64, row: I64, bars: Mapping[str, Any]) -> F64:
        values: F64 = _ema(state, row, bars["close"], self.period, self.period if self.seed == "sma" else 1)
        return values
