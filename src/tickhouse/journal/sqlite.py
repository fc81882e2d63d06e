"""The journal in one SQLite file in WAL mode: one row is one entry, consumers are cursors in the same file.

Durability: with `full` every append is fsynced before it returns and survives a power cut. With `normal` the log is
fsynced only when it is copied into the database: a crash of the process loses nothing, a power cut the last moments.
A consumer's cursor is written without an fsync of its own: lost with the power, it is repeated, which is harmless.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tickhouse.core.batches import Entry, Record
from tickhouse.core.clock import SystemClock
from tickhouse.core.errors import BadSetting
from tickhouse.core.shards import Shard, of_shard
from tickhouse.journal import Account, Check, Quarantined, Stretch, Topic
from tickhouse.journal import _recovery as recovery
from tickhouse.journal._accounts import NAMES, Limits, counts, must_follow, not_quarantined, refused, tally, untally
from tickhouse.journal._file import JournalFile, damaged
from tickhouse.journal._recent import Recent
from tickhouse.journal._rows import COLUMNS, INSERT, Row, Sealed, fault, opened, quarantine_check, seal
from tickhouse.journal._trim import trim
from tickhouse.journal._verify import verify

POLL = 0.008
"""Seconds between looks at the file for appends of other processes."""

END = """SELECT max(coalesce((SELECT first + count FROM records ORDER BY first DESC LIMIT 1), 0), position),
    coalesce((SELECT total FROM records ORDER BY first DESC LIMIT 1), total) FROM floor"""
BEFORE = """SELECT coalesce((SELECT total FROM records WHERE first < :p AND first + count <= :p ORDER BY first DESC LIMIT 1),
    total) FROM floor"""
READ = """SELECT {} FROM records WHERE first >= coalesce((SELECT first FROM records WHERE first <= :p ORDER BY first DESC LIMIT 1),
    :p) ORDER BY first"""
WINDOW = "SELECT first FROM records WHERE source = ? AND event_max >= ? AND event_min < ? ORDER BY first"
ADD = f"""INSERT INTO ledger (source, {", ".join(NAMES)}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source) DO UPDATE SET
    {", ".join(f"{name} = {name} + excluded.{name}" for name in NAMES)}"""  # noqa: S608
REFUSE = """INSERT INTO quarantine (position, source, channel, received_at, kind, reason, detail, check_, payload, lane)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
REFUSED = """SELECT position, source, channel, received_at, reason, detail, payload, healed, lane, kind FROM quarantine
    WHERE healed = 0 AND position > :after AND (:reason IS NULL OR reason = :reason) AND (:lane IS NULL OR lane = :lane)
    ORDER BY position LIMIT :limit"""
RESUME = "INSERT INTO resumes VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
COMMIT = "INSERT INTO groups VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET position = excluded.position"
RESUMES = "SELECT key, value FROM resumes ORDER BY key"
HEALED = "UPDATE quarantine SET healed = 1 WHERE position = ?"
SET = f"INSERT OR REPLACE INTO ledger (source, {', '.join(NAMES)}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
LOST = "UPDATE floor SET position = ? WHERE position < ?"


