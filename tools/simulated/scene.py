"""A house with polled feeds over a real local server, on a timeline."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tickhouse.core import observe
from tickhouse.core.inbox import Inbox
from tickhouse.core.marks import LINK, Mark, decode
from tickhouse.core.model import Query
from tickhouse.core.retry import Retry
from tickhouse.core.settings import load
from tickhouse.core.transport import Transport, TransportOptions
from tickhouse.pipeline import Pipeline
from tickhouse.steps.lines import lines
from tickhouse.steps.opening import Opening
from tickhouse.steps.poll import Poll, Wish
from tools.simulated.site import response, site
from tools.simulated.timeline import Timeline, text

MANY = 500
"""So many messages are journaled together."""
Reply = Callable[[str, int], Any]
"""Called with a request and the moment (us): the body as a value, bytes of a whole answer, or what can be awaited for either."""


@dataclass
class Provider:
    """One provider of a scene: its section of the settings, what it answers, and when it was asked what."""

    name: str
    section: dict[str, Any]
    reply: Reply
    asked: list[tuple[int, str]] = field(default_factory=list)

    @property
    def times(self) -> list[str]:
        """When it was asked."""
        return [text(at) for at, _ in self.asked]


class Scene:
    """A house with polled feeds on a timeline. `start` and `stop` are those of a process: the house stays."""

    def __init__(self, folder: Path, timeline: Timeline, *providers: Provider) -> None:
        self.folder, self.timeline, self.providers = folder, timeline, providers
        self.told: list[observe.Event] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.polls: dict[str, Poll] = {}
        self.groups: dict[str, Any] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Scene"]:
        """Servers and a first process."""
        hooks, observe.hooks = observe.hooks, (self.told.append,)
        sites = [site(self._script(provider)) for provider in self.providers]
        urls = [(await one.__aenter__()).url for one in sites]
        feeds = {p.name: {**p.section, "url": url} for p, url in zip(self.providers, urls, strict=True)}
        self.settings = load(
            None,
            self.folder,
            feeds=feeds,
            groups=self.groups,
            process={"intervals": ["1m"]},
            journal={"durability": "normal"},
        )
        try:
            self.start()
            yield self
        finally:
            await self.stop()
            for one in sites:
                await one.__aexit__(None, None, None)
            observe.hooks = hooks

    def start(self) -> None:
        """Begin to poll."""
        clock, sleep = self.timeline.clock, self.timeline.sleep
        self.pipeline = Pipeline(self.settings, clock)
        options = TransportOptions(retry=Retry(attempts=3, first=1.0))
        self.pipeline.transport = Transport(clock, self.folder, options, sleep=sleep)  # type: ignore[misc]
        self.ingest, self.inboxes = self.pipeline.ingest(), []
        for name, feed in self.pipeline.feeds.items():
            section, inbox = self.settings.feeds[name], Inbox(name, clock=clock)
            opening = Opening(section.symbols, section.market or feed.about.market, always=section.closed)
            wish = Wish(section.symbols, section.channel or feed.channel, section.every or 60.0, opening)
            before = lines(self.pipeline.journal, name).get(f"{name}-poll")
            paced = feed, section.paced(feed.pace)
            poll = self.polls[name] = Poll(paced, wish, self.pipeline.transport, inbox, before, sleep=sleep)
            self.inboxes.append(inbox)
            self.tasks.append(asyncio.create_task(poll.run()))
        self.timeline.actors = len(self.tasks)

    async def until(self, moment: str) -> None:
        """Poll until a moment."""
        await self.timeline.until(moment, self._look)
        self._drain()

    async def stop(self) -> None:
        """End at once, as a kill does: nothing more is written."""
        for task in self.tasks:
            task.cancel()
        results = await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks, failed = [], [r for r in results if isinstance(r, Exception)]
        if hasattr(self, "pipeline"):
            await self.pipeline.transport.close()
            self.pipeline.close()
        if failed:
            raise failed[0]

    def _look(self) -> None:
        for task in self.tasks:
            if task.done():
                task.result()
        if max(inbox.depth for inbox in self.inboxes) > MANY:
            self._drain()

    def _drain(self) -> None:
        for inbox in self.inboxes:
            if batches := inbox.drain():
                self.ingest.take(batches)

    def _script(self, provider: Provider) -> Callable[[int, str], Any]:
        async def answer(_: int, request: str) -> bytes | None:
            now = self.timeline.clock.now()
            provider.asked.append((now, request.split()[1]))
            said = provider.reply(request.split()[1], now)
            said = await said if asyncio.iscoroutine(said) else said
            return said if isinstance(said, bytes) else response(200, json.dumps(said).encode())

        return answer

    def marks(self, source: str) -> list[Mark]:
        """All evidence of a source, oldest first."""
        records = self.pipeline.journal.read("raw", 0, 1 << 30)
        raws = [r.raw for r in records if r.raw is not None and (r.source, r.channel) == (source, LINK)]
        return [decode(payload) for raw in raws for payload in raw.payloads()]

    def processed(self) -> "Scene":
        """With everything journaled in the stores."""
        self.pipeline.process().catch_up()
        return self

    def coverage(self, symbol: str) -> list[tuple[str, str, str]]:
        """The stretches of a symbol: from, to, state."""
        rows = self.pipeline.warm.coverage(Query((symbol,))).to_pylist()
        return [(f"{row['start']:%m-%d %H:%M}", f"{row['end']:%m-%d %H:%M}", row["state"]) for row in rows]

    def said(self, name: str) -> list[dict[str, Any]]:
        """The facts of all events of a name."""
        return [dict(event.facts) for event in self.told if event.name == name]
