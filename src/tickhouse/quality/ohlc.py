"""What holds for every bar: low and high enclose the rest, and nothing is negative."""

from dataclasses import dataclass

import numpy as np

from tickhouse.core.batches import BarBatch, TickBatch
from tickhouse.quality import Verdict
from tickhouse.quality._verdicts import rejected, values

NAME = "ohlc"


def open(tolerance: float = 1e-9) -> "Ohlc":
    """The check. `tolerance` is how far, relative to the price, a vwap may lie outside of low and high."""
    return Ohlc(tolerance)


@dataclass(frozen=True, slots=True)
class Ohlc:
    """Refuses bars that contradict themselves."""

    tolerance: float = 1e-9
    name: str = NAME

    def ticks(self, batch: TickBatch) -> list[Verdict]:
        """Nothing: a tick has one price."""
        return []

    def bars(self, batch: BarBatch) -> list[Verdict]:
        """Reason `ohlc`."""
        low, high, slack = batch.low, batch.high, np.abs(batch.high) * self.tolerance
        enclosed = (low <= np.minimum(batch.open, batch.close)) & (high >= np.maximum(batch.open, batch.close))
        vwap = np.isnan(batch.vwap) | ((batch.vwap >= low - slack) & (batch.vwap <= high + slack))
        counted = ~(batch.volume < 0) & (batch.trades >= 0)
        prices = values(open=batch.open, high=batch.high, low=low, close=batch.close)
        middle, counts = values(vwap=batch.vwap, low=low, high=high), values(volume=batch.volume, trades=batch.trades)
        return [
            *rejected(NAME, "ohlc", "low and high do not enclose open and close", ~enclosed, prices),
            *rejected(NAME, "ohlc", "the vwap is outside of low and high", enclosed & ~vwap, middle),
            *rejected(NAME, "ohlc", "the volume or the number of trades is negative", ~counted, counts),
        ]
