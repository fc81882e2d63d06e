"""What runs on the event loop: sockets and polls into inboxes, inboxes into the journal, holes filled, mute symbols renewed."""

import asyncio
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from tickhouse.core.batches import RawBatch
from tickhouse.core.errors import Busy, SettingsError, TickhouseError
from tickhouse.core.inbox import Inbox
from tickhouse.core.line import Health
from tickhouse.core.model import Want
from tickhouse.pipeline import Pipeline
from tickhouse.steps.introduce import Introduce
from tickhouse.steps.lines import lines
from tickhouse.steps.opening import Opening
from tickhouse.steps.poll import Poll, Wish
from tickhouse.steps.recent import Recent
from tickhouse.steps.refill import Refill
from tickhouse.steps.renew import Renew

log = structlog.get_logger()
Task = asyncio.Task[None]

LOOK_SECONDS = 1.0
"""How often silent symbols are looked for."""
PARTING_SECONDS = 5.0
"""How long the journal may be busy when we end; what it does not take by then is a hole that the next start fills."""


class Intake:
    """The one writer of new messages in this process. Belongs to one event loop; close it there."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.ingest = pipeline.ingest()
        feeds = pipeline.feeds.items()
        paced = {name: (feed, pipeline.settings.feeds[name].paced(feed.pace)) for name, feed in feeds}
        self.paced = paced
        self.refill = Refill(paced, pipeline.transport, self.take, pipeline.clock)
        self.introduce = Introduce(pipeline.settings.feeds, pipeline.transport)
        self.renew = Renew(self.ingest.suite, pipeline.transport.renew)
        self.polls: list[Poll] = []
        """The polled feeds, once they are asked."""
        self.health: dict[str, Health] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ingest")
        self._until: float | None = None

    async def run(self, stop: asyncio.Event, listen: bool, fill: bool) -> None:
        """Keep lines open (`listen`) and fill holes (`fill`) until told to stop. Raises what made either fail."""
        await self.introduce.once()
        sources, pumps = self._lines() if listen else ([], [])
        recent = [asyncio.create_task(self._recent(name)) for name in self.paced if listen]
        recent.append(asyncio.create_task(self.introduce.run()))
        if fill:
            sources.append(asyncio.create_task(self.refill.run()))
        try:
            await _until(stop, [*sources, *pumps])
        finally:
            failed = await self._end([*sources, *recent], pumps)
        if failed:
            raise failed[0]

    async def once(self, stop: asyncio.Event) -> None:
        """One round of every polled feed. Raises, when all are done, what went wrong with the first that failed; `SettingsError`
        when no feed is polled."""
        inboxes = {name: Inbox(name, clock=self.pipeline.clock) for name in self.pipeline.feeds}
        self.polls = [poll for name, inbox in inboxes.items() if (poll := self._poll(name, inbox))]
        if not self.polls:
            raise SettingsError("no feed of the settings is polled; name one with symbols and a channel that is polled")
        pumps = [asyncio.create_task(self._pump(inbox)) for inbox in inboxes.values()]
        rounds = [asyncio.create_task(_raised(poll.once())) for poll in self.polls]
        asking = asyncio.create_task(_all(rounds))
        try:
            await _until(stop, [asking])
        finally:
            failed = [*await _ended([*rounds, asking]), *await self._end([], pumps)]
        if failed:
            raise failed[0]

    async def _end(self, sources: list[Task], pumps: list[Task]) -> list[Exception]:
        """Stop everything, with what is in the inboxes journaled; returns what tasks ended with."""
        self._until = self.pipeline.clock.monotonic() + PARTING_SECONDS
        ended = await _ended(sources)
        self.health = {**self.pipeline.transport.health, **{poll.line: poll.health for poll in self.polls}}
        failed = [*ended, *await _ended(pumps)]
        self._writer.shutdown()
        await self.pipeline.transport.close()
        return failed

    async def take(self, batches: Sequence[RawBatch]) -> int:
        """Journal batches, waiting while the journal is busy; returns the position after them."""
        loop, told = asyncio.get_running_loop(), False
        while True:
            try:
                return await loop.run_in_executor(self._writer, self.ingest.take, batches)
            except Busy as busy:
                if self._until is not None and self.pipeline.clock.monotonic() > self._until:
                    log.warning("messages not taken", count=sum(map(len, batches)), reason=str(busy))
                    return int(self.pipeline.journal.end())
                if not told:
                    log.warning("slowed down", reason=str(busy))
                told = True
                await asyncio.sleep(busy.retry_after or 0.2)

    def _lines(self) -> tuple[list[Task], list[Task]]:
        """Tasks that fill inboxes, and those that empty them."""
        pipeline, streams, pumps = self.pipeline, [asyncio.create_task(self._renew())], []
        for name, feed in pipeline.feeds.items():
            section = pipeline.settings.feeds[name]
            inbox = Inbox(name, clock=pipeline.clock)
            pumps.append(asyncio.create_task(self._pump(inbox)))
            if poll := self._poll(name, inbox):
                self.polls.append(poll)
                streams.append(asyncio.create_task(poll.run()))
                continue
            want = Want(tuple(section.symbols), section.channel or feed.channel)
            for number, subscription in enumerate(
                [] if feed.ways.is_polled(want.channel) else feed.subscriptions(want)
            ):
                stream = pipeline.transport.stream(subscription, inbox, line=f"{name}-{number}")
                streams.append(asyncio.create_task(stream))
        return streams, pumps

    def _poll(self, name: str, inbox: Inbox) -> Poll | None:
        """What polls a feed, None where it has no symbols or its channel comes by itself. Raises `SettingsError`."""
        (feed, pace), section = self.paced[name], self.pipeline.settings.feeds[name]
        channel = section.channel or feed.channel
        if not section.symbols or not feed.ways.is_polled(channel):
            return None
        feed.poll(Want(section.symbols, channel)).close()
        market = section.market or feed.about.market
        opening = Opening(section.symbols, market, fixed=section.market is not None, always=section.closed)
        wish = Wish(section.symbols, channel, section.every or feed.ways.every, opening)
        before = lines(self.pipeline.journal, name).get(f"{name}-poll")
        return Poll((feed, pace), wish, self.pipeline.transport, inbox, before)

    async def _pump(self, inbox: Inbox) -> None:
        work: asyncio.Future[int] | None = None
        try:
            while True:
                work = asyncio.ensure_future(self.take(await inbox.take()))
                await asyncio.shield(work)
        finally:
            if work and not work.done():
                await work
            if rest := inbox.drain():
                await self.take(rest)

    async def _recent(self, name: str) -> None:
        pipeline, section = self.pipeline, self.pipeline.settings.feeds[name]
        if section.recent:
            recent = Recent(self.paced[name], pipeline.transport, self.take, pipeline.warm.symbols)
            await recent.run(section.symbols, pipeline.settings.process.intervals, section.recent, pipeline.clock.now())

    async def _renew(self) -> None:
        loop, clock = asyncio.get_running_loop(), self.pipeline.clock
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            silent = await loop.run_in_executor(self._writer, self.renew.due, clock.now())
            self.renew.step(silent, clock.now())


async def _raised(asking: Awaitable[TickhouseError | None]) -> None:
    """Raise what a round tells as its answer."""
    error = await asking
    if error is not None:
        raise error


async def _all(tasks: list[Task]) -> None:
    await asyncio.wait(tasks)


async def _until(stop: asyncio.Event, tasks: list[Task]) -> None:
    """Wait until told to stop or until a task ends; raises what it ended with."""
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for task in done - {stopped}:
        task.result()


async def _ended(tasks: list[Task]) -> list[Exception]:
    """Cancel tasks and wait until they are done; returns the errors they ended with."""
    for task in tasks:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    return [answer for answer in answers if isinstance(answer, Exception)]
