"""Which entries may hold event times of a stretch: the times of every entry that is kept, in memory once somebody asks."""

import threading
from collections.abc import Iterator
from itertools import islice

from tickhouse.journal._kafka.entry import Indexed
from tickhouse.journal._kafka.index import Index

AT_A_TIME = 65_536
AHEAD = 4096
"""Messages of which the entries are read at once: each place that has to be found costs a search on the broker."""


class Spans:
    """Event times by entry. Safe for several threads."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._lock = threading.Lock()
        self._until = 0
        self._spans: dict[str, list[tuple[int, int, int]]] = {}
        """By source: (first position, lowest and highest event time)."""

    def find(self, source: str, start: int, end: int) -> Iterator[Indexed]:
        """The entries of a source with event times in [start, end) (us), in order."""
        with self._lock:
            self._learn()
            found = [first for first, low, high in self._spans.get(source, ()) if high >= start and low < end]
        near: dict[int, Indexed] = {}
        for first in found:
            if first not in near:
                near = {entry.about.first: entry for entry in self._index.read(first, AHEAD)}
            if first in near:
                yield near[first]

    def _learn(self) -> None:
        while entries := self._index.read(self._until, AT_A_TIME):
            for entry in entries:
                about = entry.about
                if about.event_min is not None and about.event_max is not None:
                    self._spans.setdefault(about.source, []).append((about.first, about.event_min, about.event_max))
            self._until = entries[-1].end
        begin = self._index.begin()
        for source, spans in self._spans.items():
            gone = next((n for n, span in enumerate(spans) if begin and span[0] >= begin.about.first), len(spans))
            self._spans[source] = list(islice(spans, gone, None)) if gone else spans
