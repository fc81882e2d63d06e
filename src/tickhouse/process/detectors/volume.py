"""Volumes far outside what they lately were."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tickhouse.core.batches import F64, I64
from tickhouse.core.kernels import kernel
from tickhouse.core.kernels.window import deviation, mean, push
from tickhouse.process.parameters import check_bars, check_positive, label_of


@kernel
def _volume(state: Any, row: Any, volume: Any, period: int, sigmas: float) -> Any:
    out = np.full((row.size, 2), np.nan)
    for i in range(row.size):
        series = state[row[i]]
        if series[0] == period:
            usual = mean(series, 0, period)
            out[i, 0] = volume[i] - usual
            out[i, 1] = sigmas * deviation(series, 0, period, usual, 0)
        push(series, 0, period, volume[i])
    return out


@dataclass(frozen=True, slots=True)
class Volume:
    """A bar whose volume is more than `sigmas` standard deviations away from the mean of the `period` bars before it.

    value = volume[t] - mean of the volumes t - period to t - 1; threshold = sigmas * their population standard deviation; both in
    units of volume. Not judged before there are `period` earlier bars.

    >>> from tickhouse.process.catalog import apply
    >>> verdict = apply(Volume(4, 3), volume=[1.0, 3.0, 1.0, 3.0, 6.0])
    >>> verdict["value"].tolist()[4], verdict["threshold"].tolist()[4]
    (4.0, 3.0)
    """

    period: int = 20
    sigmas: float = 3.0

    def __post_init__(self) -> None:
        check_bars(self, period=self.period)
        check_positive(self, sigmas=self.sigmas)

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
        values: F64 = _volume(state, row, bars["volume"], self.period, float(self.sigmas))
        return values
