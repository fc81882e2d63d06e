"""One run of a pipeline at a terminal: starts it, shows how it goes, ends it cleanly, sums it up."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import uvloop

from tickhouse.core.clock import SystemClock
from tickhouse.core.settings import Settings, guard_public
from tickhouse.pipeline import Pipeline
from tickhouse.steps.read import Reader
from tickhouse.steps.stats import Stats
from tickhouse.targets.local import Local

TURN_SECONDS = 0.0005
"""How long a thread may keep the interpreter while another waits: a message passes through four threads on its way to a screen."""


class Session:
    """Runs roles of a house until told to stop, for a time or by a signal."""

    def __init__(self, settings: Settings, roles: Sequence[str], quiet: bool = False, *, once: bool = False) -> None:
        guard_public(settings.serve)
        self.settings, self.quiet = settings, quiet
        self.pipeline = Pipeline(settings)
        self.reader = Reader(self.pipeline)
        self.stats = Stats(SystemClock())
        self.local = Local(self.pipeline, roles, once=once)
        self.local.publish += [self.stats.published, self.reader.published]
        self.address: str | None = None

    def run(self, seconds: float | None = None) -> dict[str, Any]:
        """Run and return the summary. Raises what made a step fail."""
        from tickhouse.core.observe import setup

        calm = {"level": "warning"} if self._live() or self.quiet else {}
        setup(self.settings.log.model_copy(update=calm))
        sys.setswitchinterval(TURN_SECONDS)
        try:
            return uvloop.run(self._run(seconds))
        finally:
            self.pipeline.close()

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
        return self.summary()

    async def _serve(self, stop: asyncio.Event) -> None:
        from tickhouse.surfaces.entry import serve

        def listening(address: str) -> None:
            self.address = address
            if not self._live() and not self.quiet:
                sys.stderr.write(f"pages and API on {address}\n")

        await serve(self.reader, self.settings.serve, stop, listening)

    async def _watch(self) -> None:
        if not self._live():
            return
        from tickhouse.cli.panel import show

        await show(self)

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
