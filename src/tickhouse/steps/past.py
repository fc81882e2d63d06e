"""What the house remembers of ticks: the journal for what is recent, the lake for what the journal let go."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from tickhouse.core.batches import RawBatch, TickBatch
from tickhouse.core.model import Query
from tickhouse.journal import Journal
from tickhouse.lake import Lake
from tickhouse.stores import Warm


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

    def ticks(self, source: str, symbol: str, start: int, end: int, before: int | None = None) -> Sequence[TickBatch]:
        """All ticks of a symbol with event times in [start, end) and positions below `before`, ordered by position."""
        kept = [record for record in self.journal.window(source, symbol, start, end) if record.ticks is not None]
        # Asked after the journal was read: what it let go meanwhile is in the lake.
        begin = self.journal.begin()
        batches = [_below(batch, begin) for batch in self.lake.ticks(source, symbol, start, end)] if begin else []
        batches += [_only(r.ticks, symbol, start, end) for r in kept if r.ticks is not None and r.first >= begin]
        limited = batches if before is None else [_below(batch, before) for batch in batches]
        return [batch for batch in limited if len(batch)]

    def messages(self, source: str, positions: Sequence[int]) -> Iterator[tuple[int, RawBatch, int]]:
        """For each position (ascending): the position, a raw batch that holds it, and its index there."""
        begin, held = self.journal.begin(), None
        for position in positions:
            if held is None or not held.first <= position < held.first + len(held):
                held = self._batch(source, position, begin)
            if held is not None:
                yield position, held, position - held.first

    def _batch(self, source: str, position: int, begin: int) -> RawBatch | None:
        if position >= begin:
            records = self.journal.read("raw", position, max_messages=1)
            return records[0].raw if records else None
        return next(iter(self.lake.messages(position, position, source)), None)


def _only(batch: TickBatch, symbol: str, start: int, end: int) -> TickBatch:
    if symbol not in batch.symbols:
        return batch.take(slice(0, 0))
    code = list(batch.symbols).index(symbol)
    return batch.take((batch.symbol == code) & (batch.event_time >= start) & (batch.event_time < end))


def _below(batch: TickBatch, position: int) -> TickBatch:
    inside = np.asarray(batch.raw < position)
    return batch if inside.all() else batch.take(inside)
