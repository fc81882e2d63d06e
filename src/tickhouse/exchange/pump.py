"""Plays a source in time: which trades are due, in which order, never losing one, however late it runs."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tickhouse.core.clock import SECOND, Clock
from tickhouse.exchange import Play, Source, Trades
from tickhouse.exchange.history import History

STEP = 0.001
"""The shortest wait between two looks at the clock (s)."""
NAP = 0.02
"""The longest: how soon a clock that was moved by hand is noticed."""
AT_ONCE = 4096
"""Trades handed out before others get a turn."""


@dataclass(frozen=True, slots=True)
class Due:
    """The trades [first, last) of a block, which are due now."""

    trades: Trades
    first: int
    last: int


class Timeline:
    """The time of the trades, from the clock's: event time passes `speed` times as fast from the beginning of the play."""

    def __init__(self, clock: Clock, play: Play) -> None:
        self._clock, self._play = clock, play
        self._began = clock.monotonic()

    def now(self) -> int:
        """The event time of this moment (us)."""
        return self._play.start + round((self._clock.monotonic() - self._began) * self._play.speed * SECOND)

    def wait(self, until: int) -> float:
        """Seconds until an event time, within the bounds of a wait; 0 when it has come."""
        left = (until - self.now()) / (self._play.speed * SECOND)
        return 0.0 if left <= 0 else min(max(left, STEP), NAP)


class Pump:
    """Blocks of a source, cut by time. `lag` is how late the last trade was handed out (s), `worst` the worst of it."""

    def __init__(self, source: Source, history: History, clock: Clock) -> None:
        self._source, self._history, self._clock = source, history, clock
        self.timeline: Timeline | None = None
        self.finished = asyncio.Event()
        self.lag = self.worst = 0.0
        self._full_speed = False
        self._blocks: Iterator[Trades] = iter(())
        self._block: Trades | None = None
        self._cursor = 0

    def begin(self) -> None:
        """Start to play; what was due before now goes to the history alone."""
        play = self._source.play(self._clock.now())
        self._blocks, self._full_speed = play.blocks, play.speed <= 0
        self._history.visible = play.start - 1
        if not self._full_speed:
            self.timeline = Timeline(self._clock, play)
        while not self._full_speed and self._ready() and self._next() < play.start:
            self._cut(play.start - 1)

    def due(self) -> Iterator[Due]:
        """Everything due at this moment, made visible in the history as it is handed out."""
        now = None if self.timeline is None else self.timeline.now()
        handed = 0
        while handed < AT_ONCE and self._ready() and (now is None or self._next() <= now):
            late = 0.0 if now is None else (now - self._next()) / SECOND
            self.lag, self.worst = late, max(self.worst, late)
            due = self._cut(now)
            handed += due.last - due.first
            yield due
            if now is None:
                return
        if now is not None and handed < AT_ONCE:
            self._history.visible = max(self._history.visible, now)

    def pause(self) -> float:
        """Seconds until it is worth while to look again; the next block is made ready meanwhile."""
        if not self._ready():
            return NAP
        return 0.0 if self.timeline is None else self.timeline.wait(self._next())

    def _next(self) -> int:
        """The event time of the next trade (us)."""
        assert self._block is not None
        return int(self._block.time[self._cursor])

    def _cut(self, now: int | None) -> Due:
        """The part of the block up to a time; a next block is made ready when this one is used up."""
        assert self._block is not None
        block, first = self._block, self._cursor
        last = len(block) if now is None else int(np.searchsorted(block.time, now, "right"))
        self._cursor = last
        self._history.visible = max(self._history.visible, int(block.time[last - 1]))
        return Due(block, first, last)

    def _ready(self) -> bool:
        """Have a block with trades that were not handed out yet; false at the end of the source."""
        while self._block is None or self._cursor == len(self._block):
            if self.finished.is_set():
                return False
            self._block, self._cursor = next(self._blocks, None), 0
            if self._block is None:
                self.finished.set()
                return False
            self._history.add(self._block)
        return True