class SqliteJournal:
    """A `Journal` in a file. `recovered` says in a sentence what had to be cut or is damaged, or is None."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path, self.limits = path, limits
        self._lock: list[IO[bytes]] = []
        self._grown = threading.Condition()
        self._known_end = 0
        self._recent = Recent()
        self._clock = SystemClock()
        self.recovered: str | None = None
        with recovery.first_opener(path, self._lock) as alone:
            found = recovery.log_salt(path) if alone else None
            self._file = JournalFile(path, limits.durability)
            if alone:
                said = (recovery.torn_log(self._file, found), recovery.cut_tail(self._file))
                self.recovered = "; ".join(text for text in said if text) or None

    def append(self, entries: Sequence[Entry]) -> list[int]:
        """See `Journal.append`."""
        return self._append(entries, ())

    def heal(self, positions: Sequence[int], entries: Sequence[Entry]) -> list[int]:
        """See `Journal.heal`. Raises `BadQuery` for a position that is not in quarantine."""
        return self._append(entries, positions)

    def _append(self, entries: Sequence[Entry], healed: Sequence[int]) -> list[int]:
        sealed = [seal(entry) if len(entry.raw) else None for entry in entries]
        size = sum(s.size for s in sealed if s)
        with self._file.transaction(size) as connection:
            end, total = connection.execute(END).fetchone()
            groups = connection.execute("SELECT name, position FROM groups").fetchall()
            if groups and not healed:
                slowest = {"p": min(position for _, position in groups)}
                self.limits.guard(total - connection.execute(BEFORE, slowest).fetchone()[0], groups)
            for position in healed:
                _heal(connection, position)
            firsts = _insert(connection, entries, sealed, (end, total))
            end = firsts.pop()
        self._recent.add(firsts, entries)
        self._told(end)
        return firsts

    def adopt(self, stretch: Stretch) -> None:
        """See `Journal.adopt`."""
        sealed, end = [seal(entry) for entry in stretch.entries], 0
        with self._file.transaction(sum(parts.size for parts in sealed)) as connection:
            if sealed:
                end = _place(connection, sealed, stretch.first)
            rows = (_refused_row(item, item.kind) for item in stretch.quarantine)
            connection.executemany(REFUSE.replace("INSERT", "INSERT OR REPLACE"), rows)
            connection.executemany(HEALED, [(position,) for position in stretch.healed])
        self._told(end)

    def settle(self, account: Account) -> None:
        """See `Journal.settle`."""
        with self._file.transaction() as connection:
            must_follow(connection.execute(END).fetchone()[0], account.end)
            connection.execute(LOST, (account.end, account.end))
            connection.executemany(SET, [(source, *row) for source, row in counts(account.ledger).items()])
            connection.executemany(RESUME, account.resumes.items())
            connection.executemany(COMMIT, account.groups.items())
        self._told(account.end)

    def _told(self, end: int) -> None:
        with self._grown:
            self._known_end = max(self._known_end, end)
            self._grown.notify_all()

    def read(self, topic: Topic, position: int, max_messages: int = 65_536, shard: Shard | None = None) -> list[Record]:
        """See `Journal.read`."""
        recent = self._recent.read(topic, position, max_messages)
        if recent is not None:
            return of_shard(recent, shard)
        rows: list[Row] = []
        taken = 0
        with self._file.reader() as connection:
            cursor = connection.execute(READ.format(COLUMNS[topic]), {"p": position})
            for row in cursor:
                if row[0] + row[1] <= position:
                    continue
                if rows and taken + row[1] > max_messages:
                    break
                rows.append(row)
                taken += row[1]
                if taken >= max_messages:
                    break
            cursor.close()
        return of_shard([self._record(topic, row) for row in rows], shard)

    def window(self, source: str, symbol: str, start: int, end: int) -> Iterator[Record]:
        """See `Journal.window`."""
        with self._file.reader() as connection:
            firsts = connection.execute(WINDOW, (source, start, end)).fetchall()
        for first in firsts:
            with self._file.reader() as connection:
                row = connection.execute(f"SELECT {COLUMNS['ticks']} FROM records WHERE first = ?", first).fetchone()  # noqa: S608
            record = self._record("ticks", row) if row else None
            if record and any(rows is not None and symbol in rows.symbols for rows in (record.ticks, record.bars)):
                yield record

    def begin(self) -> int:
        """See `Journal.begin`."""
        with self._file.reader() as connection:
            (first,) = connection.execute("SELECT min(first) FROM records").fetchone()
            return int(first) if first is not None else int(connection.execute(END).fetchone()[0])

    def end(self) -> int:
        """See `Journal.end`."""
        with self._file.reader() as connection:
            return int(connection.execute(END).fetchone()[0])

    def wait(self, position: int, timeout: float) -> bool:
        """See `Journal.wait`. False at once when the journal is closed."""
        if self._file.closed:
            return False
        if self._known_end > position:
            return True
        until, seen = self._clock.monotonic() + timeout, None
        with self._file.reader() as connection:
            while not self._file.closed:
                version = connection.execute("PRAGMA data_version").fetchone()
                if version != seen and connection.execute(END).fetchone()[0] > position:
                    return True
                seen = version
                with self._grown:
                    if self._known_end > position:
                        return True
                    left = until - self._clock.monotonic()
                    if left <= 0:
                        return False
                    self._grown.wait(min(left, POLL))
        return False

    def commit(self, group: str, position: int) -> None:
        """See `Journal.commit`. A position beyond the end shows that the end was lost; it is not given out again."""
        with self._file.transaction(durable=False) as connection:
            connection.execute(COMMIT, (group, position))
            if position > connection.execute(END).fetchone()[0]:
                connection.execute(LOST, (position, position))

    def committed(self, group: str) -> int:
        """See `Journal.committed`."""
        with self._file.reader() as connection:
            row = connection.execute("SELECT position FROM groups WHERE name = ?", (group,)).fetchone()
        return int(row[0]) if row else self.begin()

    def groups(self) -> Mapping[str, int]:
        """See `Journal.groups`."""
        with self._file.reader() as connection:
            return dict(connection.execute("SELECT name, position FROM groups ORDER BY name").fetchall())

    def resume(self, key: str) -> str | None:
        """See `Journal.resume`."""
        with self._file.reader() as connection:
            row = connection.execute("SELECT value FROM resumes WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def resumes(self) -> Mapping[str, str]:
        """See `Journal.resumes`."""
        with self._file.reader() as connection:
            return dict(connection.execute(RESUMES).fetchall())

    def ledger(self) -> Mapping[tuple[str, str], int]:
        """See `Journal.ledger`."""
        with self._file.reader() as connection:
            rows = connection.execute(f"SELECT source, {', '.join(NAMES)} FROM ledger ORDER BY source").fetchall()  # noqa: S608
        return {(source, name): n for source, *counts in rows for name, n in zip(NAMES, counts, strict=True)}

    def quarantine(
        self, reason: str | None = None, limit: int = 100, after: int = -1, lane: str | None = None
    ) -> list[Quarantined]:
        """See `Journal.quarantine`."""
        asked = {"reason": reason, "limit": limit, "after": after, "lane": lane}
        with self._file.reader() as connection:
            rows = connection.execute(REFUSED, asked).fetchall()
        return [Quarantined(*row) for row in rows]

    def verify(self) -> Check:
        """See `Journal.verify`."""
        return verify(self._file)

    def trim(self, now: int) -> int:
        """See `Journal.trim`."""
        trim(self._file, self.limits, now)
        begin = self.begin()
        self._recent.trim(begin)
        return begin

    def close(self) -> None:
        """See `Journal.close`."""
        self._file.close()
        with self._grown:
            self._grown.notify_all()
        while self._lock:
            self._lock.pop().close()

    def _record(self, topic: Topic, row: Row) -> Record:
        what = fault(topic, row)
        if what:
            raise damaged(self.path, f"the record at position {row[0]} ({row[1]} messages): {what}")
        return opened(topic, row)


def open(url: str, **options: Any) -> SqliteJournal:
    """The journal of a URL such as `sqlite:///data/journal.db` (four slashes for an absolute path).

    Options: `durability` ("full", "normal"), `max_bytes`, `retain_bytes`, `retain_seconds`. The bytes are those stored,
    which are compressed. Raises `BadSetting`; `CorruptLog` when the file is no journal.
    """
    scheme, _, path = url.partition(":///")
    if scheme != "sqlite" or not path:
        raise BadSetting("journal.url", url, "sqlite:///path/to/journal.db")
    return SqliteJournal(Path(path), Limits(**options))


def _insert(
    connection: sqlite3.Connection, entries: Sequence[Entry], sealed: Iterable[Sealed | None], at: tuple[int, int]
) -> list[int]:
    """Write entries from (end, total) on; the positions of each, and the end at last."""
    first, total = at
    firsts = [first]
    for entry, parts in zip(entries, sealed, strict=True):
        if parts is not None:
            total += parts.size
            connection.execute(INSERT, parts.row(first, total))
            if any(counts := tally(entry)):
                connection.execute(ADD, (entry.raw.source, *counts))
            if entry.rejects or entry.kinds.max() == 2:
                connection.executemany(REFUSE, (_refused_row(item, kind) for item, kind in refused(entry, first)))
        if entry.resume:
            connection.execute(RESUME, entry.resume)
        if entry.notes:
            connection.executemany(RESUME, entry.notes)
        first += len(entry.raw)
        firsts.append(first)
    return firsts


def _place(connection: sqlite3.Connection, sealed: Sequence[Sealed], first: int) -> int:
    """Write what another journal has from a position on; returns the end. Raises `BadQuery`."""
    end, total = connection.execute(END).fetchone()
    must_follow(end, first)
    if first > end:
        connection.execute(LOST, (first, first))
    for parts in sealed:
        total += parts.size
        connection.execute(INSERT, parts.row(first, total))
        first += parts.count
    return first


def _refused_row(item: Quarantined, kind: int) -> Row:
    about = (item.position, item.source, item.channel, item.received_at, kind, item.reason, item.detail)
    return (*about, quarantine_check(item, kind), item.payload, item.lane)


def _heal(connection: sqlite3.Connection, position: int) -> None:
    """Take one message out of quarantine and out of the ledger's counts: it is counted where it is appended again."""
    found = connection.execute(
        "SELECT source, kind FROM quarantine WHERE position = ? AND healed = 0", (position,)
    ).fetchone()
    if not found:
        raise not_quarantined(position)
    connection.execute(HEALED, (position,))
    connection.execute(ADD, (found[0], *untally(found[1])))
