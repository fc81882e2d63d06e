"""The newest live price of each symbol of a group, as each of its feeds told of it."""

from collections.abc import Mapping

import numpy as np

from tickhouse.core.batches import I64, LIVE, BarBatch, Entry, TickBatch


class Newest:
    """Filled where ingest runs, read from any thread. Only the symbols of groups are noted."""

    def __init__(self, watched: Mapping[str, frozenset[str]]) -> None:
        self._watched = {source: symbols for source, symbols in watched.items() if symbols}
        self._known: dict[tuple[str, str], tuple[int, int]] = {}

    def of(self, source: str, symbol: str) -> tuple[int, int]:
        """When it was traded, or when it came where that was earlier; and when a price came last (us, 0 for never)."""
        return self._known.get((source, symbol), (0, 0))

    def note(self, entry: Entry) -> None:
        """Take in what was just journaled."""
        watched = self._watched.get(entry.raw.source)
        if watched is None or entry.raw.lane != LIVE:
            return
        if (ticks := entry.ticks) is not None and len(ticks):
            self._note(watched, ticks, ticks.event_time, ticks.received_at)
        if (bars := entry.bars) is not None and len(bars):
            self._note(watched, bars, bars.start + bars.interval, bars.known_at)

    def _note(self, watched: frozenset[str], batch: TickBatch | BarBatch, at: I64, received: I64) -> None:
        said, came = np.zeros(len(batch.symbols), np.int64), np.zeros(len(batch.symbols), np.int64)
        np.maximum.at(said, batch.symbol, np.minimum(at, received))
        np.maximum.at(came, batch.symbol, received)
        for place in np.flatnonzero(came).tolist():
            if (symbol := batch.symbols[place]) in watched:
                before = self.of(batch.source, symbol)
                newer = max(before[0], int(said[place])), max(before[1], int(came[place]))
                self._known[batch.source, symbol] = newer
