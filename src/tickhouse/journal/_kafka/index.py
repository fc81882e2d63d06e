"""The topic `journal` in order: its newest entries in memory, older ones by search."""

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable

from tickhouse.journal._kafka.entry import Indexed, opened
from tickhouse.journal._kafka.followed import Followed
from tickhouse.journal._kafka.place import Message, Place
from tickhouse.journal._kafka.stream import Streams

MOST, MOST_BYTES = 2048, 16 << 20
"""Entries kept in memory, and bytes of what is beside them."""
LAST = 512
"""Offsets before the end that are read when it is opened."""
PLACES = 4096
"""Positions whose offsets are remembered, so that who reads on need not search."""
AT_A_TIME = 64


class Index:
    """Entries by position. Safe for several threads."""

    def __init__(self, place: Place, streams: Streams) -> None:
        self.topic = place.topic("journal")
        self._streams = streams
        self._log = Followed(place, self.topic, LAST)
        self._lock = threading.RLock()
        self._tail: list[Indexed] = []
        self._firsts: list[int] = []
        self._bytes = 0
        self._oldest: Indexed | None = None
        self._places: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self.low = 0
        """The first offset kept."""
        self.sync()

    def sync(self) -> None:
        """Take in what others wrote. Raises `Unreachable`."""
        self.learn(self._log.news())
        self.low = max(self.low, self._log.low)

    def learn(self, messages: Iterable[Message]) -> bool:
        """Take in messages; true when any was new."""
        return self.add([opened(message) for message in messages])

    def add(self, entries: Iterable[Indexed]) -> bool:
        """Take in entries; those that are known are left out."""
        with self._lock:
            known = self._tail[-1].offset if self._tail else -1
            fresh = [entry for entry in entries if entry.offset > known]
            self._tail += fresh
            self._firsts += [entry.about.first for entry in fresh]
            self._bytes += sum(map(_size, fresh))
            self._forget(len(self._tail) - MOST)
            while self._bytes > MOST_BYTES and len(self._tail) > 1:
                self._forget(1)
            return bool(fresh)

    @property
    def last(self) -> Indexed | None:
        """The newest entry, where it is known."""
        return self._tail[-1] if self._tail else None

    @property
    def known_offset(self) -> int:
        """The offset after the newest entry that is known."""
        return self._tail[-1].next_offset if self._tail else self._log.next

    def begin(self) -> Indexed | None:
        """The oldest entry that is kept."""
        with self._lock:
            if self._tail and self._tail[0].offset <= self.low:
                return next((entry for entry in self._tail if entry.offset >= self.low), None)
            if self._oldest is not None and self._oldest.offset >= self.low:
                return self._oldest
        self._oldest = self._at(self.low)
        return self._oldest

    def forget(self, low: int) -> None:
        """Entries before an offset were let go."""
        with self._lock:
            self.low = max(self.low, low)
            self._forget(sum(entry.offset < self.low for entry in self._tail))

    def _forget(self, count: int) -> None:
        count = max(count, 0)
        self._bytes -= sum(map(_size, self._tail[:count]))
        del self._tail[:count], self._firsts[:count]

    def read(self, position: int, most: int) -> list[Indexed]:
        """The entries from the one that holds `position` on, at least one if there is one, of about `most` messages."""
        with self._lock:
            if self._firsts and self._firsts[0] <= position:
                index = max(bisect_right(self._firsts, position) - 1, 0)
                return _some((e for e in self._tail[index:] if e.end > position), most)
        offset = self._search(position)
        found: list[Indexed] = []
        while offset is not None:
            some = self._from(offset, AT_A_TIME)
            found += [entry for entry in some if entry.end > position]
            if not some or len(_some(found, most)) < len(found) or sum(e.about.count for e in found) >= most:
                break
            offset = some[-1].next_offset
        found = _some(found, most)
        if found:
            self._note(found[-1].end, found[-1].next_offset, found[-1].about.total)
        return found

    def place(self, position: int) -> tuple[int, int] | None:
        """The offset of the entry that holds a position or begins with it, and the bytes before it; None at the end."""
        with self._lock:
            if position in self._places:
                return self._places[position]
        entry = next(iter(self.read(position, 1)), None)
        return (entry.offset, entry.about.total - entry.about.size) if entry else None

    def close(self) -> None:
        """Let go of the connection."""
        self._log.close()

    def _note(self, position: int, offset: int, total: int) -> None:
        with self._lock:
            self._places[position] = (offset, total)
            if len(self._places) > PLACES:
                self._places.popitem(last=False)

    def _search(self, position: int) -> int | None:
        """The offset of the entry that holds a position, or of the first after it; None where all is before it."""
        with self._lock:
            known = self._places.get(position)
            if known and known[0] >= self.low:
                return known[0]
            if not self._tail:
                return None
            high = self._tail[0].offset
        low = self.low
        if low >= high:
            return high
        best: int | None = None
        while low < high:
            middle = (low + high) // 2
            entry = self._at(middle)
            if entry is None:
                high = middle
            elif entry.end <= position:
                low = entry.offset + 1
            else:
                best = entry.offset
                high = middle
        if best is None and self._tail:
            return self._tail[0].offset
        return best

    def _at(self, offset: int) -> Indexed | None:
        """The entry at an offset, or the next one."""
        found = self._from(offset, 1)
        return found[0] if found else None

    def _from(self, offset: int, most: int) -> list[Indexed]:
        """Entries from an offset on, as they are in the topic, as many as there are up to `most`."""
        # Without a tail there is nothing: it has whatever was in the last offsets, and each second of these is an entry.
        last = self._tail[-1].offset if self._tail else -1
        if offset > last:
            return []
        messages = self._streams.until((self.topic, 0), offset, last, most)
        return [opened(message) for message in messages]


def _size(entry: Indexed) -> int:
    return sum(map(len, entry.blobs.values()))


def _some(entries: Iterable[Indexed], most: int) -> list[Indexed]:
    found: list[Indexed] = []
    taken = 0
    for entry in entries:
        if found and taken + entry.about.count > most:
            break
        found.append(entry)
        taken += entry.about.count
    return found
