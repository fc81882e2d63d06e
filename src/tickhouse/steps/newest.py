"""The newest live price of each symbol of a group, as each of its feeds told of it."""

from collections.abc import Mapping

import numpy as np

from tickhouse.core.batches import LIVE, Entry


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
            self._note(entry.raw.source, watched, ticks.symbols, ticks.symbol, ticks.event_time, ticks.received_at)
        if (bars := entry.bars) is not None and len(bars):
            ends = bars.start + bars.interval
            self._note(entry.raw.source, watched, bars.symbols, bars.symbol, ends, bars.known_at)

    def _note(self, source, watched, symbols, code, at, received) -> None:  # type: ignore[no-untyped-def]
        said, came = np.zeros(len(symbols), np.int64), np.zeros(len(symbols), np.int64)
        np.maximum.at(said, code, np.minimum(at, received))
        np.maximum.at(came, code, received)
        for place in np.flatnonzero(came).tolist():
            if (symbol := symbols[place]) in watched:
                before = self.of(source, symbol)
                self._known[source, symbol] = max(before[0], int(said[place])), max(before[1], int(came[place]))
