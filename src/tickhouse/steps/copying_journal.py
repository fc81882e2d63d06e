"""One journal into another: every entry at its position, what is in quarantine, sums and groups; then read back and compared.

The positions must be the same, as bars, bronze and checkpoints name messages by them. Begun again, it goes on behind the last
entry that is there. The groups and the sums come last: before that, whoever opens the new journal finds nothing to go on from.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from tickhouse.core.batches import Entry, Record, moved
from tickhouse.core.errors import CorruptLog, SettingsError
from tickhouse.core.retry import Insist
from tickhouse.core.shards import shared_by
from tickhouse.journal import Account, Journal, Partitioned, Quarantined, Stretch
from tickhouse.steps.records import same

MOST = 8192
"""Messages that are read, and written in one transaction, at a time."""
REFUSED = 256
"""Messages of quarantine that are asked for at a time."""

Pair = tuple[Record, Record]
"""An entry as the topics `raw` and `ticks` have it."""


@dataclass(slots=True)
class JournalCopied:
    """What came of it: messages that were copied, and messages in quarantine."""

    messages: int = 0
    there: int = 0
    """Positions that were given out there when it was begun."""
    quarantined: int = 0
    compared: int = 0
    """Messages that were read back and are the same."""


class JournalCopying:
    """Copies the journal `old` into `new`. Raises `SettingsError` when `new` holds something else."""

    def __init__(self, old: Journal, new: Journal, sleep: Callable[[float], object]) -> None:
        self.old, self.new = old, new
        self._insist = Insist(sleep)

    def run(self, progress: Callable[[JournalCopied], None] = lambda done: None) -> JournalCopied:
        """Copy; `progress` is told after each part."""
        account = self._insist(partial(account_of, self.old))
        self.check()
        done = JournalCopied()
        before = self._insist(self.new.end)
        done.there = max(0, before - self._insist(self.old.begin))
        for stretch in self._stretches(before):
            self._insist(partial(self.new.adopt, stretch))
            done.messages += sum(len(entry.raw) for entry in stretch.entries)
            progress(done)
        self._quarantine(done)
        if self._insist(partial(account_of, self.new)) != account:
            self._insist(partial(self.new.settle, account))
        self._compare(account, done, progress)
        return done

    def check(self) -> None:
        """Raise `SettingsError` unless what is in the new journal is the beginning of the old one, and shards can go on there."""
        account, there = (self._insist(partial(account_of, journal)) for journal in (self.old, self.new))
        of = shared_by(account.groups)
        if of and isinstance(self.new, Partitioned) and self.new.partitions != of:
            raise SettingsError(
                f"{of} shards share the ticks here, and the ticks there have {self.new.partitions} partitions;"
                f" name an empty place, with ?partitions={of}"
            )
        if there.end > account.end:
            raise SettingsError(
                f"the journal there ends at position {there.end}, beyond {account.end} where this one ends:"
                " it is another one, or has gone on by itself; name an empty place"
            )
        begin = max(self._insist(self.old.begin), self._insist(self.new.begin))
        if begin < there.end:
            ours = (begin, there.end - 1)
            if all(_alike(self._pair(self.old, p), self._pair(self.new, p)) for p in ours):
                return
        elif (there == account or not (there.end or there.ledger or there.resumes or there.groups)) and all(
            a == b for a, b in self._refused() if b is not None
        ):
            return
        raise SettingsError(
            f"the journal there holds something else than the first {there.end:,} positions of this one; name an empty place"
        )

    def _pair(self, journal: Journal, position: int) -> Pair | None:
        found = self._insist(lambda: (journal.read("raw", position, 1), journal.read("ticks", position, 1)))
        return (found[0][0], found[1][0]) if all(found) else None

    def _pairs(self, journal: Journal, position: int) -> Iterator[Pair]:
        """The entries of a journal from a position on."""
        while True:
            raw = self._insist(partial(journal.read, "raw", position, MOST))
            rows = self._insist(partial(journal.read, "ticks", position, MOST))
            if not raw or not rows:
                return
            for pair in zip(raw, rows, strict=False):
                yield pair
                position = pair[0].end

    def _stretches(self, position: int) -> Iterator[Stretch]:
        """What the old journal has from a position on, in parts without a gap."""
        pairs: list[Pair] = []
        messages = 0
        for pair in self._pairs(self.old, position):
            if pairs and (messages + pair[0].count > MOST or pairs[-1][0].end != pair[0].first):
                yield self._stretch(pairs)
                pairs, messages = [], 0
            pairs.append(pair)
            messages += pair[0].count
        if pairs:
            yield self._stretch(pairs)

    def _stretch(self, pairs: list[Pair]) -> Stretch:
        first, end = pairs[0][0].first, pairs[-1][0].end
        kept: list[Quarantined] = []
        for item in self._items(self.old, first - 1):
            if item.position >= end:
                break
            kept.append(item)
        return Stretch(first, [entry(*pair) for pair in pairs], kept)

    def _items(self, journal: Journal, after: int = -1) -> Iterator[Quarantined]:
        """What is in quarantine behind a position."""
        while True:
            found = self._insist(partial(journal.quarantine, None, REFUSED, after))
            yield from found
            if len(found) < REFUSED:
                return
            after = found[-1].position

    def _refused(self) -> Iterator[tuple[Quarantined | None, Quarantined | None]]:
        """What is in quarantine in the old journal and in the new one, by position."""
        theirs = self._items(self.new)
        there = next(theirs, None)
        for item in self._items(self.old):
            while there is not None and there.position < item.position:
                yield None, there
                there = next(theirs, None)
            if there is not None and there.position == item.position:
                yield item, there
                there = next(theirs, None)
            else:
                yield item, None
        while there is not None:
            yield None, there
            there = next(theirs, None)

    def _quarantine(self, done: JournalCopied) -> None:
        """Put into quarantine what is there without an entry, and take out what was healed since it was copied."""
        lacking: list[Quarantined] = []
        healed: list[int] = []

        def write() -> None:
            if lacking or healed:
                self._insist(partial(self.new.adopt, Stretch(0, (), (*lacking,), (*healed,))))
            lacking.clear()
            healed.clear()

        for old, new in self._refused():
            if old is None and new is not None:
                healed.append(new.position)
            elif old is not None and old != new:
                lacking.append(old)
            done.quarantined += old is not None
            if len(lacking) + len(healed) >= REFUSED:
                write()
        write()

    def _compare(self, account: Account, done: JournalCopied, progress: Callable[[JournalCopied], None]) -> None:
        """Read everything back. Raises `CorruptLog` at the first thing that is another."""
        begin = self._insist(self.old.begin)
        theirs = self._pairs(self.new, begin)
        for ours in self._pairs(self.old, begin):
            if not _alike(ours, next(theirs, None)):
                raise CorruptLog(f"the messages from position {ours[0].first} on were not copied as they are")
            done.compared += ours[0].count
            progress(done)
        if next(theirs, None) is not None or any(old != new for old, new in self._refused()):
            raise CorruptLog("what is in the journal there, or in its quarantine, is more or less than here")
        for journal, which in (
            (self.old, "was written while it was copied; copy again"),
            (self.new, "has other sums there"),
        ):
            if self._insist(partial(account_of, journal)) != account:
                raise CorruptLog(f"the journal {which}")


def account_of(journal: Journal) -> Account:
    """What a journal knows beside its entries."""
    return Account(journal.end(), dict(journal.ledger()), dict(journal.resumes()), dict(journal.groups()))


def entry(raw: Record, rows: Record) -> Entry:
    """The entry that was journaled as these, but for what a journal keeps beside it."""
    assert raw.raw is not None and raw.kinds is not None
    first, ticks, bars = raw.first, rows.ticks, rows.bars
    return Entry(
        replace(raw.raw, first=-1), raw.kinds, ticks.journaled(-first) if ticks is not None else None,
        replace(bars, first_raw=bars.first_raw - first, last_raw=bars.last_raw - first) if bars is not None else None,
        rows.marks, observations=moved(rows.observations, -first), actions=moved(rows.actions, -first),
    )  # fmt: skip


def _alike(ours: Pair | None, theirs: Pair | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return same(ours[0], theirs[0]) and same(ours[1], theirs[1])
