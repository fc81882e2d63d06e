"""One warm store into another, whatever databases they are: table by table along the keys, a page at a time, then compared.

While it is under way the new store has a mark, a row of `positions` that names the old one. With it, rows that are there already
are of the same copy: those that are the same stay, others give way. Without it a store that is not empty is only compared.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from operator import itemgetter
from typing import Any

from sqlalchemy import Table, and_, bindparam, delete, func, literal, select, tuple_

from tickhouse.core.errors import Final, SettingsError, TickhouseError
from tickhouse.core.retry import Insist
from tickhouse.stores import _rows
from tickhouse.stores._copying_ticks import TicksCopying
from tickhouse.stores._tables import CHECKPOINTS, FINDINGS, HEAD, METADATA, POSITIONS
from tickhouse.stores._warm import SqlWarm

PAGE = 10_000
"""Rows that are read, and written in one transaction, at a time."""
MARK = "copy of "
TICKS = "ticks"
MESSAGE = [c.name for c in FINDINGS.columns].index("message")

Row = tuple[Any, ...]
Pair = tuple[Row | None, Row | None]
"""A row of the old store and the one of the same key in the new one."""


@dataclass(slots=True)
class TableCopied:
    """What came of one table: rows in the old store, and in the new one, and how many of these were written."""

    old: int = 0
    new: int = 0
    written: int = 0


@dataclass(slots=True)
class StoreCopied:
    """What came of it, by table; `shortened` are messages of findings for which the new store had no room, `left` says why the
    ticks that the old one keeps were left there."""

    tables: dict[str, TableCopied] = field(default_factory=dict)
    shortened: int = 0
    left: str = ""
    done: int = 0
    """Rows that were looked at, twice each in all: once to copy them, once to compare them."""


class StoreCopying:
    """Copies `old`, whose name is for people, into `new`. Raises `SettingsError` when `new` holds something else.

    Where both keep ticks those of the days from `since` (of 1970) on are copied; None: the new house keeps none.
    """

    def __init__(
        self, old: SqlWarm, new: SqlWarm, name: str, sleep: Callable[[float], object], since: int | None = 0
    ) -> None:
        self.old, self.new, self._mark = old, new, MARK + name
        self._insist = Insist(sleep)
        self._ticks = TicksCopying(old.database, new.database, self._insist, since)
        self._same: StoreCopied | None = None
        """What was found where the new store had all rows already."""

    def rows(self) -> int:
        """How many rows the old store has. Raises `SettingsError` when it is none, or one of an older tickhouse."""
        self._must_be_current()
        rows = sum(self._insist(partial(self._size, table)) for table in METADATA.sorted_tables)
        return rows + self._ticks.size()

    def _must_be_current(self) -> None:
        version = self._insist(self.old.version)
        if version != HEAD:
            found = "has no tables" if version is None else f"has tables of version {version}"
            raise SettingsError(
                f"the store {self._mark.removeprefix(MARK)} {found}, and {HEAD} is wanted: `tickhouse db upgrade`"
            )

    def check(self) -> None:
        """See that the new store is empty, or has a part of this copy, or the same rows. Raises `SettingsError`."""
        if marks := self._marks(self.old):
            raise SettingsError(f"this store is itself a {marks[0]} that is not whole; finish that one first")
        marks = self._marks(self.new)
        if marks not in ([], [self._mark]):
            raise SettingsError(f"the store there holds a {marks[0]} that is not whole; name an empty database")
        if not marks and not self._is_empty():
            self._same = self._compared(lambda done: None, marked=False)

    def run(self, progress: Callable[[StoreCopied], None] = lambda done: None) -> StoreCopied:
        """Copy; `progress` is told after each page."""
        self._must_be_current()
        self.check()
        if self._same is not None:
            return self._same
        if not self._marks(self.new):
            self._insist(partial(self._write, POSITIONS, [], [(self._mark, 0)]))
        done = StoreCopied()
        written = {table.name: self._table(table, done, progress) for table in METADATA.sorted_tables}
        if self._ticks.wanted:
            written[TICKS] = self._ticks.copy(_looking(done, progress))
        done = self._compared(progress, marked=True, before=done.done)
        for name, number in written.items():
            done.tables[name].written = number
        self._insist(partial(self._write, POSITIONS, [(self._mark,)], []))
        return done

    def _compared(self, progress: Callable[[StoreCopied], None], *, marked: bool, before: int = 0) -> StoreCopied:
        """Every table of both stores, read and found the same."""
        done = StoreCopied({table.name: TableCopied() for table in METADATA.sorted_tables}, done=before)
        for table in METADATA.sorted_tables:
            self._compare(table, done, progress, marked=marked)
        if self._ticks.wanted:
            self._compare_ticks(done, progress, marked=marked)
        done.left = self._ticks.left()
        return done

    def _is_empty(self) -> bool:
        """Whether the new store has no rows at all."""
        tables = any(next(self._all(self.new, table), None) for table in METADATA.sorted_tables)
        return not tables and self._ticks.is_empty()

    def _marks(self, warm: SqlWarm) -> list[str]:
        return [name for name, _ in self._all(warm, POSITIONS, marks=True) if name.startswith(MARK)]

    def _table(self, table: Table, done: StoreCopied, progress: Callable[[StoreCopied], None]) -> int:
        """Copy one table; returns how many rows were written."""
        written, lacking, stale = 0, list[Row](), list[Row]()
        for old, new in self._merged(table):
            if new is not None and new != old:
                stale.append(_keyed(table)(new))
            if old is not None and new != old:
                lacking.append(old)
            if max(len(lacking), len(stale)) >= _page(table):
                written += self._flush(table, stale, lacking)
            done.done += old is not None
            if done.done % PAGE == 0:
                progress(done)
        written += self._flush(table, stale, lacking)
        progress(done)
        return written

    def _flush(self, table: Table, stale: list[Row], lacking: list[Row]) -> int:
        if stale or lacking:
            self._insist(partial(self._write, table, [*stale], [*lacking]))
        written = len(lacking)
        stale.clear()
        lacking.clear()
        return written

    def _compare(
        self, table: Table, done: StoreCopied, progress: Callable[[StoreCopied], None], *, marked: bool
    ) -> None:
        """Read a table of both stores. Raises `Final`, or `SettingsError` where nothing was copied, for a row that differs."""
        count = done.tables[table.name]
        for old, new in self._merged(table, done):
            count.old, count.new = count.old + (old is not None), count.new + (new is not None)
            if old != new:
                raise _differs(f"{table.name} {_keyed(table)(old or new or ())}", marked=marked)
            done.done += 1
            if done.done % PAGE == 0:
                progress(done)

    def _compare_ticks(self, done: StoreCopied, progress: Callable[[StoreCopied], None], *, marked: bool) -> None:
        before = done.done
        for where in self._ticks.compare(_looking(done, progress)):
            raise _differs(where, marked=marked)
        done.tables[TICKS] = TableCopied(done.done - before, done.done - before)

    def _merged(self, table: Table, done: StoreCopied | None = None) -> Iterator[Pair]:
        """The rows of both stores by key."""
        theirs, key_of = self._all(self.new, table), _keyed(table)
        there = next(theirs, None)
        for row in self._fitting(table, done):
            key = key_of(row)
            while there is not None and key_of(there) < key:
                yield None, there
                there = next(theirs, None)
            if there is not None and key_of(there) == key:
                # it is ahead of what is yielded, so that nothing that is written now comes here again
                same, there = there, next(theirs, None)
                yield row, same
            else:
                yield row, None
        while there is not None:
            yield None, there
            there = next(theirs, None)

    def _fitting(self, table: Table, done: StoreCopied | None) -> Iterator[Row]:
        """The rows of the old store as the new one has room for them."""
        letters, rows = self.new.database.letters, self._all(self.old, table)
        if table is not FINDINGS or not letters:
            yield from rows
            return
        before: Row | None = None
        for row in rows:
            short = (*row[:MESSAGE], row[MESSAGE][:letters], *row[MESSAGE + 1 :])
            if done is not None:
                done.shortened += short != row
            if before is not None and _keyed(table)(before) != _keyed(table)(short):
                yield before
            before = short
        if before is not None:
            yield before

    def _all(self, warm: SqlWarm, table: Table, *, marks: bool = False) -> Iterator[Row]:
        """Every row of a table in the order of its key, without marks."""
        after: Row | None = None
        while True:
            rows = self._insist(partial(_read, warm, table, after))
            for row in rows:
                if marks or table is not POSITIONS or not str(row[0]).startswith(MARK):
                    yield row
            if len(rows) < _page(table):
                return
            after = _keyed(table)(rows[-1])

    def _size(self, table: Table) -> int:
        with self.old.database.translated(), self.old.database.reader.begin() as connection:
            return int(connection.execute(select(func.count()).select_from(table)).scalar_one())

    def _write(self, table: Table, stale: Sequence[Row], rows: Sequence[Row]) -> None:
        """Take out the rows of some keys and put rows in, in one transaction."""
        database, key = self.new.database, list(table.primary_key)
        with database.translated(), database.writer.begin() as connection:
            if stale:
                where = and_(*(column == bindparam(f"key_{n}", type_=column.type) for n, column in enumerate(key)))
                gone = [{f"key_{n}": value for n, value in enumerate(values)} for values in stale]
                connection.execute(delete(table).where(where), gone)
            if rows:
                database.save(connection, table, _rows.few(table, rows))


def _looking(done: StoreCopied, progress: Callable[[StoreCopied], None]) -> Callable[[int], None]:
    """Takes rows that were looked at."""

    def looked(rows: int) -> None:
        done.done += rows
        progress(done)

    return looked


def _differs(where: str, *, marked: bool) -> TickhouseError:
    """What to say of a row that is not the same in both stores, of which the new one is `marked` as a copy."""
    if marked:
        return Final(f"{where} is not the same there; was the store written while it was copied? Copy again")
    return SettingsError(f"the store there holds other rows than this one ({where}); name an empty database")


def _read(warm: SqlWarm, table: Table, after: Row | None) -> list[Row]:
    """A page of rows behind a key."""
    key = list(table.primary_key)
    wanted = select(*table.columns).order_by(*key).limit(_page(table))
    if after is not None:
        behind = (literal(value, column.type) for column, value in zip(key, after, strict=True))
        wanted = wanted.where(tuple_(*key) > tuple_(*behind))
    with warm.database.translated(), warm.database.reader.begin() as connection:
        return [tuple(row) for row in connection.execute(wanted)]


@cache
def _keyed(table: Table) -> Callable[[Row], Row]:
    """What tells the key of a row."""
    names = [column.name for column in table.columns]
    places = [names.index(column.name) for column in table.primary_key]
    return itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)


def _page(table: Table) -> int:
    """How many rows at a time: a checkpoint is large."""
    return 1 if table is CHECKPOINTS else PAGE
