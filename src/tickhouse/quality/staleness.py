"""Prices that are old when they come, and symbols of which nothing comes any more."""

from dataclasses import dataclass, field

import numpy as np

from tickhouse.core.batches import LIVE, BarBatch, TickBatch
from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting
from tickhouse.quality import Verdict
from tickhouse.quality._memory import Memory
from tickhouse.quality._verdicts import remarked

NAME = "staleness"


@dataclass(frozen=True, slots=True)
class Silent:
    """A symbol of which nothing came for too long; `since` is when something came last (us)."""

    source: str
    symbol: str
    since: int


def open(max_lag: float = 60.0, stale_after: float = 60.0) -> "Staleness":
    """The check. `max_lag` are seconds an event time may be behind its arrival in the live lane; `stale_after` seconds
    without a tick make a symbol silent.

    Raises `BadSetting`.
    """
    for name, value in (("max_lag", max_lag), ("stale_after", stale_after)):
        if not value > 0:
            raise BadSetting(f"quality.{name}", value, "a number of seconds above 0")
    return Staleness(round(max_lag * SECOND), round(stale_after * SECOND))


@dataclass(slots=True)
class Staleness:
    """Remarks on old prices. It remembers when each symbol of the live lane was last heard of."""

    max_lag: int
    stale_after: int
    name: str = NAME
    _heard: Memory = field(default_factory=lambda: Memory(0))

    def ticks(self, batch: TickBatch) -> list[Verdict]:
        """Remarks `behind`."""
        if batch.lane != LIVE:
            return []
        lane = self._heard.lane(batch.source, batch.lane)
        series = lane.codes(batch.symbols)[batch.symbol]
        np.maximum.at(lane.values, series, batch.received_at)
        old = batch.received_at - batch.event_time > self.max_lag
        if not old.any():
            return []
        detail = f"a price was over {self.max_lag / SECOND:g} s old when it came"
        return remarked(NAME, "behind", detail, np.flatnonzero(old), "warning")

    def bars(self, batch: BarBatch) -> list[Verdict]:
        """Nothing: a bar is as old as its window."""
        return []

    def silent(self, now: int) -> list[Silent]:
        """The symbols of the live lanes of which nothing came for `stale_after` before `now` (us), longest first."""
        found = [
            Silent(source, symbol, int(lane.values[row]))
            for (source, _), lane in self._heard.lanes.items()
            for symbol, row in lane.rows.items()
            if 0 < lane.values[row] < now - self.stale_after
        ]
        return sorted(found, key=lambda silent: (silent.since, silent.source, silent.symbol))
