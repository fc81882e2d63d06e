"""A `Query` as SQL, the same for every database.

A question about several series (symbol and interval) is asked one series at a time, in order: each statement is then a
walk along the key, whatever the number of rows, and a page stops as soon as it is full.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Date, Select, Table, Text, bindparam, exists, not_, select, tuple_

from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadQuery
from tickhouse.core.model import Query
from tickhouse.core.times import instant
from tickhouse.stores._tables import ANOMALIES, COVERAGE, COVERED, FINDINGS, QUALITY_METRICS, SWITCHES, SYMBOLS

Series = tuple[str, str, str | None]
"""A symbol and an interval, and a source where it matters."""
SOURCE = bindparam("a_source", type_=Text())
"""Of the type without a collation, which PostgreSQL does not take between BETWEEN and AND."""


def key(table: Table) -> list[str]:
    """The names of a table's key, in order."""
    return [column.name for column in table.primary_key]


def shown(table: Table, names: list[str]) -> list[ColumnElement[Any]]:
    """The columns of an answer."""
    return [table.c[name] for name in names]


def checked(table: Table, query: Query) -> Query:
    """The query, if it can be answered. Raises `BadQuery`."""
    for name in ("limit", "last"):
        number = getattr(query, name)
        if number is not None and number < 0:
            raise BadQuery(f"{name} is {number}; it must be 0 or more")
    if query.after is not None:
        expected = key(table)
        short = len(expected) - 1 if table is ANOMALIES else len(expected)
        if not short <= len(query.after) <= len(expected):
            raise BadQuery(f"after must be the key of a row, ({', '.join(expected)}); it has {len(query.after)} parts")
    return query


def after(table: Table, query: Query, skip: int = 0) -> ColumnElement[bool]:
    """Beyond the last row of the page before; the first `skip` columns of the key are known to be equal."""
    assert query.after is not None
    names, given = key(table)[skip:], query.after[skip:]
    columns = [table.c[name] for name in names[: len(given)]]
    wanted = [_typed(column, value) for column, value in zip(columns, given, strict=False)]
    return tuple_(*columns) > tuple_(*(bindparam(None, v, c.type) for c, v in zip(columns, wanted, strict=True)))


def _typed(column: ColumnElement[Any], value: Any) -> Any:
    """A part of a key as its column has it. Raises `BadQuery`."""
    if isinstance(column.type, Date) and isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise BadQuery(f"after must be the key of a row; {value!r} is no day") from None
    return instant(value, 0) if column.key in ("start", "at") else value


def series(connection: Connection, query: Query) -> Iterator[Series]:
    """The series a question is about, in order; with `last` one for each source."""
    each_source = query.last is not None
    if len(query.symbols) == 1 and query.interval and (query.source or not each_source):
        if query.after is None or (query.symbols[0], query.interval) >= tuple(query.after[:2]):
            yield query.symbols[0], query.interval, query.source
        return
    s = SYMBOLS.c
    where = [column == value for column, value in ((s.interval, query.interval), (s.source, query.source)) if value]
    where += [s.symbol.in_(query.symbols)] if query.symbols else []
    where += [s.last_start >= query.start] if query.start is not None else []
    where += [s.first_start < query.end] if query.end is not None else []
    where += [tuple_(s.symbol, s.interval) >= tuple_(*query.after[:2])] if query.after is not None else []
    columns = [s.symbol, s.interval, *([s.source] if each_source else [])]
    for row in connection.execute(select(*columns).distinct().where(*where).order_by(*columns)).all():
        yield row[0], row[1], row[2] if each_source else query.source


def bound(one: Series, query: Query, room: int | None) -> dict[str, Any]:
    """The values for the statement of `versioned` that ask for one series."""
    limit = query.last if query.last is not None else room
    symbol, interval, source = one
    return {"a_symbol": symbol, "an_interval": interval, "a_source": source, "room": limit}


def versioned(table: Table, names: list[str], query: Query, *, beyond: bool) -> Select[Any]:
    """The rows of one series, in the order of the key; with `last` the newest ones, newest first.

    Built once and asked for each series with the values of `bound`. `beyond` is for the series that `after` is in.
    """
    c = table.c
    where: list[ColumnElement[bool]] = [
        c.symbol == bindparam("a_symbol"),
        c.interval == bindparam("an_interval"),
        *_believed(table, query),
    ]
    if query.source or query.last is not None:  # not `==`: SQLite would drop the column from the order and then sort
        where.append(c.source.between(SOURCE, SOURCE))
    where += [c.start >= query.start] if query.start is not None else []
    where += [c.start < query.end] if query.end is not None else []
    where += [after(table, query, skip=2)] if beyond else []
    if not query.versions:
        where.append(not_(_later(table, query)))
        where += [not_(c.retracted)] if table is ANOMALIES else []
    order = [c[name] for name in key(table)[2:]]
    sort = [column.desc() for column in order] if query.last is not None else order
    found = select(*shown(table, names)).where(*where).order_by(*sort)
    return found.limit(bindparam("room")) if query.last is not None or query.limit is not None else found


def _believed(table: Any, query: Query) -> list[ColumnElement[bool]]:
    where = [table.c.known_at <= query.as_of] if query.as_of is not None else []
    where += [table.c.position <= query.before] if query.before is not None else []
    return where + ([table.c.position > query.since] if query.since is not None else [])


