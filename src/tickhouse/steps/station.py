"""One feed at work: sockets or a poll for the symbols that are wanted of it now, and evidence about those that are not any more."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tickhouse.core import observe
from tickhouse.core.errors import Final, SettingsError
from tickhouse.core.inbox import Inbox
from tickhouse.core.line import Health, Line
from tickhouse.core.marks import Event, Mark
from tickhouse.core.model import Want
from tickhouse.core.requests import Pace, Subscription
from tickhouse.core.settings import FeedSettings
from tickhouse.feeds import Feed
from tickhouse.steps.lines import LineState
from tickhouse.steps.opening import Opening
from tickhouse.steps.poll import TICK, Poll, Wish

if TYPE_CHECKING:
    from tickhouse.core.transport import Transport

Sleep = Callable[[float], Awaitable[object]]
Before = Callable[[], Awaitable[LineState | None]]
"""Asks how a line was before, of a journal that may be on a server that hangs."""
FEW = 32
"""So many symbols join lines that are open; for more the lines are opened anew, which takes less time."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The symbols that are wanted of a feed, and every so many seconds where it is polled (None: as its section says)."""

    symbols: tuple[str, ...] = ()
    every: float | None = None


async def _nothing() -> None:
    """Nothing was before."""


class Station:
    """Takes what is wanted of one feed. Belongs to one event loop.

    With `spare` other feeds stand by for it: then what cannot be helped by waiting ends its line, and not everything.
    Symbols that are wanted no more go over to the line `<feed>-idle`, which hears nothing: so they are blind, not quiet.
    """

    def __init__(
        self, paced: tuple[Feed, Pace], section: FeedSettings, transport: "Transport", inbox: Inbox, *,
        spare: bool = False, before: Before = _nothing, sleep: Sleep = asyncio.sleep,
    ) -> None:  # fmt: skip
        (self.feed, self.pace), self.section, self.transport, self.inbox = paced, section, transport, inbox
        self.name, self.channel = self.feed.name, section.channel or self.feed.channel
        self.polled, self.idle = self.feed.ways.is_polled(self.channel), f"{self.feed.name}-idle"
        self.poll: Poll | None = None
        self._spare, self._before, self._sleep = spare, before, sleep
        self._wanted, self._taken = Wanted(), Wanted()
        self._asked: frozenset[str] = frozenset()
        self._line_of: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._left: dict[str, None] = {}
        self._ticked = 0
        self._changed = asyncio.Event()

    def check(self, symbols: Sequence[str]) -> None:
        """Raise `SettingsError` when these cannot be asked of this feed."""
        if symbols and self.polled:
            self.feed.poll(Want(tuple(symbols), self.channel)).close()
        elif symbols:
            self.feed.subscriptions(Want(tuple(symbols), self.channel))

    def want(self, wanted: Wanted) -> None:
        """Take these symbols from now on, and no others."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._changed.set()

    async def run(self) -> None:
        """Take what is wanted until cancelled. Raises what ended a line for good, and `SettingsError`."""
        try:
            while True:
                changed = asyncio.create_task(self._changed.wait())
                await asyncio.wait({changed, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                for task in [task for task in self._tasks if task.done()]:
                    self._tasks.remove(task)
                    await self._ended(task)
                if self._changed.is_set():
                    self._changed.clear()
                    await self._take(self._wanted)
        finally:
            await self._stop()

    async def asks(self, wanted: Wanted) -> Poll:
        """What polls for these symbols, gone on from how the line was `before`."""
        before = await self._before()
        return Poll((self.feed, self.pace), self._wish(wanted), self.transport, self.inbox, before, sleep=self._sleep)

    def health(self, symbol: str) -> Health | None:
        """How the line of a symbol is; None where it is not asked for."""
        if symbol not in self._asked:
            return None
        if self.polled:
            return self.poll.health if self.poll else None
        line = self.transport.lines.get(self._line_of.get(symbol, ""))
        return line.health if line else None

    def line(self, symbol: str) -> str | None:
        """The name of the line of a symbol."""
        if self.polled:
            return self.poll.line if self.poll else None
        return self._line_of.get(symbol)

    async def mute(self, symbol: str, at: int) -> None:
        """Say that nothing is heard of a symbol from a moment on, though its line is heard."""
        await self._idle(Event.MUTE, (symbol,), at, "mute for this symbol")

    async def seen(self, symbol: str, at: int) -> None:
        """Say that one that was blind is heard on its line from a moment on."""
        self._left.pop(symbol, None)
        if line := self.line(symbol):
            await self.inbox.mark(Mark(Event.CONNECTED, at, line, self.channel, (symbol,)))

    async def _idle(self, event: Event, symbols: Sequence[str], at: int, reason: str) -> None:
        """Have symbols go over to the line that hears nothing."""
        if symbols:
            self._left |= dict.fromkeys(symbols)
            await self.inbox.mark(Mark(event, at, self.idle, self.channel, tuple(symbols), {"reason": reason}))

    async def tick(self) -> None:
        """Say now and then that nothing is heard of those that were left, so that time goes on and windows close."""
        now = self.inbox.clock.now()
        if self._left and now - self._ticked >= TICK * 1e6:
            self._ticked = now
            await self.inbox.mark(Mark(Event.DISCONNECTED, now, self.idle, detail={"reason": "not asked"}))

    async def _take(self, wanted: Wanted) -> None:
        taken, self._taken, self._asked = self._taken, wanted, frozenset(wanted.symbols)
        gone = [symbol for symbol in taken.symbols if symbol not in self._asked]
        if self.polled:
            await self._ask(wanted)
        elif not wanted.symbols or not self._joined(wanted.symbols):
            await self._stop()
            self._subscribe(wanted)
        for symbol in wanted.symbols if self._tasks else ():
            self._left.pop(symbol, None)
        await self._idle(Event.DISCONNECTED, gone, self.inbox.clock.now(), "not asked")

    async def _ask(self, wanted: Wanted) -> None:
        if not wanted.symbols or self.poll is None:
            await self._stop()
            self.poll = None
        if wanted.symbols and self.poll:
            self.poll.want(self._wish(wanted))
        elif wanted.symbols:
            self.poll = await self.asks(wanted)
            self._tasks = [asyncio.create_task(self.poll.run())]

    def _joined(self, symbols: Sequence[str]) -> bool:
        """Have the lines that are open hear all of these, if they hear them already or few are new; false when that cannot be."""
        fresh = [symbol for symbol in symbols if symbol not in self._line_of]
        if not fresh:
            return True
        held = sorted({*self._line_of.values()}, key=_number)
        if not held or len(fresh) > FEW or len(self._tasks) != len(held):
            return False
        try:
            opened = self.feed.subscriptions(Want((*self._line_of, *fresh), self.channel))
        except SettingsError:
            return False  # with those that were left it carries too many
        lines = [self.transport.lines.get(name) for name in held]
        if len(opened) != len(held) or not all(map(_extends, opened, lines)):
            return False
        for line, one in zip(lines, opened, strict=True):
            if line is not None:
                line.extend(one)
                self._line_of |= dict.fromkeys(one.symbols, line.name)
        return True

    def _subscribe(self, wanted: Wanted) -> None:
        opened = self.feed.subscriptions(Want(wanted.symbols, self.channel)) if wanted.symbols else []
        for number, one in enumerate(opened):
            line = f"{self.name}-{number}"
            self._line_of |= dict.fromkeys(one.symbols, line)
            self._tasks.append(asyncio.create_task(self.transport.stream(one, self.inbox, line=line)))

    def _wish(self, wanted: Wanted) -> Wish:
        section = self.section
        market, fixed = section.market or self.feed.about.market, section.market is not None
        opening = Opening(wanted.symbols, market, fixed=fixed, always=section.closed)
        every = wanted.every or section.every or self.feed.ways.every
        return Wish(wanted.symbols, self.channel, every, opening)

    async def _ended(self, task: asyncio.Task[None]) -> None:
        """A line ended for good."""
        try:
            task.result()
        except Final as error:
            if not self._spare:
                raise
            observe.tell(
                "feeds", "not asked any more until the next start", logging.WARNING, source=self.name, reason=str(error)
            )
            await self._idle(Event.DISCONNECTED, self._taken.symbols, self.inbox.clock.now(), str(error))

    async def _stop(self) -> None:
        tasks, self._tasks, self._line_of = self._tasks, [], {}
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        failed = next(
            (r for r in results if isinstance(r, Exception) and not (self._spare and isinstance(r, Final))), None
        )
        if failed:
            raise failed


def _number(line: str) -> int:
    return int(line.rpartition("-")[2])


def _extends(subscription: Subscription, line: Line | None) -> bool:
    """Whether a subscription is that of an open line and more."""
    if line is None or line.health.state == "stopped":
        return False
    return set(line.subscription.symbols) <= set(subscription.symbols)
