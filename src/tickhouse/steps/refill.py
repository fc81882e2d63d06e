"""Holes of the live stream are filled from the provider's history, inside its quota."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from tickhouse.core import observe
from tickhouse.core.batches import REFILL, RawBatch
from tickhouse.core.clock import Clock
from tickhouse.core.errors import Temporary, TickhouseError
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.model import Hole
from tickhouse.core.requests import Pace
from tickhouse.feeds import Feed

if TYPE_CHECKING:
    from tickhouse.core.transport import Transport

log = structlog.get_logger()
Take = Callable[[Sequence[RawBatch]], Awaitable[int]]
"""Journals batches and returns the position after them."""

NEAR = 1000
"""Holes of a symbol with at most so many ids between them are asked for together: what lies between comes as repeats."""
FIRST_WAIT, LONGEST_WAIT = 15.0, 3600.0
"""Seconds before a hole that is still open after a try is tried again, doubled with each try."""
NAP = 0.1


@dataclass(slots=True)
class _Try:
    """When a hole is due next (monotonic seconds), and how often it was asked for."""

    due: float
    count: int = 0


class Refill:
    """Asks for the holes that are open, as long as they are. Every method but `want` belongs to one event loop.

    What is open is for the engine to say: `want` is told so again and again, also after a restart, and so a hole that could not be
    filled is tried again, with longer and longer waits.
    """

    def __init__(
        self, feeds: Mapping[str, tuple[Feed, Pace]], transport: "Transport", take: Take, clock: Clock
    ) -> None:
        self.feeds, self.transport, self.take, self.clock = feeds, transport, take, clock
        self.filled = 0
        self._open: dict[Hole, _Try] = {}
        self._wanted: tuple[int, tuple[Hole, ...]] = (0, ())
        self._after = 0

    def want(self, holes: Iterable[Hole], position: int) -> None:
        """All holes that are open at a journal position. Safe from any thread."""
        self._wanted = position, tuple(hole for hole in holes if hole.source in self.feeds)

    @property
    def open(self) -> int:
        """How many holes wait to be filled."""
        return len(self._open)

    async def run(self) -> None:
        """Fill holes until cancelled."""
        while True:
            self._renew()
            due = self._due()
            if not due:
                await asyncio.sleep(NAP)
                continue
            for hole in due:
                attempt = self._open[hole]
                attempt.count += 1
                wait = min(FIRST_WAIT * 2.0 ** min(attempt.count - 1, 20), LONGEST_WAIT)
                attempt.due = self.clock.monotonic() + wait
            await self._try(due)

    async def _try(self, holes: Sequence[Hole]) -> None:
        """Ask for holes that lie beside each other; what cannot be filled now is said and waits."""
        whole = replace(
            holes[0], last_id=holes[-1].last_id, start=min(h.start for h in holes), end=max(h.end for h in holes)
        )
        try:
            await self.fill(whole)
            self.filled += len(holes)
            observe.count("holes", len(holes), source=whole.source, state="refilled")
        except TickhouseError as error:
            now = self.clock.monotonic()
            asked = getattr(error, "retry_after", None) or 0.0
            for hole in holes:
                if hole in self._open:
                    self._open[hole].due = max(self._open[hole].due, now + asked)
            said = "hole left open for now" if isinstance(error, Temporary) else "hole cannot be filled"
            log.warning(said, symbol=whole.symbol, first=whole.first_id, last=whole.last_id, reason=str(error))

    async def fill(self, hole: Hole) -> None:
        """Ask the provider for the trades of a hole, and journal each page as it comes."""
        feed, pace = self.feeds[hole.source]
        begun: list[RawBatch] = [self._mark(hole, Event.BEGIN)]
        try:
            async for request, answer in self.transport.ask(feed.name, pace, feed.classify, feed.refill(hole)):
                page = RawBatch.of(feed.name, request.channel, [answer.body], answer.received_at, REFILL)
                self._after = await self.take([*begun, page])
                begun = []
        finally:
            if not begun:
                self._after = await self.take([self._mark(hole, Event.END)])

    def _renew(self) -> None:
        """Take over what is open, if that was said with all we journaled in mind; holes that stay open keep their tries."""
        position, holes = self._wanted
        if position >= self._after:
            now = self.clock.monotonic()
            self._open = {hole: self._open.get(hole) or _Try(now) for hole in holes}

    def _due(self) -> list[Hole]:
        """The hole that waits longest, and those beside it that are due too, in order of their ids."""
        now = self.clock.monotonic()
        due = [hole for hole, attempt in self._open.items() if attempt.due <= now]
        if not due:
            return []
        oldest = min(due, key=lambda hole: self._open[hole].due)
        due = sorted(
            (h for h in due if (h.source, h.symbol) == (oldest.source, oldest.symbol)), key=lambda h: h.first_id
        )
        first = last = due.index(oldest)
        while first > 0 and due[first].first_id - due[first - 1].last_id <= NEAR:
            first -= 1
        while last + 1 < len(due) and due[last + 1].first_id - due[last].last_id <= NEAR:
            last += 1
        return due[first : last + 1]

    def _mark(self, hole: Hole, event: Event) -> RawBatch:
        detail = {"symbol": hole.symbol, "first_id": str(hole.first_id), "last_id": str(hole.last_id)}
        now = self.clock.now()
        return RawBatch.of(hole.source, LINK, [Mark(event, at=now, detail=detail).encode()], now, REFILL)
