"""The bars of the time before the live stream began, from the provider's history, so that nobody begins with an empty chart."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from tickhouse.core import observe
from tickhouse.core.batches import RawBatch
from tickhouse.core.clock import SECOND
from tickhouse.core.errors import TickhouseError
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.model import Want, interval_us
from tickhouse.core.requests import Pace
from tickhouse.feeds import Feed

if TYPE_CHECKING:
    from tickhouse.core.transport import Transport

Take = Callable[[Sequence[RawBatch]], Awaitable[object]]
Known = Callable[[], list[dict[str, Any]]]


class Recent:
    """Asks one feed for the closed bars of the last `seconds`, of each interval that its provider has, and only for what the house
    lacks."""

    def __init__(self, feed: tuple[Feed, Pace], transport: "Transport", take: Take, known: Known) -> None:
        (self.feed, self.pace), self.transport, self.take, self.known = feed, transport, take, known

    async def run(self, symbols: Sequence[str], intervals: Sequence[str], seconds: float, now: int) -> int:
        """Fetch and take in; returns how many answers. A provider that will not answer is said, and costs only these bars."""
        answers = 0
        try:
            known = sorted((one for one in intervals if one in self.feed.ways.bars), key=interval_us, reverse=True)
            # What is lacking is found out before anything comes; the longest come first, so that none is rolled up of shorter ones.
            # The store may be slow to answer, and sockets are read on this loop.
            lacking = [(one, await asyncio.to_thread(self._lacking, symbols, one, seconds, now)) for one in known]
            for interval, starts in lacking:
                for start, part in starts.items():
                    answers += await self._ask(part, interval, start, now)
        except TickhouseError as error:
            observe.tell("feeds", "no recent bars", source=self.feed.name, reason=str(error))
        return answers

    def _lacking(self, symbols: Sequence[str], interval: str, seconds: float, now: int) -> dict[int, list[str]]:
        """Symbols by the first bar to ask for."""
        length = interval_us(interval)
        newest = {row["symbol"]: row["last_start"] for row in self.known() if row["source"] == self.feed.name}
        begins: dict[int, list[str]] = defaultdict(list)
        for symbol in symbols:
            first = max(now - round(seconds * SECOND), newest.get(symbol, 0) + length)
            begins[-(-first // length) * length].append(symbol)
        return {start: part for start, part in begins.items() if start + length <= now}

    async def _ask(self, symbols: Sequence[str], interval: str, start: int, now: int) -> int:
        lane = f"load:recent:{interval}:{start}"
        end = now - now % interval_us(interval)
        want = Want(tuple(symbols), self.feed.ways.bars[interval], start, end, {"interval": interval})
        batches = [self._mark(Event.BEGIN, lane, now)]
        async for request, answer in self.transport.ask(
            self.feed.name, self.pace, self.feed.classify, self.feed.history(want)
        ):
            batches.append(RawBatch.of(self.feed.name, request.channel, [answer.body], answer.received_at, lane))
        await self.take([*batches, self._mark(Event.END, lane, now)])
        return len(batches) - 1

    def _mark(self, event: Event, lane: str, now: int) -> RawBatch:
        return RawBatch.of(self.feed.name, LINK, [Mark(event, at=now).encode()], now, lane)
