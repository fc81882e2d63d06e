"""The newest records of a journal in memory: a consumer in the same process that keeps up need not read and decode them again."""

import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from tickhouse.core.batches import BarBatch, Entry, RawBatch, Record, moved
from tickhouse.journal import Topic

MOST_RECORDS = 1024
MOST_MESSAGES = 32_768
MOST_BYTES = 8 << 20


class Recent:
    """Records without a gap between them, bounded in number, messages and bytes. Safe for several threads."""

    def __init__(self, most_messages: int = MOST_MESSAGES, most_bytes: int = MOST_BYTES) -> None:
        self._most_messages, self._most_bytes = most_messages, most_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._firsts: list[int] = []
        self._records: list[dict[Topic, Record]] = []
        self._sizes: list[int] = []

    def add(self, firsts: Sequence[int], entries: Sequence[Entry]) -> None:
        """Take in entries that were appended at those positions, and forget the oldest."""
        made = [(first, records(copied(entry), first)) for first, entry in zip(firsts, entries, strict=True)]
        with self._lock:
            for first, (raw, ticks) in made:
                if not raw.count:
                    continue
                if self._records and self._records[-1]["raw"].end != first:
                    self._forget(len(self._records))
                self._firsts.append(first)
                self._records.append({"raw": raw, "ticks": ticks})
                self._sizes.append(raw.raw.size if raw.raw is not None else 0)
                self._bytes += self._sizes[-1]
            while self._records and self._too_many():
                self._forget(1)

    def trim(self, begin: int) -> None:
        """Forget the records that end at or before a position."""
        with self._lock:
            self._forget(sum(kept["raw"].end <= begin for kept in self._records))

    def read(self, topic: Topic, position: int, max_messages: int) -> list[Record] | None:
        """The records from `position` on as `Journal.read` gives them; None when it is not among them."""
        with self._lock:
            index = bisect_right(self._firsts, position) - 1
            if index < 0 or self._records[-1]["raw"].end <= position:
                return None
            found: list[Record] = []
            taken = 0
            for kept in self._records[index:]:
                record = kept[topic]
                if found and taken + record.count > max_messages:
                    break
                found.append(record)
                taken += record.count
            return found

    def _too_many(self) -> bool:
        messages = self._records[-1]["raw"].end - self._firsts[0]
        many = len(self._records) > MOST_RECORDS or messages > self._most_messages
        return many or self._bytes > self._most_bytes

    def _forget(self, count: int) -> None:
        self._bytes -= sum(self._sizes[:count])
        del self._firsts[:count], self._records[:count], self._sizes[:count]


def records(entry: Entry, first: int) -> tuple[Record, Record]:
    """An entry at its position as the two topics give it: `raw` and `ticks`."""
    raw = entry.raw
    received = int(raw.received_at[-1]) if len(raw) else 0
    about = (first, len(raw), raw.source, raw.channel, raw.lane, received)
    ticks = entry.ticks.journaled(first) if entry.ticks else None
    rows = Record(
        *about, ticks=ticks, bars=_journaled(entry.bars, first), marks=entry.marks,
        observations=moved(entry.observations, first), actions=moved(entry.actions, first),
    )  # fmt: skip
    return Record(*about, replace(raw, first=first), entry.kinds), rows


def copied(entry: Entry) -> Entry:
    """The entry with bytes of its own: the caller may use its receive buffer again."""
    raw = _close(entry.raw) if len(entry.raw) else entry.raw
    columns = {name: getattr(raw, name).copy() for name in ("data", "offsets", "ends", "received_at")}
    return replace(entry, raw=replace(raw, **columns), kinds=entry.kinds.copy())


def _close(raw: RawBatch) -> RawBatch:
    """The batch without the unused part of its buffer: what lies between messages may stay where that is little."""
    begin, end = int(raw.offsets.min()), int(raw.ends.max())
    if end - begin > 2 * raw.size:
        return raw.packed()
    return replace(raw, data=raw.data[begin:end], offsets=raw.offsets - begin, ends=raw.ends - begin)


def _journaled(bars: BarBatch | None, first: int) -> BarBatch | None:
    return replace(bars, first_raw=bars.first_raw + first, last_raw=bars.last_raw + first) if bars else None
