"""What runs on the event loop: sockets and polls into inboxes, inboxes into the journal, holes filled, mute symbols renewed."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import structlog

from tickhouse.core import observe
from tickhouse.core.batches import RawBatch
from tickhouse.core.errors import Temporary, TickhouseError
from tickhouse.core.inbox import Inbox
from tickhouse.core.line import Health
from tickhouse.journal import Journal
from tickhouse.pipeline import Pipeline
from tickhouse.steps.failover import Failover
from tickhouse.steps.introduce import Introduce
from tickhouse.steps.lines import LineState, lines
from tickhouse.steps.newest import Newest
from tickhouse.steps.poll import Poll
from tickhouse.steps.preferred import in_use
from tickhouse.steps.recent import Recent
from tickhouse.steps.refill import Refill
from tickhouse.steps.regain import Regain
from tickhouse.steps.renew import Renew
from tickhouse.steps.station import Station
from tickhouse.targets.single import Single

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
        self.regain = Regain(paced, pipeline)
        self.introduce = Introduce(pipeline.settings.feeds, pipeline.transport)
        self.renew = Renew(self.ingest.suite, pipeline.transport.renew)
        self.stations: dict[str, Station] = {}
        """The feeds at work."""
        self.failover: Failover | None = None
        """What decides for the groups, once it runs."""
        self.health: dict[str, Health] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ingest")
        self._until: float | None = None
        self._position = 0

    async def run(self, stop: asyncio.Event, listen: bool, fill: bool) -> None:
        """Keep lines open (`listen`) and fill holes (`fill`) until told to stop. Raises what made either fail."""
        await self.introduce.once()
        sources, pumps = self._lines() if listen else ([], [])
        recent = [asyncio.create_task(self._recent(name)) for name in self.paced if listen]
        recent.append(asyncio.create_task(self.introduce.run()))
        if fill:
            sources += [asyncio.create_task(self.refill.run()), asyncio.create_task(self.regain.run())]
        try:
            await _until(stop, [*sources, *pumps])
        finally:
            failed = await self._end([*sources, *recent], pumps)
        if failed:
            raise failed[0]

    async def once(self, stop: asyncio.Event) -> None:
        """One round of every polled feed, see `Single.run`."""
        self.stations = self._stations()
        self.ingest.newest = Newest(self._watched())
        single = Single(self.pipeline.settings, self.stations, self.ingest.newest)
        asking = asyncio.create_task(single.run(self._asked))
        try:
            await _until(stop, [asking])
        finally:
            failed = [*await _ended([asking]), *await self._end([], [])]
        if failed:
            raise failed[0]

    async def _asked(self, polls: Sequence[Poll]) -> list[TickhouseError | None]:
        """Ask once, with all that comes journaled; what went wrong with each."""
        pumps = [asyncio.create_task(self._pump(station.inbox)) for station in self.stations.values()]
        rounds = [asyncio.create_task(poll.once()) for poll in polls]
        try:
            await asyncio.wait(rounds)
        finally:
            await _ended(rounds)
            failed = await _ended(pumps)
        if failed:
            raise failed[0]
        return [one.result() for one in rounds]

    async def _end(self, sources: list[Task], pumps: list[Task]) -> list[Exception]:
        """Stop everything, with what is in the inboxes journaled; returns what tasks ended with."""
        self._until = self.pipeline.clock.monotonic() + PARTING_SECONDS
        ended = await _ended(sources)
        self.health = {**self.pipeline.transport.health, **{poll.line: poll.health for poll in self._polls()}}
        failed = [*ended, *await _ended(pumps)]
        self._writer.shutdown()
        await self.pipeline.transport.close()
        return failed

    async def take(self, batches: Sequence[RawBatch]) -> int:
        """Journal batches, waiting while the journal is busy or its server away; returns the position after them."""
        loop, told = asyncio.get_running_loop(), False
        while True:
            try:
                taken = await loop.run_in_executor(self._writer, self.ingest.take, batches)
                if told:
                    log.info("taking in goes on")
                self._position = taken
                return taken
            except Temporary as busy:
                if self._until is not None and self.pipeline.clock.monotonic() > self._until:
                    log.warning("messages not taken", count=sum(map(len, batches)), reason=str(busy))
                    return self._position
                if not told:
                    log.warning("slowed down", reason=str(busy))
                told = True
                await asyncio.sleep(busy.retry_after or 0.2)

    def _lines(self) -> tuple[list[Task], list[Task]]:
        """Tasks that fill inboxes, and those that empty them."""
        settings, clock = self.pipeline.settings, self.pipeline.clock
        self.stations = stations = self._stations()
        self.ingest.newest = Newest(self._watched())
        self.failover = Failover(settings, stations, self.ingest.newest, clock, in_use(self.pipeline.warm))
        self.failover.regained = self.regain.want
        work = [self._renew(), *(station.run() for station in stations.values())]
        if self.failover.watches:
            work.append(self.failover.run())
        pumps = [asyncio.create_task(self._pump(station.inbox)) for station in stations.values()]
        return [asyncio.create_task(one) for one in work], pumps

    def _watched(self) -> dict[str, frozenset[str]]:
        """The symbols of groups that may be asked of each feed."""
        groups = self.pipeline.settings.groups.values()
        return {name: frozenset(s for g in groups if name in g.feeds for s in g.symbols) for name in self.stations}

    def _polls(self) -> list[Poll]:
        return [station.poll for station in self.stations.values() if station.poll]

    def _stations(self) -> dict[str, Station]:
        """A place for every feed. Raises `SettingsError` for one that cannot be asked for its symbols."""
        pipeline, settings, made = self.pipeline, self.pipeline.settings, dict[str, Station]()
        for name, paced in self.paced.items():
            spare = any(name in group.feeds and len(group.feeds) > 1 for group in settings.groups.values())
            made[name] = Station(
                paced, settings.feeds[name], pipeline.transport, Inbox(name, clock=pipeline.clock), spare=spare,
                before=partial(asyncio.to_thread, _last, pipeline.journal, name),
            )  # fmt: skip
            made[name].check(settings.symbols_of(name))
        return made

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
            symbols, intervals = pipeline.settings.symbols_of(name, first=True), pipeline.settings.process.intervals
            recent = Recent(self.paced[name], pipeline.transport, self.take, pipeline.warm.symbols)
            await recent.run(symbols, intervals, section.recent, pipeline.clock.now())

    async def _renew(self) -> None:
        loop, clock = asyncio.get_running_loop(), self.pipeline.clock
        while True:
            observe.beat("ingest")
            await asyncio.sleep(LOOK_SECONDS)
            silent = await loop.run_in_executor(self._writer, self.renew.due, clock.now())
            self.renew.step(silent, clock.now())


def _last(journal: Journal, name: str) -> LineState | None:
    """How the poll of a feed was last heard of; None where that is not known, as while the journal's server is away."""
    try:
        return lines(journal, name).get(f"{name}-poll")
    except Temporary:
        return None


async def _until(stop: asyncio.Event, tasks: list[Task]) -> None:
    """Wait until told to stop or until a task ends; raises what it ended with."""
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for task in done - {stopped}:
        task.result()


async def _ended(tasks: Sequence[asyncio.Task[Any]]) -> list[Exception]:
    """Cancel tasks and wait until they are done; returns the errors they ended with."""
    for task in tasks:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    return [answer for answer in answers if isinstance(answer, Exception)]
