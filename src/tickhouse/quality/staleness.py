"""Prices that are old when they come, and symbols of which nothing comes any more."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tickhouse.core.batches import LIVE, BarBatch, TickBatch
from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting
from tickhouse.core.marks import Event, Mark
from tickhouse.quality import Silent, Verdict
from tickhouse.quality._memory import Memory
from tickhouse.quality._verdicts import remarked

NAME = "staleness"


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
    """Remarks on old prices. It remembers when each symbol of the live lane was last heard of, and since when its line hears."""

    max_lag: int
    stale_after: int
    name: str = NAME
    _heard: Memory = field(default_factory=lambda: Memory(0))
    _connected: Memory = field(default_factory=lambda: Memory(0))
    _fresh: dict[tuple[str, str], Mark] = field(default_factory=dict)
    """The lines that connected less than `stale_after` ago, by (source, line)."""
    _mute: list[Silent] = field(default_factory=list)

    def ticks(self, batch: TickBatch) -> list[Verdict]:
        """Remarks `behind`."""
        if batch.lane != LIVE:
            return []
        if self._fresh and len(batch):
            self._judge(batch.source, int(batch.received_at[0]))
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

    def marks(self, source: str, marks: Sequence[Mark]) -> list[Silent]:
        """Note who is subscribed; returns those of whom nothing came until their line had been up for `stale_after`."""
        for mark in marks:
            if mark.event is Event.CONNECTED:
                lane = self._connected.lane(source, LIVE)
                rows = lane.codes(mark.symbols)
                lane.values[rows] = mark.at
                self._fresh[source, mark.line] = mark
            elif mark.event is Event.ALIVE:
                self._judge(source, mark.at)
            elif mark.event is not Event.SWITCHED:
                self._fresh.pop((source, mark.line), None)
                if mark.event is Event.DISCONNECTED:
                    self._forget(source, mark.symbols)
        found, self._mute = self._mute, []
        return found

    def _forget(self, source: str, symbols: Sequence[str]) -> None:
        """Nothing is expected of symbols that are named as not heard, such as those that are not asked for any more."""
        for memory in (self._heard, self._connected) if symbols else ():
            lane = memory.lane(source, LIVE)
            rows = lane.codes(symbols)
            lane.values[rows] = 0

    def _judge(self, source: str, now: int) -> None:
        """Before anything of a moment is taken in (us): who was given time enough and has said nothing."""
        due = [key for key, up in self._fresh.items() if key[0] == source and now - up.at > self.stale_after]
        for up in map(self._fresh.pop, due):
            heard = self._heard.lane(source, LIVE).known()
            self._mute += [Silent(source, one, up.at, heard=False) for one in up.symbols if not heard.get(one)]

    def silent(self, now: int) -> list[Silent]:
        """The symbols of the live lanes of which nothing came for `stale_after` before `now` (us), longest first."""
        found = []
        for source in {source for memory in (self._heard, self._connected) for source, _ in memory.lanes}:
            heard, connected = (memory.lane(source, LIVE).known() for memory in (self._heard, self._connected))
            for symbol in heard | connected:
                last = heard.get(symbol, 0)
                since = max(last, connected.get(symbol, 0))
                if 0 < since < now - self.stale_after:
                    found.append(Silent(source, symbol, int(since), heard=last > 0))
        return sorted(found, key=lambda silent: (silent.since, silent.source, silent.symbol))
