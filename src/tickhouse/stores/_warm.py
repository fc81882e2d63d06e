"""The warm store on any database that SQLAlchemy knows. A backend's file brings the engine and how rows are saved."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol

import pyarrow as pa
from sqlalchemy import Connection, Engine, Select, Table, delete, func, select

from tickhouse.core.batches import Output, TickBatch
from tickhouse.core.errors import Final, Superseded
from tickhouse.core.model import ACTION, ANOMALY, BAR, COVERAGE, FINDING, INDICATOR, OBSERVATION, SWITCH, TIME, Query
from tickhouse.core.shards import lacking
from tickhouse.stores import NEVER_STORED, Checkpoint, Kept, _migrate, _queries, _rows, _tables, _trim
from tickhouse.stores._ticks_pages import Stretch

METRIC = pa.schema([("at", TIME), ("source", pa.string()), ("name", pa.string()), ("value", pa.float64())])
KEPT_CHECKPOINTS = 2
CHUNK = 20_000


class Ticks(Protocol):
    """The ticks of the last days."""

    def save(self, connection: Connection, batches: Sequence[TickBatch]) -> None:
        """Write ticks; those that are there already stay as they are."""

    def trim(self, connection: Connection, before: int) -> int:
        """Let go of a day that was over by a time (us), and return about how many ticks went with it."""

    def put(self, connection: Connection, rows: pa.Table) -> None:
        """Write rows with the columns of the table; those that are there already stay as they are."""

    def days(self, connection: Connection) -> list[int]:
        """The days that there are, as numbers since 1970."""

    def count(self, connection: Connection, day: int) -> int:
        """How many ticks a day has; they are read from end to end."""

    def read(self, connection: Connection, stretch: Stretch, most: int) -> pa.Table:
        """The first ticks of a stretch, `most` at most, by key."""

    def forget(self, connection: Connection, stretch: Stretch) -> None:
        """Take out the ticks of a stretch."""


@dataclass(frozen=True, slots=True)
class Database:
    """What differs from one database to the next.

    `reader` and `writer` are engines on the same database; a transaction of `writer` takes the lock for writing when it
    begins. `save` writes rows (an Arrow table with the table's columns in their order) by key, replacing what is there as
    `_upsert.upsert` says. `translated` turns the database's errors into ours. `check` has the database look for faults in itself
    and returns a sentence for each. `ticks` keeps them, where the database does. `letters` is the most of a finding's message that
    it has room for; 0: all of it.
    """

    reader: Engine
    writer: Engine
    save: Callable[[Connection, Table, pa.Table], None]
    translated: Callable[[], AbstractContextManager[None]]
    check: Callable[[Connection], list[str]]
    ticks: Ticks | None = None
    letters: int = 0


class SqlWarm:
    """`Warm` on a database. A float that is NaN comes back as null."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, group: str, output: Output, checkpoint: bytes | None = None, since: int | None = None) -> int:
        """Everything of an output, the group's position and the checkpoint, in one transaction, durable on return.

        Returns up to where the group's output is stored then. Raises `Superseded` where another process has written since the
        position `since`, `DiskFull`, `Busy`.
        """
        parts = [
            *_rows.of_output(output, group),
            (_tables.POSITIONS, _rows.few(_tables.POSITIONS, [(group, output.position)])),
        ]
        if checkpoint is not None:
            state = (group, output.position, checkpoint)
            parts.append((_tables.CHECKPOINTS, _rows.few(_tables.CHECKPOINTS, [state])))
        with self._writing() as connection:
            stored = _stored(connection, group)
            if since is not None and stored not in (since, output.position):
                raise Superseded(f"another process stores what {group!r} makes: up to {stored}, here up to {since}")
            for table, rows in parts:
                self._database.save(connection, table, rows)
            if output.ticks and self._database.ticks:
                self._database.ticks.save(connection, output.ticks)
            if checkpoint is not None:
                connection.execute(_surplus(group))
        return max(stored, output.position)

    def position(self, group: str) -> int | None:
        """Up to where the group's output is stored; None before its first write. Of one that is shared, the least of its parts."""
        p = _tables.POSITIONS.c
        with self._reading() as connection:
            rows = connection.execute(select(p.group, p.position).where(_part_of(group))).all()
        parts = [row.group for row in rows if row.group != group]
        return None if lacking(parts) else min((row.position for row in rows), default=None)

    def parts(self, group: str) -> list[str]:
        """The groups with a stored position that are this one or parts of it."""
        with self._reading() as connection:
            return list(connection.execute(select(_tables.POSITIONS.c.group).where(_part_of(group))).scalars())

    def checkpoint(self, group: str) -> Checkpoint | None:
        """The newest checkpoint of the group."""
        c = _tables.CHECKPOINTS.c
        found = select(c.position, c.state).where(c.group == group).order_by(c.position.desc()).limit(1)
        with self._reading() as connection:
            row = connection.execute(found).one_or_none()
        return Checkpoint(row.position, row.state) if row else None

    def bars(self, query: Query) -> pa.Table:
        """Bars, schema `model.BAR`: the newest version of each, or as the query says."""
        return self._versioned(_tables.BARS, BAR, query)

    def indicators(self, query: Query) -> pa.Table:
        """Indicator rows, schema `model.INDICATOR`, likewise."""
        return self._versioned(_tables.INDICATORS, INDICATOR, query)

    def anomalies(self, query: Query) -> pa.Table:
        """Anomalies, schema `model.ANOMALY`, likewise; retracted ones only with `versions`.

        Their key, for `Query.after`, has the detector as its last part.
        """
        return self._versioned(_tables.ANOMALIES, ANOMALY, query)

    def findings(self, query: Query) -> pa.Table:
        """Findings, schema `model.FINDING`, newest last."""
        _queries.checked(_tables.FINDINGS, query)
        return self._timed(FINDING, _queries.findings(FINDING.names, query), query)

    def metrics(self, query: Query) -> pa.Table:
        """The kept quality metrics: at, source, name, value."""
        _queries.checked(_tables.QUALITY_METRICS, query)
        return self._timed(METRIC, _queries.metrics(METRIC.names, query), query)

    def coverage(self, query: Query) -> pa.Table:
        """Coverage, schema `model.COVERAGE`: the stretches that overlap the range, by (symbol, start, source, channel)."""
        _queries.checked(_tables.COVERAGE, query)
        found = _Page(COVERAGE, query.limit)
        with self._reading() as connection:
            for symbol, longest in _queries.covered(connection, query):
                statement = _queries.coverage(COVERAGE.names, query, symbol, longest)
                if found.fill(_chunks(connection, statement, {}, query)):
                    break
        return found.table()

    def observations(self, query: Query) -> pa.Table:
        """Values of economic series, schema `model.OBSERVATION`, by (series, date, source, vintage).

        `symbols` are series, `start` and `end` bound the dates. The newest vintage of each date, or with `as_of` the newest
        of that day in UTC or before; with `versions` every one.
        """
        query = _queries.checked(_tables.OBSERVATIONS, query)
        found = _queries.observations(_tables.OBSERVATIONS, OBSERVATION.names, query)
        with self._reading() as connection:
            return _rows.to_arrow(OBSERVATION, connection.execute(found).all())

    def actions(self, query: Query) -> pa.Table:
        """Splits and dividends, schema `model.ACTION`, by (symbol, date)."""
        found = _queries.actions(_tables.ACTIONS, ACTION.names, query)
        with self._reading() as connection:
            return _rows.to_arrow(ACTION, connection.execute(found).all())

    def switches(self, query: Query) -> pa.Table:
        """When another feed of a group was taken, schema `model.SWITCH`, by (symbol, at): those before `end`, known at `as_of`."""
        with self._reading() as connection:
            return _rows.to_arrow(SWITCH, connection.execute(_queries.switches(SWITCH.names, query)).all())

    def symbols(self) -> list[dict[str, Any]]:
        """Every (symbol, source) with its intervals, first and last bar start (us)."""
        s = _tables.SYMBOLS.c
        found: dict[tuple[str, str], dict[str, Any]] = {}
        with self._reading() as connection:
            rows = connection.execute(select(s.symbol, s.source, s.interval, s.first_start, s.last_start)).all()
        for symbol, source, interval, first, last in sorted(map(tuple, rows)):
            new = {"symbol": symbol, "source": source, "intervals": [], "first_start": first, "last_start": last}
            entry = found.setdefault((symbol, source), new)
            entry["intervals"].append(interval)
            entry["first_start"], entry["last_start"] = min(entry["first_start"], first), max(entry["last_start"], last)
        return list(found.values())

    def ledger(self, group: str | None = None) -> Mapping[tuple[str, str], int]:
        """The tick totals of the engine by (source, name), of one group or over all."""
        t = _tables.LEDGER.c
        found = select(t.source, t.name, func.sum(t.total)).group_by(t.source, t.name)
        with self._reading() as connection:
            rows = connection.execute(found if group is None else found.where(t.group == group)).all()
        return {(source, name): int(total) for source, name, total in rows}

    def measure(self, at: int, values: Mapping[tuple[str, str], float]) -> None:
        """Keep quality metrics (source, name) as a point of a time series."""
        if values:
            with self._writing() as connection:
                points = _rows.few(_tables.QUALITY_METRICS, _rows.of_metrics(at, values))
                self._database.save(connection, _tables.QUALITY_METRICS, points)

    def trim(self, kept: Kept, before: int, interval: str | None = None) -> int:
        """Delete some of what is older than a time (us), in one short transaction; returns how many rows went."""
        ticks = self._database.ticks
        if kept == "ticks":
            if ticks is None:
                return 0
            with self._writing() as connection:
                return ticks.trim(connection, before)
        with self._writing() as connection:
            return _trim.trim(connection, kept, before, interval)

    def verify(self) -> tuple[int, tuple[str, ...]]:
        """Read everything: how many rows there are, and one sentence for each fault found in the structure of the file."""
        rows, faults = 0, list[str]()
        try:
            with self._reading() as connection:
                faults += self._database.check(connection)
                for table in _tables.METADATA.sorted_tables:
                    rows += connection.execute(select(func.count()).select_from(table)).scalar_one()
        except Final as error:
            faults.append(str(error))
        return rows, tuple(faults)

    def upgrade(self) -> str:
        """Bring the tables to the newest version and return its name."""
        with self._database.translated():
            return _migrate.upgrade(self._database.writer)

    def version(self) -> str | None:
        """The version of the tables; None where there are none."""
        with self._database.translated():
            return _migrate.version(self._database.reader)

    @property
    def database(self) -> Database:
        """Where the rows are."""
        return self._database

    def close(self) -> None:
        """Let go of connections."""
        self._database.reader.dispose()

    def _versioned(self, table: Table, schema: pa.Schema, query: Query) -> pa.Table:
        query = _queries.checked(table, query)
        statements = {
            beyond: _queries.versioned(table, schema.names, query, beyond=beyond)
            for beyond in ({False, True} if query.after is not None else {False})
        }
        order = itemgetter(*(schema.names.index(name) for name in _queries.key(table)[2:]))
        found = _Page(schema, query.limit)

        def ask(one: _queries.Series) -> Iterator[Sequence[Any]]:
            beyond = query.after is not None and one[:2] == tuple(query.after[:2])
            return _chunks(connection, statements[beyond], _queries.bound(one, query, found.room), query)

        with self._reading() as connection:
            for parts in _by_pair(_queries.series(connection, query)):
                chunks: Iterable[Sequence[Any]] = (chunk for one in parts for chunk in ask(one))
                if len(parts) > 1:
                    chunks = [sorted((row for chunk in chunks for row in chunk), key=order)]
                if found.fill(chunks):
                    break
        return found.table()

    def _timed(self, schema: pa.Schema, statement: Select[Any], query: Query) -> pa.Table:
        found = _Page(schema, query.limit)
        with self._reading() as connection:
            found.fill(_chunks(connection, statement, {}, query))
        return found.table()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._database.translated(), self._database.reader.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._database.translated(), self._database.writer.begin() as connection:
            yield connection


class _Page:
    """Rows gathered up to a limit, turned into Arrow a bounded number at a time."""

    def __init__(self, schema: pa.Schema, limit: int | None) -> None:
        self._schema, self.room = schema, limit
        self._rows: list[Sequence[Any]] = []
        self._tables: list[pa.Table] = []

    def fill(self, chunks: Iterable[Sequence[Any]]) -> bool:
        """Take rows in; true when there is room for no more."""
        for chunk in chunks:
            rows = chunk if self.room is None else chunk[: self.room]
            if self.room is not None:
                self.room -= len(rows)
            self._rows.extend(rows)
            if len(self._rows) >= CHUNK:
                self._flush()
        return self.room == 0

    def table(self) -> pa.Table:
        """All of it."""
        self._flush()
        return self._tables[0] if len(self._tables) == 1 else pa.concat_tables(self._tables).combine_chunks()

    def _flush(self) -> None:
        self._tables.append(_rows.to_arrow(self._schema, self._rows))
        self._rows = []


def _chunks(
    connection: Connection, statement: Select[Any], values: dict[str, Any], query: Query
) -> Iterator[Sequence[Any]]:
    """The rows of an answer, in ascending order, a bounded number at a time."""
    # as much as there is, so where there is a server it stays there until it is wanted
    streamed = query.last is None and query.limit is None and connection.dialect.supports_server_side_cursors
    answer = connection.execute(statement, values, execution_options={"stream_results": streamed})
    # else the database's own tuples: rows that have names would cost a fifth more
    cursor: Any = answer if streamed else answer.cursor
    try:
        if query.last is not None:
            yield cursor.fetchall()[::-1]
        while rows := cursor.fetchmany(CHUNK):
            yield rows
    finally:
        answer.close()


def _by_pair(series: Iterator[_queries.Series]) -> Iterator[list[_queries.Series]]:
    """Series of the same symbol and interval together."""
    parts: list[_queries.Series] = []
    for one in series:
        if parts and one[:2] != parts[0][:2]:
            yield parts
            parts = []
        parts.append(one)
    if parts:
        yield parts


def _stored(connection: Connection, group: str) -> int:
    p = _tables.POSITIONS.c
    found = connection.execute(select(p.position).where(p.group == group)).scalar()
    return NEVER_STORED if found is None else found


def _part_of(group: str) -> Any:
    name = _tables.POSITIONS.c.group
    return (name == group) | name.startswith(f"{group}.", autoescape=True)


def _surplus(group: str) -> Any:
    """Delete all but the newest checkpoints of a group."""
    c = _tables.CHECKPOINTS.c
    newest = select(c.position).where(c.group == group).order_by(c.position.desc()).limit(KEPT_CHECKPOINTS).subquery()
    oldest = select(func.min(newest.c.position)).scalar_subquery()
    return delete(_tables.CHECKPOINTS).where(c.group == group, c.position < oldest)
