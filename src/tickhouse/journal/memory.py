"""The journal in the memory of this process, for tests and quick runs. It ends with the process."""

import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tickhouse.core.batches import Entry, Record
from tickhouse.core.errors import BadQuery, BadSetting
from tickhouse.core.shards import Shard, of_shard
from tickhouse.journal import Account, Check, Quarantined, Stretch, Topic
from tickhouse.journal._accounts import NAMES, Limits, events, must_follow, not_quarantined, refused, tally, untally
from tickhouse.journal._recent import copied, records


@dataclass(frozen=True, slots=True)
class _Kept:
    """One journaled entry: both topics, its event times, its bytes, and the bytes of all up to and with it."""

    raw: Record
    ticks: Record
    events: tuple[int, int] | tuple[None, None]
    size: int
    total: int


class MemoryJournal:
    """A `Journal` in memory. Bytes are those of the payloads and 64 a tick."""

    recovered: str | None = None

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._changed = threading.Condition()
        self._records: list[_Kept] = []
        self._firsts: list[int] = []
        self._end = self._total = 0
        self._groups: dict[str, int] = {}
        self._resumes: dict[str, str] = {}
        self._ledger: Counter[tuple[str, str]] = Counter()
        self._quarantine: dict[int, tuple[Quarantined, int]] = {}
        self._closed = False

    def append(self, entries: Sequence[Entry]) -> list[int]:
        """See `Journal.append`."""
        return self._append(entries, ())

    def heal(self, positions: Sequence[int], entries: Sequence[Entry]) -> list[int]:
        """See `Journal.heal`. Raises `BadQuery` for a position that is not in quarantine."""
        return self._append(entries, positions)

    def _append(self, entries: Sequence[Entry], healed: Sequence[int]) -> list[int]:
        copies = [copied(entry) for entry in entries]
        with self._changed:
            if self._closed:
                raise BadQuery("the journal is closed")
            if self._groups and not healed:
                slowest = min(self._groups.values())
                self.limits.guard(sum(k.size for k in self._from(slowest)), list(self._groups.items()))
            missing = next((p for p in healed if p not in self._quarantine), None)
            if missing is not None or len(set(healed)) < len(healed):
                raise not_quarantined(missing if missing is not None else healed[0])
            for position in healed:
                item, kind = self._quarantine.pop(position)
                self._count(item.source, untally(kind))
            firsts = [self._keep(entry) for entry in copies]
            self._changed.notify_all()
        return firsts

    def read(self, topic: Topic, position: int, max_messages: int = 65_536, shard: Shard | None = None) -> list[Record]:
        """See `Journal.read`."""
        found: list[Record] = []
        taken = 0
        with self._changed:
            for kept in self._from(position):
                if found and taken + kept.raw.count > max_messages:
                    break
                found.append(kept.raw if topic == "raw" else kept.ticks)
                taken += kept.raw.count
        return of_shard(found, shard)

    def window(self, source: str, symbol: str, start: int, end: int) -> Iterator[Record]:
        """See `Journal.window`."""
        with self._changed:
            kept = list(self._records)
        for record, (low, high) in ((k.ticks, k.events) for k in kept):
            if record.source != source or low is None or high is None or high < start or low >= end:
                continue
            if any(rows is not None and symbol in rows.symbols for rows in (record.ticks, record.bars)):
                yield record

    def begin(self) -> int:
        """See `Journal.begin`."""
        with self._changed:
            return self._firsts[0] if self._firsts else self._end

    def end(self) -> int:
        """See `Journal.end`."""
        return self._end

    def wait(self, position: int, timeout: float) -> bool:
        """See `Journal.wait`. False at once when the journal is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._end > position or self._closed, timeout)
            return self._end > position and not self._closed

    def commit(self, group: str, position: int) -> None:
        """See `Journal.commit`."""
        with self._changed:
            self._groups[group] = position
            self._end = max(self._end, position)

    def committed(self, group: str) -> int:
        """See `Journal.committed`."""
        with self._changed:
            return self._groups.get(group, self.begin_now())

    def begin_now(self) -> int:
        """The first position, for one who holds the lock."""
        return self._firsts[0] if self._firsts else self._end

    def groups(self) -> Mapping[str, int]:
        """See `Journal.groups`."""
        with self._changed:
            return dict(sorted(self._groups.items()))

    def resume(self, key: str) -> str | None:
        """See `Journal.resume`."""
        return self._resumes.get(key)

    def resumes(self) -> Mapping[str, str]:
        """See `Journal.resumes`."""
        with self._changed:
            return dict(sorted(self._resumes.items()))

    def ledger(self) -> Mapping[tuple[str, str], int]:
        """See `Journal.ledger`."""
        with self._changed:
            return dict(self._ledger)

    def quarantine(
        self, reason: str | None = None, limit: int = 100, after: int = -1, lane: str | None = None
    ) -> list[Quarantined]:
        """See `Journal.quarantine`."""
        with self._changed:
            items = sorted((item for item, _ in self._quarantine.values()), key=lambda item: item.position)
        wanted = (i for i in items if i.position > after and reason in (None, i.reason) and lane in (None, i.lane))
        return list(islice(wanted, limit))

    def adopt(self, stretch: Stretch) -> None:
        """See `Journal.adopt`."""
        copies = [copied(entry) for entry in stretch.entries]
        with self._changed:
            if copies:
                must_follow(self._end, stretch.first)
                self._end = stretch.first
            for entry in copies:
                self._store(entry)
            self._quarantine.update({item.position: (item, item.kind) for item in stretch.quarantine})
            for position in stretch.healed:
                self._quarantine.pop(position, None)
            self._changed.notify_all()

    def settle(self, account: Account) -> None:
        """See `Journal.settle`."""
        with self._changed:
            must_follow(self._end, account.end)
            self._end = account.end
            for key, count in account.ledger.items():
                self._ledger[key] = count
            self._resumes |= account.resumes
            self._groups |= account.groups
            self._changed.notify_all()

    def verify(self) -> Check:
        """See `Journal.verify`."""
        with self._changed:
            return Check(len(self._records), sum(k.raw.count for k in self._records))

    def trim(self, now: int) -> int:
        """See `Journal.trim`."""
        with self._changed:
            slowest = min(self._groups.values(), default=self._end)
            gone = 0
            for kept in self._records:
                before = kept.total - kept.size
                if kept.raw.end > slowest or not self.limits.expired(kept.raw.received_at, self._total - before, now):
                    break
                gone += 1
            del self._records[:gone], self._firsts[:gone]
            return self.begin_now()

    def close(self) -> None:
        """See `Journal.close`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _from(self, position: int) -> Iterator[_Kept]:
        index = max(bisect_right(self._firsts, position) - 1, 0)
        return (k for k in self._records[index:] if k.raw.end > position)

    def _keep(self, entry: Entry) -> int:
        first, raw = self._end, entry.raw
        if entry.resume:
            self._resumes[entry.resume[0]] = entry.resume[1]
        self._resumes.update(entry.notes)
        if not len(raw):
            return first
        self._store(entry)
        self._count(raw.source, tally(entry))
        self._quarantine.update({item.position: (item, kind) for item, kind in refused(entry, first)})
        return first

    def _store(self, entry: Entry) -> None:
        size = entry.raw.size + 64 * len(entry.ticks or ())
        self._total += size
        self._records.append(_Kept(*records(entry, self._end), events(entry), size, self._total))
        self._firsts.append(self._end)
        self._end += len(entry.raw)

    def _count(self, source: str, counts: tuple[int, ...]) -> None:
        for name, count in zip(NAMES, counts if any(counts) else (), strict=False):
            self._ledger[source, name] += count


def open(url: str, **options: Any) -> MemoryJournal:
    """A new journal in memory. Options as for `sqlite`; `durability` means nothing here.

    >>> open("memory://").end()
    0
    """
    if not url.startswith("memory:"):
        raise BadSetting("journal.url", url, "memory://")
    return MemoryJournal(Limits(**options))
