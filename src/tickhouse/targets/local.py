"""On this machine: sockets on the event loop, each other step in a thread of its own, all over one journal."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence

from tickhouse.core import memory, observe
from tickhouse.core.batches import Output, Record
from tickhouse.core.errors import SettingsError, Temporary
from tickhouse.core.line import Health
from tickhouse.pipeline import Pipeline
from tickhouse.steps.failover import Failover
from tickhouse.steps.hear import Hear
from tickhouse.steps.locks import roles as held
from tickhouse.steps.measure import Measure
from tickhouse.steps.process import Process, Published
from tickhouse.steps.refill import Refill
from tickhouse.steps.shared import Shared
from tickhouse.steps.upkeep import Upkeep, trim_journal, trim_warm
from tickhouse.stores import Remote
from tickhouse.targets.intake import Intake

ROLES = ("ingest", "process", "archive", "serve")
DRAIN_SECONDS = 10.0
"""How long the threads go on with what is journaled when we end; the rest is for the next start."""
TELL_SECONDS = 0.5
WARM_SECONDS, SPARE_SECONDS = 15.0, 20.0
ARCHIVE_SECONDS, BEHIND = 1.0, 10_000
"""How long messages may gather before they are archived together, unless so many wait already."""


class Local:
    """Runs roles of one pipeline until it is told to stop or a step fails; with `once` until each polled feed was asked once."""

    def __init__(self, pipeline: Pipeline, roles: Sequence[str] = ROLES, *, once: bool = False) -> None:
        unknown = set(roles) - set(ROLES)
        if unknown:
            raise SettingsError(f"no role named {', '.join(sorted(unknown))}; the roles are {', '.join(ROLES)}")
        if once and "ingest" not in roles:
            raise SettingsError("a single round is the work of the role ingest; run that role once")
        self.pipeline, self.roles, self.once = pipeline, tuple(dict.fromkeys(roles)), once
        self.publish: list[Published] = []
        self.missed: list[Callable[[], None]] = []
        """Called when changes may have gone by that were not published."""
        self.ready = threading.Event()
        self.process: Process | Shared | None = None
        """The process step, once it runs."""
        self._intake: Intake | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._ending = threading.Event()
        self._failure: BaseException | None = None

    @property
    def refill(self) -> Refill | None:
        """What fills holes, where that is done here: it goes with the role `process`, which knows them."""
        return self._intake.refill if self._intake and "process" in self.roles else None

    @property
    def renewed(self) -> int:
        """How many times a mute symbol was subscribed anew."""
        return self._intake.renew.renewed if self._intake else 0

    @property
    def failover(self) -> Failover | None:
        """What decides which feed of a group is in use, where feeds are listened to here."""
        return self._intake.failover if self._intake else None

    @property
    def health(self) -> Mapping[str, Health]:
        """How each line is, or was when it ended."""
        return (self._intake.health or self.pipeline.transport.health) if self._intake else {}

    def stop(self) -> None:
        """End cleanly: what was received is journaled, processed and archived. Safe from any thread or signal."""
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    def let_go(self) -> None:
        """Have nobody wait any longer for a warm store that may hang, nor for its replicas."""
        for store in (self.pipeline.warm, self.pipeline.shown):
            if isinstance(store, Remote):
                store.cut()

    async def run(self, serve: Callable[[asyncio.Event], Awaitable[None]] | None = None) -> None:
        """Run until `stop`; raises what made a step fail. `serve` runs the surfaces on the same loop."""
        self._loop = asyncio.get_running_loop()
        exclusive = tuple(name for name in self.roles if name != "serve")
        shared = ("process",) if self.pipeline.settings.process.shared else ()
        with held(self.pipeline.settings.data, exclusive, shared):
            if "ingest" in self.roles or "process" in self.roles:
                self._intake = Intake(self.pipeline)
            threads = self._start_threads()
            spare = asyncio.create_task(self._give_back())
            serving = [asyncio.ensure_future(serve(self._stop))] if serve and "serve" in self.roles else []
            for task in serving:
                task.add_done_callback(lambda _: self._stop.set())
            self.ready.set()
            try:
                if self._intake and self.once:
                    await self._intake.once(self._stop)
                elif self._intake:
                    await self._intake.run(self._stop, "ingest" in self.roles, "process" in self.roles)
                else:
                    await self._stop.wait()
            finally:
                self._stop.set()
                self._ending.set()
                spare.cancel()
                await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads), *serving)
        if self._failure:
            raise self._failure

    async def _give_back(self) -> None:
        """Give memory back a while after the start, when kernels are loaded, and then now and again."""
        await asyncio.sleep(WARM_SECONDS)
        while True:
            await asyncio.to_thread(memory.give_back)
            await asyncio.sleep(SPARE_SECONDS)

    def _start_threads(self) -> list[threading.Thread]:
        bodies = {"process": self._process, "archive": self._archive}
        wanted = [bodies[name] for name in self.roles if name in bodies]
        if "serve" in self.roles and "process" not in self.roles:
            wanted.append(self._follow)
        threads = [
            threading.Thread(target=self._guarded, args=(body,), name=body.__name__.strip("_")) for body in wanted
        ]
        for thread in threads:
            thread.start()
        return threads

    def _guarded(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:
            if isinstance(error, Temporary) and self._ending.is_set():
                if body == self._archive:
                    observe.tell("lake", "the rest is archived at the next start", logging.WARNING, reason=str(error))
                    return
                if body == self._process:
                    error = Temporary(f"{error}; what is not stored is processed again at the next start")
                    self.let_go()
            self._failure = self._failure or error
            self.stop()

    def _process(self) -> None:
        pipeline = self.pipeline
        process = self.process = pipeline.process(ended=self._ending, member=True)
        process.publish = self._published
        if self._intake:
            self._intake.regain.leads = lambda: process.leads
        trim = Upkeep(pipeline.clock, trim_warm(process.warm, pipeline.settings.warm))
        holes = Upkeep(pipeline.clock, lambda now: self._tell_holes(process), TELL_SECONDS)
        measure = Measure(pipeline, process.warm)
        while not self._ending.is_set():
            observe.beat("process")
            process.step()
            holes.step()
            for work in (measure, trim) if process.leads else ():
                work.step()
        process.catch_up(DRAIN_SECONDS)
        process.close()

    def _tell_holes(self, process: Process | Shared) -> None:
        if self.refill and process.caught_up:
            self.refill.want(process.open_holes(), process.position)

    def _follow(self) -> None:
        pipeline = self.pipeline
        hear = Hear(pipeline, lambda: pipeline.process(write=False, ended=self._ending), self._published, self._missed)
        while not self._ending.is_set():
            observe.beat("serve")
            hear.step()
        hear.close()

    def _archive(self) -> None:
        archive = self.pipeline.archive(self._ending)
        trim = Upkeep(self.pipeline.clock, trim_journal(self.pipeline.journal))
        while not self._ending.is_set():
            observe.beat("archive")
            if archive.step() < BEHIND:
                self._ending.wait(ARCHIVE_SECONDS)
            trim.step()
        archive.catch_up(DRAIN_SECONDS)

    def _published(self, records: Sequence[Record], output: Output) -> None:
        for publish in self.publish:
            publish(records, output)

    def _missed(self) -> None:
        for missed in self.missed:
            missed()
