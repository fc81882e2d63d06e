"""A group of polled feeds on a timeline: stations, the decision, ingest, engine and reader, as they run."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

from tools.simulated.scene import Provider, Scene
from tools.simulated.timeline import Timeline, us

from tickhouse.core.clock import SECOND
from tickhouse.core.inbox import Inbox
from tickhouse.core.model import Query
from tickhouse.core.retry import Retry
from tickhouse.core.transport import Transport, TransportOptions
from tickhouse.journal import Journal
from tickhouse.pipeline import Pipeline
from tickhouse.steps.failover import Failover
from tickhouse.steps.lines import LineState, lines
from tickhouse.steps.newest import Newest
from tickhouse.steps.preferred import in_use
from tickhouse.steps.read import Reader
from tickhouse.steps.station import Station


async def _before(journal: Journal, name: str) -> LineState | None:
    return lines(journal, name).get(f"{name}-poll")


GROUP = {"symbols": ["BTC-USD"], "switch_after": "10s", "return_after": "2m", "stale_after": "30s", "every": "15s"}


class GroupScene(Scene):
    """A scene whose feeds are asked by a group, in the order of the providers."""

    def __init__(self, folder: Path, timeline: Timeline, *providers: Provider, **group: Any) -> None:
        super().__init__(folder, timeline, *providers)
        self.groups = {"coins": {**GROUP, "feeds": [one.name for one in providers], **group}}

    def start(self) -> None:
        clock, sleep = self.timeline.clock, self.timeline.sleep
        self.pipeline = Pipeline(self.settings, clock)
        options = TransportOptions(retry=Retry(attempts=1, first=1.0))
        self.pipeline.transport = Transport(clock, self.folder, options, sleep=sleep)  # type: ignore[misc]
        self.ingest, self.stations = self.pipeline.ingest(), {}
        journal, settings = self.pipeline.journal, self.settings
        for name, feed in self.pipeline.feeds.items():
            section, inbox = settings.feeds[name], Inbox(name, clock=clock)
            self.stations[name] = Station(
                (feed, section.paced(feed.pace)), section, self.pipeline.transport, inbox, spare=True, sleep=sleep,
                before=partial(_before, journal, name),
            )  # fmt: skip
        self.inboxes = [station.inbox for station in self.stations.values()]
        watched = frozenset(settings.groups["coins"].symbols)
        self.ingest.newest = Newest(dict.fromkeys(self.stations, watched))
        self.failover = Failover(settings, self.stations, self.ingest.newest, clock, in_use(self.pipeline.warm))
        self.tasks = [asyncio.create_task(station.run()) for station in self.stations.values()]
        self.tasks.append(asyncio.create_task(self._decide()))
        self.used: list[tuple[int, str]] = []

    async def _decide(self) -> None:
        while True:
            await self.failover.look()
            active = self.failover.watches[0].active
            if not self.used or self.used[-1][1] != active:
                self.used.append((self.timeline.clock.now(), active))
            await self.timeline.sleep(1)

    def _look(self) -> None:
        super()._look()
        if any(inbox.depth for inbox in self.inboxes):
            self._drain()
        self.timeline.actors = 1 + sum(station.poll is not None for station in self.stations.values())

    def switches(self) -> list[tuple[str, str, str]]:
        """From, to and why of each switch that is stored."""
        rows = self.pipeline.warm.switches(Query()).to_pylist()
        return [(row["from_source"], row["to_source"], row["reason"]) for row in rows]

    def bars(self, source: str | None = None) -> list[dict[str, Any]]:
        """Bars of the symbol as a reader is told, closed ones, oldest first."""
        return Reader(self.pipeline).bars(Query(("BTC-USD",), "1m", source)).to_pylist()

    def coverage_of(self, source: str) -> list[tuple[str, str, str]]:
        """The stretches of one source: from, to, state."""
        rows = self.pipeline.warm.coverage(Query(("BTC-USD",), source=source)).to_pylist()
        return [(f"{row['start']:%m-%d %H:%M}", f"{row['end']:%m-%d %H:%M}", row["state"]) for row in rows]

    def status(self) -> dict[str, Any]:
        """The status of the house."""
        return Reader(self.pipeline).status()

    def seconds_after(self, moment: str) -> list[tuple[float, str]]:
        """When which feed was in use, in seconds after a moment."""
        return [((at - us(moment)) / SECOND, feed) for at, feed in self.used]
