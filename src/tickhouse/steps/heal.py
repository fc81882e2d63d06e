"""What was refused, parsed again after a fix of the parser or of the settings."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter

from tickhouse.core.batches import LIVE, REFILL, Entry, RawBatch
from tickhouse.core.clock import Clock
from tickhouse.core.errors import SettingsError
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.model import Kind
from tickhouse.feeds import Feed
from tickhouse.journal import Quarantined
from tickhouse.steps.ingest import Ingest

HEALED = "healed"
"""The detail of the marks around healed messages: what is between them is in the journal a second time."""
PAGE = 1000


@dataclass(slots=True)
class Healing:
    """What became of the messages in quarantine: how many there were, how many were taken in, and why the others were not."""

    seen: int = 0
    healed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By the reason that quarantine has."""
    unread: Counter[str] = field(default_factory=Counter)
    """By a sentence on why nobody could parse them."""


class Heal:
    """Parses quarantined messages again, by the feed of their source or by the layout of their file.

    What is good now leaves quarantine and is journaled once more: messages of a load in a lane of their own, at whose end the
    bars they touch are made again; those of a live line like a refill.
    """

    def __init__(self, ingest: Ingest, clock: Clock) -> None:
        self.ingest, self.clock = ingest, clock

    def run(self, page: int = PAGE) -> Healing:
        """Try everything in quarantine, `page` messages at a time."""
        done, after = Healing(), -1
        while items := self.ingest.journal.quarantine(None, page, after):
            after = items[-1].position
            for lane, alike in self._alike(items):
                self._try(lane, alike, done)
        return done

    def _alike(self, items: Sequence[Quarantined]) -> Iterator[tuple[str, list[Quarantined]]]:
        """The messages of each lane and channel. One of an older house that nobody else has any more is taken to be live."""
        lanes: dict[int, str] = {}
        by_source = attrgetter("source")
        for source, some in groupby(sorted((i for i in items if not i.lane), key=by_source), by_source):
            lanes |= self.ingest.lanes.of(source, [item.position for item in some])

        def about(item: Quarantined) -> tuple[str, str, str]:
            return item.source, item.lane or lanes.get(item.position, LIVE), item.channel

        for (_, lane, _), alike in groupby(sorted(items, key=about), about):
            yield lane, list(alike)

    def _try(self, lane: str, items: list[Quarantined], done: Healing) -> None:
        done.seen += len(items)
        try:
            feed = self.ingest.lanes.feed(items[0].source, lane)
        except SettingsError as unknown:
            done.unread[str(unknown)] += len(items)
            return
        good, entry = self._good(feed, lane, items)
        done.healed += len(good)
        done.refused.update(Counter(item.reason for item in items) - Counter(item.reason for item in good))
        if entry is not None:
            new = REFILL if lane in (LIVE, REFILL) else f"{lane}:{HEALED}"
            begin, end = (self._mark(event, entry.raw.source, new, len(good)) for event in (Event.BEGIN, Event.END))
            self.ingest.journal.heal([item.position for item in good], [begin, _moved(entry, new), end])

    def _good(self, feed: Feed, lane: str, items: list[Quarantined]) -> tuple[list[Quarantined], Entry | None]:
        """Those of the messages that nothing is wrong with, and what they mean."""
        while items:
            source, channel = items[0].source, items[0].channel
            received = [item.received_at for item in items]
            raw = RawBatch.of(source, channel, [item.payload for item in items], received, lane)
            entry = self.ingest.checked(raw, feed.parse(raw))
            bad = {reject.index for reject in entry.rejects} | set((entry.kinds == Kind.REJECTED).nonzero()[0].tolist())
            if not bad:
                return items, entry
            items = [item for index, item in enumerate(items) if index not in bad]
        return [], None

    def _mark(self, event: Event, source: str, lane: str, count: int) -> Entry:
        now = self.clock.now()
        mark = Mark(event, at=now, detail={HEALED: str(count)})
        return self.ingest.entry(RawBatch.of(source, LINK, [mark.encode()], now, lane))


def _moved(entry: Entry, lane: str) -> Entry:
    ticks = replace(entry.ticks, lane=lane) if entry.ticks is not None else None
    return replace(entry, raw=replace(entry.raw, lane=lane), ticks=ticks)
