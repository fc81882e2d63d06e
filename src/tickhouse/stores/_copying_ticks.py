"""The ticks that PostgreSQL keeps into another PostgreSQL: a stretch of a day at a time, begun again where it stopped."""

from collections.abc import Callable, Iterator
from functools import partial

import pyarrow as pa

from tickhouse.core.retry import Insist
from tickhouse.stores._ticks_pages import Stretch, date_of, last_key
from tickhouse.stores._warm import Database, Ticks

PAGE = 50_000
"""Ticks that are read, and written in one transaction, at a time."""
Looked = Callable[[int], None]
"""Takes how many ticks of the old store were looked at."""


class TicksCopying:
    """Copies the days of `old` from day `since` (of 1970) on into `new`; other ticks of these days there give way.

    Nothing is done where `since` is None, as the new house keeps no ticks, or one of the two cannot.
    """

    def __init__(self, old: Database, new: Database, insist: Insist, since: int | None) -> None:
        self.old, self.new, self._insist, self.since = old, new, insist, since
        self.wanted = since is not None and None not in (old.ticks, new.ticks)

    def left(self) -> str:
        """Why the ticks of the old store stay there; empty when they do not, or there are none."""
        if self.wanted or self.old.ticks is None or not self._insist(partial(_days, self.old)):
            return ""
        return "the house there keeps none (warm.keep_ticks)" if self.new.ticks else "only PostgreSQL keeps them"

    def size(self) -> int:
        """How many ticks there are to copy."""
        return sum(self._insist(partial(_count, self.old, day)) for day in self._days(self.old))

    def is_empty(self) -> bool:
        """Whether the new store has no ticks of these days."""
        return not any(self._read(self.new, Stretch(day), 1).num_rows for day in self._days(self.new))

    def copy(self, looked: Looked) -> int:
        """Copy; returns how many were written. Stretches that are the same there stay."""
        written = 0
        for stretch, rows, there in self._pages():
            if not rows.equals(there):
                self._insist(partial(self._write, stretch, rows, there.num_rows > 0))
                written += rows.num_rows
            looked(rows.num_rows)
        return written

    def compare(self, looked: Looked) -> Iterator[str]:
        """Read both; where the two are not the same is yielded."""
        for stretch, rows, there in self._pages():
            looked(rows.num_rows)
            if not rows.equals(there):
                behind = "" if stretch.after is None else f" behind {stretch.after[0]} {stretch.after[1]}"
                yield f"ticks of {date_of(stretch.day):%Y-%m-%d}{behind}"

    def _pages(self) -> Iterator[tuple[Stretch, pa.Table, pa.Table]]:
        """The stretches of all days, with what both stores have of them."""
        for day in sorted({*self._days(self.old), *self._days(self.new)}):
            stretch: Stretch | None = Stretch(day)
            while stretch is not None:
                rows = self._read(self.old, stretch, PAGE)
                last = last_key(rows) if rows.num_rows == PAGE else None
                stretch = stretch._replace(last=last)
                # one more shows that there is something else
                yield stretch, rows, self._read(self.new, stretch, PAGE + 1)
                stretch = None if last is None else Stretch(day, after=last)

    def _days(self, database: Database) -> list[int]:
        days = self._insist(partial(_days, database)) if self.wanted else []
        return [day for day in days if self.since is not None and day >= self.since]

    def _read(self, database: Database, stretch: Stretch, most: int) -> pa.Table:
        return self._insist(partial(_read, database, stretch, most))

    def _write(self, stretch: Stretch, rows: pa.Table, others: bool) -> None:
        """Have just these ticks in a stretch, in one transaction."""
        ticks = _kept(self.new)
        with self.new.translated(), self.new.writer.begin() as connection:
            if others:
                ticks.forget(connection, stretch)
            if rows.num_rows:
                ticks.put(connection, rows)


def _kept(database: Database) -> Ticks:
    assert database.ticks is not None
    return database.ticks


def _days(database: Database) -> list[int]:
    with database.translated(), database.reader.begin() as connection:
        return _kept(database).days(connection)


def _read(database: Database, stretch: Stretch, most: int) -> pa.Table:
    with database.translated(), database.reader.begin() as connection:
        return _kept(database).read(connection, stretch, most)


def _count(database: Database, day: int) -> int:
    with database.translated(), database.reader.begin() as connection:
        return _kept(database).count(connection, day)