def _later(table: Table, query: Query) -> ColumnElement[bool]:
    """There is a later version of the same row."""
    later = table.alias("later")
    same = [later.c[name] == table.c[name] for name in key(table) if name != "version"]
    return exists(
        select(1).select_from(later).where(*same, later.c.version > table.c.version, *_believed(later, query))
    )


def findings(names: list[str], query: Query) -> Select[Any]:
    """Findings by time; with `last` the newest ones, newest first."""
    c = FINDINGS.c
    where = [c.symbol.in_(query.symbols)] if len(query.symbols) > 1 else [c.symbol == s for s in query.symbols]
    where += [c.position <= query.before] if query.before is not None else []
    return _timed(FINDINGS, names, query, where)


def metrics(names: list[str], query: Query) -> Select[Any]:
    """Quality metrics by time; with `last` the newest ones, newest first."""
    return _timed(QUALITY_METRICS, names, query, [])


def _timed(table: Table, names: list[str], query: Query, where: list[ColumnElement[bool]]) -> Select[Any]:
    c = table.c
    where += [c.source == query.source] if query.source else []
    where += [c.at >= query.start] if query.start is not None else []
    where += [c.at < query.end] if query.end is not None else []
    where += [c.at <= query.as_of] if query.as_of is not None else []
    if query.after is not None:
        where.append(after(table, query))
    order = [c[name] for name in key(table)]
    found = select(*shown(table, names)).where(*where)
    if query.last is not None:
        return found.order_by(*(column.desc() for column in order)).limit(query.last)
    return found.order_by(*order).limit(query.limit)


def covered(connection: Connection, query: Query) -> Iterator[tuple[str, int]]:
    """The symbols a question about coverage is about, each with the length of its longest stretch."""
    where: list[ColumnElement[bool]] = [COVERED.c.symbol.in_(query.symbols)] if query.symbols else []
    if query.after is not None:
        where.append(COVERED.c.symbol >= query.after[0])
    found = select(COVERED.c.symbol, COVERED.c.longest).where(*where).order_by(COVERED.c.symbol)
    for row in connection.execute(found).all():
        yield row[0], row[1]


def coverage(names: list[str], query: Query, symbol: str, longest: int) -> Select[Any]:
    """The stretches of one symbol that overlap the range; with `last` the newest ones, newest first."""
    c = COVERAGE.c
    where: list[ColumnElement[bool]] = [c.symbol == symbol]
    where += [c.source == query.source] if query.source else []
    if query.start is not None:
        where += [c.end > query.start, c.start > query.start - longest]
    where += [c.start < query.end] if query.end is not None else []
    where += [c.start <= query.as_of] if query.as_of is not None else []
    where += [c.position <= query.before] if query.before is not None else []
    if query.after is not None and symbol == query.after[0]:
        where.append(after(COVERAGE, query, skip=1))
    order = [c.start, c.source, c.channel]
    found = select(*shown(COVERAGE, names)).where(*where)
    if query.last is None:
        return found.order_by(*order)
    return found.order_by(*(column.desc() for column in order)).limit(query.last)


def observations(table: Table, names: list[str], query: Query) -> Select[Any]:
    """Observations by key; of each date the newest vintage that was there."""
    c = table.c
    where = _dated(table, c.series, query)
    where += [after(table, query)] if query.after is not None else []
    until = None if query.as_of is None else _day(query.as_of)
    where += [c.vintage <= until] if until else []
    if not query.versions:
        later = table.alias("later")
        same = [later.c[name] == c[name] for name in ("series", "date", "source")]
        newer = [*same, later.c.vintage > c.vintage, *([later.c.vintage <= until] if until else [])]
        where.append(not_(exists(select(1).select_from(later).where(*newer))))
    found = select(*shown(table, names)).where(*where).order_by(*(c[name] for name in key(table)))
    return found.limit(query.limit) if query.limit is not None else found


def switches(names: list[str], query: Query) -> Select[Any]:
    """Switches by symbol and moment."""
    c = SWITCHES.c
    where: list[ColumnElement[bool]] = [c.symbol.in_(query.symbols)] if query.symbols else []
    where += [c.at < query.end] if query.end is not None else []
    where += [c.at <= query.as_of] if query.as_of is not None else []
    return select(*shown(SWITCHES, names)).where(*where).order_by(c.symbol, c.at)


def actions(table: Table, names: list[str], query: Query) -> Select[Any]:
    """Splits and dividends by key."""
    found = select(*shown(table, names)).where(*_dated(table, table.c.symbol, query))
    return found.order_by(*(table.c[name] for name in key(table)))


def _dated(table: Table, name: ColumnElement[Any], query: Query) -> list[ColumnElement[bool]]:
    c = table.c
    where: list[ColumnElement[bool]] = [name.in_(query.symbols)] if query.symbols else []
    where += [c.source == query.source] if query.source else []
    where += [c.date >= _day(query.start)] if query.start is not None else []
    where += [c.date < _day(query.end)] if query.end is not None else []
    return where + ([c.position <= query.before] if query.before is not None else [])


def _day(us: int) -> date:
    """The day of a moment in UTC."""
    return datetime.fromtimestamp(us / SECOND, UTC).date()
