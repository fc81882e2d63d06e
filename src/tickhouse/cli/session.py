"""One run of a pipeline at a terminal: starts it, shows how it goes, ends it cleanly, sums it up."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, TextIO, cast

import uvloop

from tickhouse.cli.outages import Outages
from tickhouse.core import observe
from tickhouse.core.clock import SystemClock
from tickhouse.core.errors import Unreachable
from tickhouse.core.settings import Settings, guard_public
from tickhouse.pipeline import Pipeline
from tickhouse.steps import chosen
from tickhouse.steps.read import Reader
from tickhouse.steps.stats import Stats
from tickhouse.targets import metrics
from tickhouse.targets.local import Local

TURN_SECONDS = 0.0005
"""How long a thread may keep the interpreter while another waits: a message passes through four threads on its way to a screen."""
SUMMARY_SECONDS = 10.0
"""How long a store may take to say what was done."""


class Late:
    """Standard error as it is at the moment of writing, so that what is logged goes above the panel and not through it."""

    def write(self, text: str) -> int:
        """Write."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Let it out."""
        sys.stderr.flush()

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return sys.stderr.isatty()


class Session:
    """Runs roles of a house until told to stop, for a time or by a signal."""

    def __init__(self, settings: Settings, roles: Sequence[str], quiet: bool = False, *, once: bool = False) -> None:
        guard_public(settings.serve)
        chosen.check(settings)
        self.settings, self.quiet = settings, quiet
        self.pipeline = Pipeline(settings)
        try:
            self._begin(roles, once)
        except BaseException:
            self.pipeline.close()
            raise
        self.address: str | None = None

    def _begin(self, roles: Sequence[str], once: bool) -> None:
        """Everything beside the house. Settings that do not fit what it has are refused before anything is bound or journaled."""
        if {"process", "serve"} & set(roles):
            self.pipeline.check()
        self.reader = Reader(self.pipeline)
        self.stats = Stats(SystemClock())
        self.local = Local(self.pipeline, roles, once=once)
        self.local.publish += [self.stats.published, self.reader.published]
        self.local.missed += [self.reader.missed]

    def run(self, seconds: float | None = None) -> dict[str, Any]:
        """Run and return the summary. Raises what made a step fail."""
        sys.setswitchinterval(TURN_SECONDS)
        try:
            with self._told(), metrics.serving(self.settings.metrics) as address:
                if address:
                    self._say(f"metrics on {address}")
                return uvloop.run(self._run(seconds))
        finally:
            self.pipeline.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Log to standard error while the block lasts; outages are told in sentences where people read."""
        before = observe.hooks
        calm = {"level": "warning"} if self._live() or self.quiet else {}
        observe.setup(self.settings.log.model_copy(update=calm), cast(TextIO, Late()))
        if self.settings.log.format == "console":
            outages = Outages(observe.log_event, self._outage)
            observe.hooks = tuple(outages if hook is observe.log_event else hook for hook in observe.hooks)
        try:
            yield
        finally:
            observe.hooks = before

    @property
    def never_connected(self) -> bool:
        """Whether there are lines and none of them was ever up."""
        lines = self.local.health.values()
        return bool(lines) and not any(line.connections for line in lines)

    async def _run(self, seconds: float | None) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.local.stop)
        if seconds is not None:
            loop.call_later(seconds, self.local.stop)
        watch = asyncio.create_task(self._watch())
        try:
            await self.local.run(self._serve)
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        return await self._summed()

    async def _summed(self) -> dict[str, Any]:
        """The summary. Raises `Unreachable` where a store has no answer in time."""
        try:
            return await asyncio.wait_for(asyncio.to_thread(self.summary), SUMMARY_SECONDS)
        except TimeoutError:
            self.local.let_go()
            said = f"the stores have not answered for {SUMMARY_SECONDS:g} s, so it is not told what was done; nothing is lost"
            raise Unreachable(said) from None

    async def _serve(self, stop: asyncio.Event) -> None:
        from tickhouse.surfaces.entry import serve

        def listening(address: str) -> None:
            self.address = address
            self._say(f"pages and API on {address}")

        await serve(self.reader, self.settings.serve, stop, listening)

    async def _watch(self) -> None:
        if not self._live():
            return
        from tickhouse.cli.panel import show

        await show(self)

    def _outage(self, sentence: str) -> None:
        if not self._live():  # the panel shows it
            sys.stderr.write(f"{sentence}\n")

    def _say(self, sentence: str) -> None:
        if not self._live() and not self.quiet:
            sys.stderr.write(f"{sentence}\n")

    def _live(self) -> bool:
        return not self.quiet and sys.stdout.isatty()

    def summary(self) -> dict[str, Any]:
        """What was done, with the ledger of the house."""
        status = self.reader.status()
        lines = [asdict(health) for health in self.local.health.values()]
        refilled = self.local.refill.filled if self.local.refill else 0
        return {
            **self.stats.summary(), "refilled": refilled, "ledger": status["ledger"], "simulated": status["simulated"],
            "house": status["house"], "address": self.address, "lines": lines,
        }  # fmt: skip
