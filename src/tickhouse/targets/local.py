"""On this machine: sockets on the event loop, each other step in a thread of its own, all over one journal."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from tickhouse.core.batches import Output, RawBatch, Record
from tickhouse.core.errors import Busy, SettingsError
from tickhouse.core.inbox import Inbox
from tickhouse.core.line import Health
from tickhouse.core.model import Hole, Want
from tickhouse.pipeline import Pipeline
from tickhouse.steps.ingest import Ingest
from tickhouse.steps.locks import roles as held
from tickhouse.steps.measure import Measure
from tickhouse.steps.process import Published
from tickhouse.steps.refill import Refill, Take

log = structlog.get_logger()

ROLES = ("ingest", "process", "archive", "serve")
DRAIN_SECONDS = 30.0


class Local:
    """Runs roles of one pipeline until it is told to stop or a step fails."""

    def __init__(self, pipeline: Pipeline, roles: Sequence[str] = ROLES) -> None:
        unknown = set(roles) - set(ROLES)
        if unknown:
            raise SettingsError(f"no role named {', '.join(sorted(unknown))}; the roles are {', '.join(ROLES)}")
        self.pipeline, self.roles = pipeline, tuple(roles)
        self.publish: list[Published] = []
        self.health: dict[str, Health] = {}
        self.refill: Refill | None = None
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._ending = threading.Event()
        self._failure: BaseException | None = None

    def stop(self) -> None:
        """End cleanly: what was received is journaled, processed and archived. Safe from any thread or signal."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._stop.set)

    async def run(self, serve: Callable[[asyncio.Event], "asyncio.Future[None]"] | None = None) -> None:
        """Run until `stop`; raises what made a step fail. `serve` runs the surfaces on the same loop."""
        self._loop = asyncio.get_running_loop()
        exclusive = tuple(name for name in self.roles if name != "serve")
        with held(self.pipeline.settings.data, exclusive):
            threads = self._start_threads()
            serving = [asyncio.ensure_future(serve(self._stop))] if serve and "serve" in self.roles else []
            try:
                if "ingest" in self.roles:
                    await self._ingest()
                else:
                    self.ready.set()
                    await self._stop.wait()
            finally:
                self._stop.set()
                self._ending.set()
                await asyncio.gather(*(asyncio.to_thread(t.join, DRAIN_SECONDS) for t in threads), *serving)
        if self._failure:
            raise self._failure

    async def _ingest(self) -> None:
        pipeline = self.pipeline
        ingest = pipeline.ingest()
        writer = ThreadPoolExecutor(1, thread_name_prefix="ingest")

        async def take(batches: Sequence[RawBatch]) -> None:
            await self._take(ingest, writer, batches)

        paced = {name: (feed, pipeline.settings.feeds[name].paced(feed.pace)) for name, feed in pipeline.feeds.items()}
        self.refill = Refill(paced, pipeline.transport, take, pipeline.clock)
        streams, pumps = [asyncio.create_task(self.refill.run())], []
        for name, feed in pipeline.feeds.items():
            section = pipeline.settings.feeds[name]
            inbox = Inbox(name, clock=pipeline.clock)
            pumps.append(asyncio.create_task(self._pump(inbox, take)))
            for number, subscription in enumerate(feed.subscriptions(Want(tuple(section.symbols), section.channel))):
                streams.append(asyncio.create_task(pipeline.transport.stream(subscription, inbox, line=f"{name}-{number}")))
        self.ready.set()
        try:
            await self._until_stopped([*streams, *pumps])
        finally:
            self.health = dict(pipeline.transport.health)
            await _ended(streams)
            await _ended(pumps)
            writer.shutdown()
            await pipeline.transport.close()

    async def _until_stopped(self, tasks: list["asyncio.Task[None]"]) -> None:
        stopped = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        for task in done - {stopped}:
            task.result()

    async def _pump(self, inbox: Inbox, take: Take) -> None:
        work: asyncio.Future[None] | None = None
        try:
            while True:
                work = asyncio.ensure_future(take(await inbox.take()))
                await asyncio.shield(work)
        finally:
            if work and not work.done():
                await work
            if rest := inbox.drain():
                await take(rest)

    async def _take(self, ingest: Ingest, writer: ThreadPoolExecutor, batches: Sequence[RawBatch]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.run_in_executor(writer, ingest.take, batches)
                return
            except Busy as busy:
                log.warning("slowed down", reason=str(busy))
                await asyncio.sleep(busy.retry_after or 0.2)

    def _start_threads(self) -> list[threading.Thread]:
        bodies = {"process": self._process, "archive": self._archive}
        wanted = [bodies[name] for name in self.roles if name in bodies]
        if "serve" in self.roles and "process" not in self.roles:
            wanted.append(self._follow)
        threads = [threading.Thread(target=self._guarded, args=(body,), name=body.__name__.strip("_")) for body in wanted]
        for thread in threads:
            thread.start()
        return threads

    def _guarded(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:
            self._failure = self._failure or error
            self.stop()

    def _process(self) -> None:
        process = self.pipeline.process()
        process.publish = self._published
        measure = Measure(self.pipeline)
        while not self._ending.is_set():
            process.step()
            measure.step()
        process.catch_up()

    def _follow(self) -> None:
        process = self.pipeline.process()
        process.write, process.publish = False, self._published
        while not self._ending.is_set():
            process.step()

    def _archive(self) -> None:
        archive = self.pipeline.archive()
        while not self._ending.is_set():
            archive.step()
        archive.catch_up()

    def _published(self, records: Sequence[Record], output: Output) -> None:
        for publish in self.publish:
            publish(records, output)
        if output.holes and self.refill and self._loop:
            self._loop.call_soon_threadsafe(self._want, list(output.holes))

    def _want(self, holes: list[Hole]) -> None:
        if self.refill:
            self.refill.want(holes)


async def _ended(tasks: list["asyncio.Task[None]"]) -> None:
    """Cancel tasks and wait until they are done; what they raise on the way has been seen before."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
