"""What the house remembers of messages and ticks: the journal for what is recent, the lake for what the journal let go."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from tickhouse.core.batches import RawBatch, TickBatch
from tickhouse.core.marks import LINK, Event, Mark, decode
from tickhouse.core.model import Query
from tickhouse.journal import Journal
from tickhouse.lake import Lake
from tickhouse.steps.archive import GROUP as ARCHIVE
from tickhouse.stores import Warm

FOREVER = 1 << 62
Found = tuple[int, RawBatch, int]
"""A position, a raw batch that holds it, and its index there."""


class Past:
    """Answers the engine's and the readers' questions about what was before (the `History` of `process`)."""

    def __init__(self, journal: Journal, lake: Lake, warm: Warm) -> None:
        self.journal, self.lake, self.warm = journal, lake, warm

    def bars(self, query: Query) -> pa.Table:
        """Stored bars."""
        return self.warm.bars(query)

    def indicators(self, query: Query) -> pa.Table:
        """Stored indicator rows."""
        return self.warm.indicators(query)

    def anomalies(self, query: Query) -> pa.Table:
        """Stored anomalies."""
        return self.warm.anomalies(query)

    def ticks(
        self, source: str, symbol: str, start: int, end: int, before: int | None = None, first: int = 0
    ) -> Sequence[TickBatch]:
        """All ticks of a symbol with event times in [start, end) and positions from `first` to below `before`, by position."""
        kept = [record for record in self.journal.window(source, symbol, start, end) if record.ticks is not None]
        # Asked after the journal was read: what it let go meanwhile is in the lake.
        begin, until = self.journal.begin(), FOREVER if before is None else before
        batches = list(self.lake.ticks(source, symbol, start, end, first, min(begin, until) - 1)) if begin else []
        recent = [_only(r.ticks, symbol, start, end) for r in kept if r.ticks is not None and r.first >= begin]
        batches += [batch.take((batch.raw >= first) & (batch.raw < until)) for batch in recent]
        return [batch for batch in batches if len(batch)]

    def messages(self, source: str, positions: Sequence[int]) -> Iterator[Found]:
        """Messages of a source at positions, which rise; those that nobody has any more are left out."""
        begin = self.journal.begin()
        old = [position for position in positions if position < begin]
        if old:
            yield from self._archived(source, old)
        held: RawBatch | None = None
        for position in positions[len(old) :]:
            if held is None or not _holds(held, position):
                records = self.journal.read("raw", position, max_messages=1)
                held = records[0].raw if records else None
            if held is not None and _holds(held, position):
                yield position, held, position - held.first

    def _archived(self, source: str, positions: Sequence[int]) -> Iterator[Found]:
        """Messages from the lake; each object that may hold one of them is read once."""
        near = self.lake.objects("bronze", source, positions[0], positions[-1])
        waiting = sorted(near, key=lambda o: o.first, reverse=True)
        opened: list[_Reading] = []
        for position in positions:
            while waiting and waiting[-1].first <= position:
                item = waiting.pop()
                if item.last >= position:
                    opened.append(_Reading(self.lake.read(item)))
            found = next((held for one in opened if (held := one.at(position)) is not None), None)
            opened = [one for one in opened if one.held is not None]
            if found is not None:
                yield position, found, position - found.first

    def begun(self, source: str, lane: str) -> Mark | None:
        """The mark that a load of a source began with."""
        return next((mark for _, name, mark in self.begins(source) if name == lane), None)

    def begins(self, source: str | None = None) -> Iterator[tuple[str, str, Mark]]:
        """The marks that lanes began with, of one source or all, each with its source and lane."""
        for raw in self._links(source):
            for mark in map(decode, raw.payloads()):
                if mark.event is Event.BEGIN:
                    yield raw.source, raw.lane, mark

    def _links(self, source: str | None) -> Iterator[RawBatch]:
        """Marks: those in the lake, then those that are not archived yet."""
        for item in self.lake.objects("bronze", source, channel=LINK):
            yield from self.lake.read(item)
        position = self.journal.committed(ARCHIVE)
        while records := self.journal.read("raw", position):
            raws = (record.raw for record in records if record.channel == LINK and record.raw is not None)
            yield from (raw for raw in raws if source in (None, raw.source))
            position = records[-1].end


class _Reading:
    """An object that is read as far as is asked for."""

    def __init__(self, batches: Iterator[RawBatch]) -> None:
        self._batches = batches
        self.held = next(batches, None)

    def at(self, position: int) -> RawBatch | None:
        """The batch that holds a position, which is not below the one asked for before."""
        while self.held is not None and self.held.first + len(self.held) <= position:
            self.held = next(self._batches, None)
        return self.held if self.held is not None and _holds(self.held, position) else None


def _holds(batch: RawBatch, position: int) -> bool:
    return batch.first <= position < batch.first + len(batch)


def _only(batch: TickBatch, symbol: str, start: int, end: int) -> TickBatch:
    if symbol not in batch.symbols:
        return batch.take(slice(0, 0))
    code = list(batch.symbols).index(symbol)
    return batch.take((batch.symbol == code) & (batch.event_time >= start) & (batch.event_time < end))
