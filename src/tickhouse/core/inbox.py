"""The bounded queue between the sockets of one source and ingest."""

import asyncio

from tickhouse.core import observe
from tickhouse.core.batches import LIVE, RawBatch
from tickhouse.core.clock import Clock, SystemClock
from tickhouse.core.marks import LINK, Mark

_Run = tuple[str, list[bytes], list[int]]


class Inbox:
    """Messages of one source on their way from the sockets to ingest, in order of arrival, bounded in number and bytes.

    When it is full `put` waits, so the socket is not read, so TCP makes the provider wait: nothing is dropped. Every method
    belongs to one event loop and its thread; the batches that `take` gives may go to any thread.
    """

    def __init__(
        self, source: str, *, max_messages: int = 100_000, max_bytes: int = 64 << 20, clock: Clock | None = None
    ) -> None:
        self.source, self.max_messages, self.max_bytes = source, max_messages, max_bytes
        self.clock = clock or SystemClock()
        self.depth = 0
        """Messages inside now."""
        self.bytes = 0
        """Payload bytes inside now."""
        self.high_water = 0
        """The most messages that were ever inside."""
        self._closed = False
        self._runs: list[_Run] = []
        self._something, self._room = asyncio.Event(), asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether `put` would have to wait."""
        return self.depth >= self.max_messages or self.bytes >= self.max_bytes

    def offer(self, channel: str, payload: bytes, received_at: int) -> bool:
        """Put a message in without waiting; false when there is no room, and then nothing was done."""
        if self.depth >= self.max_messages or self.bytes >= self.max_bytes:
            return False
        runs = self._runs
        if not runs or runs[-1][0] != channel:
            runs.append((channel, [], []))
        _, payloads, times = runs[-1]
        payloads.append(payload)
        times.append(received_at)
        self.bytes += len(payload)
        self.depth += 1
        if self.depth == 1:
            self._something.set()
        return True

    async def put(self, channel: str, payload: bytes, received_at: int) -> None:
        """Put a message in, waiting for room (`received_at` in UTC microseconds)."""
        while not self.offer(channel, payload, received_at):
            await self.room()

    async def room(self) -> None:
        """Wait until there is room."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    async def mark(self, mark: Mark) -> None:
        """Put evidence in, as a message of channel `link` received now."""
        await self.put(LINK, mark.encode(), self.clock.now())

    async def take(self) -> list[RawBatch]:
        """Everything that has arrived, at least one message: one batch of lane `live` for each run of one channel.

        After `close`, what is left, and then nothing: an empty list.
        """
        while not self.depth and not self._closed:
            self._something.clear()
            await self._something.wait()
        return self.drain()

    def close(self) -> None:
        """Nothing more will be put in; who waits in `take` is woken."""
        self._closed = True
        self._something.set()

    def drain(self) -> list[RawBatch]:
        """What is inside now, perhaps nothing, without waiting."""
        runs, self._runs = self._runs, []
        self.high_water = max(self.high_water, self.depth)
        observe.gauge("inbox_depth", self.depth, source=self.source)
        observe.gauge("inbox_high_water", self.high_water, source=self.source)
        self.depth = self.bytes = 0
        self._room.set()
        return [RawBatch.of(self.source, channel, payloads, times, LIVE) for channel, payloads, times in runs]
