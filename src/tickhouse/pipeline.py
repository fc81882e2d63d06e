"""The whole flow on one screen: what is joined to what.

feeds ─▶ ingest ─▶ journal ─┬▶ process ─▶ stores ─▶ surfaces
                            └▶ archive ─▶ lake
"""

from collections.abc import Mapping
from contextlib import ExitStack, closing
from functools import cached_property
from threading import Event
from typing import TYPE_CHECKING

from tickhouse.core.clock import Clock, SystemClock
from tickhouse.core.plugins import open_url
from tickhouse.core.settings import Settings
from tickhouse.core.shards import Shard
from tickhouse.feeds import Feed
from tickhouse.process import Engine
from tickhouse.quality._suite import Suite
from tickhouse.steps import chosen
from tickhouse.steps.archive import Archive
from tickhouse.steps.awaited import awaited_lake, awaited_warm
from tickhouse.steps.ingest import Ingest
from tickhouse.steps.lanes import Lanes
from tickhouse.steps.notes import label, made, must_be_whole
from tickhouse.steps.past import Past
from tickhouse.steps.process import Process
from tickhouse.steps.publish import Publishing
from tickhouse.steps.shared import Shared, check, shards

if TYPE_CHECKING:
    from tickhouse.core.transport import Transport


class Pipeline:
    """One house, opened: each backend by the URL in the settings, each step when it is asked for.

    `shown` is the store `warm` for those who only show it: a replica may answer, which lags.
    """

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings, self.clock = settings, clock or SystemClock()
        made(settings.data)
        must_be_whole(settings)
        with ExitStack() as opened:
            self.journal = opened.enter_context(closing(chosen.journal(settings)))
            self.lake = open_url("lake", settings.lake_url, **settings.lake.key())
            self.warm = open_url("stores", settings.warm_url)
            opened.callback(self.warm.close)
            self.shown = opened.enter_context(closing(chosen.shown(self.warm, settings)))
            self.hot = open_url("stores", settings.hot_url)
            opened.callback(self.hot.close)
            self._opened = opened.pop_all()
        self.past = Past(self.journal, self.lake, self.warm)
        self.publishing = Publishing(self.journal, self.warm, settings.journal.publish)
        self._opened.callback(self.publishing.close)

    @cached_property
    def feeds(self) -> Mapping[str, Feed]:
        """Every feed of the settings, by name."""
        return chosen.feeds(self.settings)

    @cached_property
    def transport(self) -> "Transport":
        """The one way to the network."""
        from tickhouse.core.transport import Transport

        return Transport(self.clock, budget_dir=self.settings.data, simulated=lambda: label(self.settings.data))

    def suite(self) -> Suite:
        """The quality checks of the settings, with a memory of their own."""
        return chosen.suite(self.settings)

    def engine(self, past: Past | None = None) -> Engine:
        """A new engine with the rules of the settings and an empty state; `past` is what it looks up, else that of the house."""
        from tickhouse.process.analysis import Analysis
        from tickhouse.process.engines.embedded import Embedded

        past = past or self.past
        analysis = Analysis(chosen.indicators(self.settings), chosen.detectors(self.settings), past)
        return Embedded(chosen.engine_rules(self.settings, self.feeds), analysis, past)

    def ingest(self, extra: Mapping[str, Feed] | None = None, past: Past | None = None) -> Ingest:
        """The step from raw messages to the journal; `extra` are feeds that are not in the settings, such as a file's.

        `past` is that of the house whose messages are taken in again, where it is another one.
        """
        lanes = Lanes(self.feeds, past or self.past, extra)
        return Ingest(lanes, self.suite(), self.journal)

    def process(self, write: bool = True, ended: Event | None = None, member: bool = False) -> Process | Shared:
        """The step from the journal to the stores, gone on from its last checkpoint; one that only follows does not `write`.

        Where the ticks are shared, a `member` has those of its shards, else it has all. A warm store or a lake that is away is
        waited for, until `ended`.
        """
        ended = ended or Event()
        warm = awaited_warm(self.warm, ended)
        past = Past(self.journal, awaited_lake(self.lake, ended), warm)

        def made(shard: Shard | None) -> Process:
            store = self.publishing.behind(warm, shard) if write else warm
            process = Process(self.journal, self.engine(past), store, self.hot, self.suite(), self.clock)
            process.write, process.shard = write, shard
            process.checkpoint_seconds = self.settings.process.checkpoint_every
            process.keep_ticks(self.settings.warm.keep_ticks if write else 0)
            process.recover()
            return process

        return Shared(self.journal, warm, made, member) if shards(self.settings, self.journal) else made(None)

    def check(self) -> None:
        """Raise `SettingsError` when what is processed already was processed with other settings than these."""
        check(self.warm, shards(self.settings, self.journal), self.engine)

    def archive(self, ended: Event | None = None) -> Archive:
        """The step from the journal to the lake, which is waited for while it is away, until `ended`."""
        from tickhouse.lake.rolling import Roller

        rules, most = self.settings.lake, self.settings.journal.max_bytes
        # An open run holds the journal back, so it must be much smaller than what may wait there.
        roll_bytes = min(rules.roll_bytes, most // 8) if most else rules.roll_bytes
        lake = awaited_lake(self.lake, ended or Event())
        return Archive(self.journal, lake, Roller(roll_bytes, rules.roll_after, lake))

    def close(self) -> None:
        """Let go of every backend."""
        self._opened.close()
