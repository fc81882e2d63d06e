"""What has been spent of each provider's quota: one small SQLite file, shared by all processes and kept over restarts."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tickhouse.core.clock import SECOND, Clock
from tickhouse.core.errors import Busy
from tickhouse.core.requests import Pace

_TABLES = """
create table if not exists spent (feed text not null, at integer not null, weight integer not null);
create index if not exists spent_by_feed on spent (feed, at);
create table if not exists day (feed text primary key, day text not null, weight integer not null) without rowid;
create table if not exists ban (feed text primary key, until integer not null) without rowid;
"""


MINUTE = 60 * SECOND


class _Limit(NamedTuple):
    """At most `most` in any `span` microseconds, and `asked` more are asked for."""

    span: int
    most: int
    counts_weight: bool
    asked: int


class Budget:
    """Quotas by sliding second and minute and by calendar day, counted in one transaction for all processes.

    Calls take well under a millisecond, but they touch a file: from an event loop, call them in a thread. Safe to call from
    several threads.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock, self._lock = clock, Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=normal")
            self._db.executescript(_TABLES)
        except sqlite3.Error as error:
            raise Busy(f"cannot open {path}, where the quotas are counted: {error}") from error

    def take(self, feed: str, pace: Pace, weight: int = 1) -> float:
        """Spend `weight` now and return 0, or spend nothing and return the seconds until there is room for it.

        A weight above the limit itself is let through when nothing else is spent, for else it could never be.
        """
        now = self._clock.now()
        with self._transaction() as db:
            banned = db.execute("select until from ban where feed = ?", (feed,)).fetchone()
            waits = [(banned[0] - now) / SECOND if banned else 0.0, self._day_wait(feed, pace, weight, now)]
            waits += [self._sliding_wait(feed, now, limit) for limit in _limits(pace, weight)]
            if max(waits) > 0:
                return max(waits)
            self._spend(feed, pace, weight, now)
            return 0.0

    def ban(self, feed: str, seconds: float) -> None:
        """Let nothing through for so many seconds, in no process, restarted or not: the provider asked for it."""
        until = self._clock.now() + round(seconds * SECOND)
        with self._transaction() as db:
            db.execute(
                "insert into ban values (?, ?) on conflict (feed) do update set until = max(until, excluded.until)",
                (feed, until),
            )

    def left(self, feed: str, pace: Pace) -> dict[str, int]:
        """What is left of the limits that the feed has, by `minute` and `day`."""
        now = self._clock.now()
        with self._transaction("deferred") as db:
            minute = db.execute(
                "select coalesce(sum(weight), 0) from spent where feed = ? and at > ?", (feed, now - MINUTE)
            ).fetchone()[0]
            used = {"minute": (pace.per_minute, minute), "day": (pace.per_day, self._spent_today(feed, pace, now))}
        return {name: max(0, limit - spent) for name, (limit, spent) in used.items() if limit}

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _transaction(self, kind: str = "immediate") -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute(f"begin {kind}")
                yield self._db
                self._db.execute("commit")
            except sqlite3.Error as error:
                raise Busy(f"the file where the quotas are counted cannot be used: {error}") from error
            finally:
                if self._db.in_transaction:
                    self._db.execute("rollback")

    def _sliding_wait(self, feed: str, now: int, limit: _Limit) -> float:
        """Seconds until the limit's span has room for what is asked for."""
        rows = self._db.execute(
            "select at, iif(?, weight, 1) from spent where feed = ? and at > ? and at <= ? order by at",
            (limit.counts_weight, feed, now - limit.span, now + MINUTE),
        ).fetchall()
        over = sum(spent for _, spent in rows) + limit.asked - limit.most
        wait = 0
        for at, spent in rows:
            if over <= 0:
                break
            over -= spent
            wait = at + limit.span - now
        return wait / SECOND

    def _day_wait(self, feed: str, pace: Pace, weight: int, now: int) -> float:
        limit = pace.per_day
        if not limit or self._spent_today(feed, pace, now) + min(weight, limit) <= limit:
            return 0.0
        return (day_end(pace, now) - now) / SECOND

    def _spent_today(self, feed: str, pace: Pace, now: int) -> int:
        day = _local(pace, now).date().isoformat()
        row = self._db.execute("select weight from day where feed = ? and day = ?", (feed, day)).fetchone()
        return int(row[0]) if row else 0

    def _spend(self, feed: str, pace: Pace, weight: int, now: int) -> None:
        day = _local(pace, now).date().isoformat()
        self._db.execute("insert into spent values (?, ?, ?)", (feed, now, weight))
        # What lies far ahead was counted before the clock was put back.
        oldest = now - max(MINUTE, *(limit.span for limit in _limits(pace, weight)), 0)
        self._db.execute("delete from spent where feed = ? and (at < ? or at > ?)", (feed, oldest, now + MINUTE))
        self._db.execute("delete from ban where until < ?", (now,))
        self._db.execute(
            "insert into day values (?, ?, ?) on conflict (feed) do update set "
            "weight = iif(day = excluded.day, weight + excluded.weight, excluded.weight), day = excluded.day",
            (feed, day, weight),
        )


def day_end(pace: Pace, now: int) -> int:
    """When the quota of the day of a moment ends and the next one begins (us).

    >>> day_end(Pace(day_zone="America/New_York"), 1_767_225_600_000_000) - 1_767_225_600_000_000 == 5 * 3600 * SECOND
    True
    """
    local = _local(pace, now)
    midnight = datetime.combine(local.date() + timedelta(days=1), datetime.min.time(), local.tzinfo)
    return round(midnight.timestamp()) * SECOND


def _local(pace: Pace, now: int) -> datetime:
    return datetime.fromtimestamp(now // SECOND, UTC).astimezone(ZoneInfo(pace.day_zone))


def _limits(pace: Pace, weight: int) -> list[_Limit]:
    limits = []
    if pace.per_second >= 1:
        limits.append(_Limit(SECOND, int(pace.per_second), False, 1))
    elif pace.per_second > 0:
        limits.append(_Limit(round(SECOND / pace.per_second), 1, False, 1))
    if pace.per_minute:
        limits.append(_Limit(MINUTE, pace.per_minute, True, weight))
    return limits
