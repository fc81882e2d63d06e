"""One polled feed: round after round of questions, as often as is wished, as its quota allows, and while its market is open.

Answers and the evidence of them go into the inbox, as those of a socket do.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from tickhouse.core import observe
from tickhouse.core.budget import day_end
from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadMessage, NoData, Temporary, TickhouseError, UnknownSymbol
from tickhouse.core.foreign import host_of
from tickhouse.core.inbox import Inbox
from tickhouse.core.line import Health
from tickhouse.core.marks import HEARD, Event, Mark
from tickhouse.core.model import Want
from tickhouse.core.plan import Plan, Weighed, planned
from tickhouse.core.requests import Pace
from tickhouse.feeds import Feed
from tickhouse.steps.lines import LineState
from tickhouse.steps.opening import Opening

if TYPE_CHECKING:
    from tickhouse.core.transport import Transport

TICK = 60.0
"""Seconds after which evidence is written while nothing is asked, so that time goes on and windows close."""
JITTER = 0.1
"""The part of the interval by which all rounds but the first are moved, so that feeds do not ask all at once."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is polled: symbols on a channel, every so many seconds, while their markets are open."""

    symbols: tuple[str, ...]
    channel: str
    every: float
    opening: Opening


class Poll:
    """Asks one feed again and again, on a line of its own. Belongs to one event loop.

    Marks: CONNECTED at the first answer (with channel and symbols); ALIVE after each round that was answered properly, and each
    tick while there is nothing to ask; DISCONNECTED after a round that failed and each tick until one is answered, from the last
    moment on that was heard and at which the market was open. What cannot be helped by waiting ends the asking, not the marks.
    `before` is how the line was when it was last kept: what was missed since then is blind.
    """

    def __init__(
        self, feed: tuple[Feed, Pace], wish: Wish, transport: "Transport", inbox: Inbox, before: LineState | None = None,
        *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:  # fmt: skip
        (self.feed, self.pace), self.wish, self.transport = feed, wish, transport
        self.inbox, self.clock, self._sleep, self._before = inbox, inbox.clock, sleep, before
        self.line = f"{self.feed.name}-poll"
        self.plan = Plan(max(wish.every, float(before.detail.get("every", 0)) if before else 0.0), wish.every)
        self.health = Health(self.line, "", "connecting", self.clock.now())
        self.refused: TickhouseError | None = None
        """Why nothing is asked any more, if so."""
        self._random = Random(self.line)
        self._heard = before.heard if before and before.heard else self.clock.now()
        self._up, self._announced = before is not None and before.event in HEARD, False
        self._lacking = self._failing = ""
        self._weight = 0
        self._woken = asyncio.Event()

    def want(self, wish: Wish) -> None:
        """Ask for other symbols from the next round on; where some are new, that is now."""
        fresh = not set(wish.symbols) <= set(self.wish.symbols)
        self.wish, self._announced = wish, False
        if fresh:
            self._up = False
            self._woken.set()

    async def run(self) -> None:
        """Ask until cancelled. Raises `BadSetting` for a market that there is not."""
        try:
            await self._pause(max(await self._resume(), 0.0))
            while True:
                await self._pause(await self._turn())
        finally:
            self.health = replace(self.health, state="stopped", since=self.clock.now())

    async def once(self) -> TickhouseError | None:
        """One round, if the market is open; returns what went wrong."""
        await self._resume()
        now = self.clock.now()
        if self.wish.opening.next_open(now) > now:
            observe.tell("feeds", "market closed, not asked", source=self.feed.name)
            await self._tick()
            return None
        return await self.round()

    async def round(self) -> TickhouseError | None:
        """Ask once for all symbols whose market is open; returns what went wrong, None when the provider answered properly."""
        try:
            self._weight = await self._ask()
            await self._replan()
        except TickhouseError as error:
            await self._failed(error)
            return error
        self._failing = ""
        observe.count("rounds", feed=self.feed.name, outcome="partial" if self._lacking else "ok")
        await self._say(Event.ALIVE, self._heard)
        return None

    async def _ask(self) -> int:
        """One round; returns what it weighed. What a proper answer lacks is told and is no failure."""
        symbols = await asyncio.to_thread(self.wish.opening.symbols, self.clock.now())
        conversation = Weighed(self.feed.poll(Want(symbols, self.wish.channel)))
        lacking = ""
        try:
            async for request, answer in self.transport.ask(
                self.feed.name, self.pace, self.feed.classify, conversation
            ):
                await self._hear(answer.received_at, host_of(request.url))
                await self.inbox.put(request.channel, answer.body, answer.received_at)
        except (UnknownSymbol, NoData) as gap:
            await self._hear(self.clock.now())
            lacking = str(gap)
        if lacking and lacking != self._lacking:
            observe.tell("feeds", "not all could be had", logging.WARNING, source=self.feed.name, reason=lacking)
        self._lacking = lacking
        return conversation.weight

    async def _resume(self) -> float:
        """Say what was missed since the line was last kept; returns the seconds until a round is due."""
        reopened = await asyncio.to_thread(self.wish.opening.next_open, self._heard)
        if self._before is None:
            return 0.0
        every = round(self.plan.every * SECOND)
        if reopened + every < self.clock.now():
            self._up = False
            await self._say(Event.DISCONNECTED, reopened, reason="nobody asked")
        return (self._heard + every - self.clock.now()) / SECOND if self.plan.stretched else 0.0

    async def _turn(self) -> float:
        """Ask if there is something to ask; returns the seconds until the next turn."""
        now, began = self.clock.now(), self.clock.monotonic()
        reopens = self.wish.opening.next_open(now)
        if self.refused or reopens > now:
            await self._tick()
            spread = self._random.uniform(0, JITTER * self.wish.every)
            return TICK if self.refused else min(TICK, (reopens - now) / SECOND + spread)
        error = await self.round()
        wait = self.plan.every + self._random.uniform(-0.5, 0.5) * JITTER * self.wish.every
        asked = getattr(error, "retry_after", None) or 0.0
        return max(began + wait - self.clock.monotonic(), asked, 0.0)

    async def _pause(self, seconds: float) -> None:
        """Wait, with evidence each tick, unless other symbols are wanted meanwhile."""
        until = self.clock.monotonic() + seconds
        while (left := until - self.clock.monotonic()) > 1.5 * TICK and not self._woken.is_set():
            await self._nap(TICK)
            await self._tick()
        await self._nap(max(left, 0.0))
        self._woken.clear()

    async def _nap(self, seconds: float) -> None:
        """Sleep, or until woken."""
        tasks = [asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(self._woken.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _tick(self) -> None:
        """Say how it is while nothing is asked. Of a closed market nothing is expected, so nothing is missed."""
        now = self.clock.now()
        if self.wish.opening.next_open(now) > now:
            self._heard = now
            await self._say(Event.ALIVE, now, market="closed")
        elif self._up:
            await self._say(Event.ALIVE, self._heard)
        else:
            await self._say(Event.DISCONNECTED, self.wish.opening.next_open(self._heard), reason=self.health.error)

    async def _hear(self, at: int, host: str = "") -> None:
        """Something was answered."""
        self._heard = at
        if not self._up or self.health.state != "connected":
            observe.tell("feeds", "polled again" if self.health.error else "polled", source=self.feed.name)
            observe.gauge("lines_up", 1, line=self.line)
            self._up, made = True, self.health.connections + 1
            self.health = Health(self.line, host, "connected", self.clock.now(), connections=made)
            await self._say(Event.CONNECTED, at)

    async def _failed(self, error: TickhouseError) -> None:
        """A round was not answered. Said once, and again when it is for another reason or for good."""
        final, reason = not isinstance(error, Temporary | BadMessage), str(error)
        self.refused = error if final else None
        observe.count("rounds", feed=self.feed.name, outcome=type(error).__name__)
        observe.gauge("lines_up", 0, line=self.line)
        if self._failing != type(error).__name__:
            said = "not asked any more until the next start" if final else "polling failed"
            observe.tell("feeds", said, logging.WARNING, source=self.feed.name, reason=reason)
        self._failing, was = type(error).__name__, self.health
        since = was.since if was.state == "down" else self.clock.now()
        self.health = replace(was, state="down", since=since, error=reason, attempts=was.attempts + 1)
        self._up = False
        await self._tick()

    async def _replan(self) -> None:
        """Spread what is left of the quota over what is still wanted of the day; a stretched interval is said once."""
        now, before = self.clock.now(), self.plan
        left = await self.transport.quota(self.feed.name, self.pace)
        hours = self.wish.opening.seconds(now, day_end(self.pace, now))
        if self.pace.per_day and not hours:
            return
        self.plan = planned(self.wish.every, self._weight, self.pace, left, hours)
        for window, weight in left.items():
            observe.gauge("quota_left", weight, feed=self.feed.name, window=window)
        observe.gauge("poll_every", self.plan.every, feed=self.feed.name)
        if self.plan.stretched != before.stretched:
            every, reason = round(self.plan.every), self.plan.reason or "the quota allows what is wished"
            observe.tell("feeds", "polled every", source=self.feed.name, seconds=every, reason=reason)

    async def _say(self, event: Event, at: int, **detail: str) -> None:
        """Write a mark; the first one ever also names what the line is about."""
        if self.plan.stretched:
            detail["every"] = f"{self.plan.every:.0f}"
        about = event is Event.CONNECTED or not self._announced
        channel, symbols = (self.wish.channel, self.wish.symbols) if about else ("", ())
        self._announced, at = True, min(at, self.clock.now())
        self.health = replace(self.health, heard=self._heard)
        await self.inbox.mark(Mark(event, at, self.line, channel, symbols, detail))
