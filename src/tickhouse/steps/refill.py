"""Holes of the live stream are filled from the provider's history, inside its quota."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from tickhouse.core.batches import REFILL, RawBatch
from tickhouse.core.clock import Clock
from tickhouse.core.errors import Final, SettingsError, Temporary
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.model import Hole
from tickhouse.core.requests import Pace
from tickhouse.feeds import Feed

if TYPE_CHECKING:
    from tickhouse.core.transport import Transport

log = structlog.get_logger()
Take = Callable[[Sequence[RawBatch]], Awaitable[None]]

MAX_WAITING = 10_000
"""Holes waiting to be filled; more than that are left marked blind and can be filled by a backfill."""


class Refill:
    """Asks for one hole after the other. A hole that cannot be filled now is tried again, a few times."""

    def __init__(self, feeds: Mapping[str, tuple[Feed, Pace]], transport: "Transport", take: Take, clock: Clock) -> None:
        self.feeds, self.transport, self.take, self.clock = feeds, transport, take, clock
        self.waiting: asyncio.Queue[tuple[Hole, int]] = asyncio.Queue(MAX_WAITING)
        self.filled = 0

    def want(self, holes: Sequence[Hole], attempt: int = 1) -> None:
        """Queue holes; call it on the event loop."""
        for hole in holes:
            if self.waiting.full():
                log.warning("hole left open", source=hole.source, symbol=hole.symbol, reason="too many holes at once")
                return
            self.waiting.put_nowait((hole, attempt))

    async def run(self, attempts: int = 5) -> None:
        """Fill holes until cancelled."""
        while True:
            hole, attempt = await self.waiting.get()
            try:
                await self.fill(hole)
                self.filled += 1
            except Temporary as error:
                if attempt < attempts:
                    asyncio.get_running_loop().call_later(error.retry_after or 2.0**attempt, self.want, [hole], attempt + 1)
                else:
                    log.warning("hole left open", symbol=hole.symbol, first=hole.first_id, last=hole.last_id, reason=str(error))
            except (Final, SettingsError) as error:
                log.warning("hole cannot be filled", symbol=hole.symbol, first=hole.first_id, reason=str(error))

    async def fill(self, hole: Hole) -> None:
        """Ask the provider for exactly the trades of a hole and take what it answers."""
        feed, pace = self.feeds[hole.source]
        conversation = feed.refill(hole)
        batches = [self._mark(hole, Event.BEGIN)]
        async for request, answer in self.transport.ask(feed.name, pace, feed.classify, conversation):
            batches.append(RawBatch.of(feed.name, request.channel, [answer.body], answer.received_at, REFILL))
        await self.take([*batches, self._mark(hole, Event.END)])

    def _mark(self, hole: Hole, event: Event) -> RawBatch:
        detail = {"symbol": hole.symbol, "first_id": str(hole.first_id), "last_id": str(hole.last_id)}
        now = self.clock.now()
        return RawBatch.of(hole.source, LINK, [Mark(event, at=now, detail=detail).encode()], now, REFILL)
