"""What a feed without trade ids did not hear is asked of its history once it is heard again: the bars of blind stretches.

Where ids prove what is missing, the engine names the holes and `steps/refill.py` asks for their trades. Elsewhere coverage says
when nothing was heard, and the provider's own bars take the place of those that are lacking or not whole, those at the edges too.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from tickhouse.core import observe
from tickhouse.core.clock import SECOND
from tickhouse.core.errors import Temporary, TickhouseError
from tickhouse.core.marks import HEARD
from tickhouse.core.model import Cover, Ids, Query, interval_us
from tickhouse.core.requests import Pace
from tickhouse.feeds import Feed
from tickhouse.steps.backfill import Backfill, Piece, Task
from tickhouse.steps.lacking import Range
from tickhouse.steps.lines import lines

BACK = 86_400 * SECOND
"""Stretches that ended longer ago are left to a backfill that somebody asks for."""
NAP, AGAIN = 1.0, 900.0
"""Seconds between two looks at the lines, and two at coverage in any case: what could not be had is tried again."""
SETTLE = 30.0
"""Seconds after the end of a bar at which the provider and this house should have it."""
SHARE = 0.5
"""The part of what is left of a day's quota that may be spent on what was missed."""


class Regain:
    """Looks for blind stretches of the last day, and has their bars asked for. Belongs to one event loop."""

    def __init__(self, feeds: Mapping[str, tuple[Feed, Pace]], pipeline: Any) -> None:
        self.pipeline, self.clock = pipeline, pipeline.clock
        asked = {name: (paced, self._interval(paced[0])) for name, paced in feeds.items()}
        self.feeds = {name: (paced, interval) for name, (paced, interval) in asked.items() if interval}
        self.leads: Callable[[], bool] = lambda: True
        """Whether this is the process that looks, where several have its role."""
        self._down: set[tuple[str, str]] = set()
        self._due: dict[str, list[float]] = {name: [] for name in self.feeds}
        for name in self.feeds:
            self.want(name)

    def want(self, feed: str) -> None:
        """A feed is heard again: look for what it missed, as soon as the bars in which that ended are there."""
        if feed in self.feeds:
            self._due[feed].append(self.clock.monotonic() + interval_us(self.feeds[feed][1]) / SECOND + SETTLE)

    async def run(self) -> None:
        """Look and ask until cancelled."""
        while True:
            for name in self.feeds:
                await self._listen(name)
                if self._is_due(name) and self.leads():
                    await self.look(name)
            await asyncio.sleep(NAP)

    async def look(self, name: str) -> None:
        """Ask for all that a feed missed. What cannot be had is said, and tried again with the next look."""
        paced, interval = self.feeds[name]
        try:
            for span, symbols in (await asyncio.to_thread(self._missed, name)).items():
                work = Backfill(
                    paced, Task(tuple(symbols), paced[0].ways.bars[interval], interval, span), self.pipeline
                )
                pieces = await asyncio.to_thread(work.plan)
                if pieces and await self._affords(name, pieces):
                    await work.run(pieces)
                    observe.tell("feeds", "asked for what was missed", source=name, calls=work.done.calls)
        except TickhouseError as error:
            observe.tell("feeds", "not to be had now", logging.WARNING, source=name, reason=str(error))

    def _is_due(self, feed: str) -> bool:
        now = self.clock.monotonic()
        waiting = [due for due in self._due[feed] if due > now]
        due = len(waiting) < len(self._due[feed])
        self._due[feed] = [*waiting, now + AGAIN] if due else waiting
        return due

    def _interval(self, feed: Feed) -> str:
        """The shortest interval of the settings that the provider has bars of; empty where it is not to be asked."""
        known = [one for one in self.pipeline.settings.process.intervals if one in feed.ways.bars]
        return min(known, key=interval_us, default="") if feed.ids is not Ids.DENSE else ""

    async def _listen(self, feed: str) -> None:
        """Note which lines are down, and those that are heard again. A journal that is away is told by those who need it."""
        try:
            known = await asyncio.to_thread(lines, self.pipeline.journal, feed)
        except Temporary:
            return
        for line, state in known.items():
            if state.event not in HEARD:
                self._down.add((feed, line))
            elif (feed, line) in self._down:
                self._down.remove((feed, line))
                self.want(feed)

    def _missed(self, name: str) -> dict[Range, list[str]]:
        """The symbols of a feed by the stretches that they were blind, in whole bars; shorter ones than a bar are left."""
        length, now = interval_us(self.feeds[name][1]), self.clock.now()
        symbols = self.pipeline.settings.symbols_of(name, first=True)
        rows = self.pipeline.warm.coverage(Query(tuple(symbols), source=name, start=now - BACK, end=now))
        found: dict[Range, list[str]] = defaultdict(list)
        for row in rows.filter(pc.equal(rows["state"], Cover.BLIND)).to_pylist() if symbols else ():
            start, end = (round(row[edge].timestamp() * SECOND) for edge in ("start", "end"))
            if end - start >= length and end <= now - SETTLE * SECOND:
                start = max(start, now - BACK)
                found[start - start % length, end + -end % length].append(row["symbol"])
        return found

    async def _affords(self, name: str, pieces: Sequence[Piece]) -> bool:
        """Whether a day's quota leaves enough for the polling that is to come."""
        (_, pace), _ = self.feeds[name]
        left = await self.pipeline.transport.quota(name, pace)
        weight = sum(piece.cost.weight for piece in pieces)
        enough = "day" not in left or weight <= SHARE * left["day"]
        if not enough:
            observe.tell("feeds", "not asked for what was missed", source=name, needs=weight, left=left["day"])
        return enough
