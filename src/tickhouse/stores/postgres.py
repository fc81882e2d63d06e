"""The warm store on a PostgreSQL server: one database a house.

What `write` has returned from is committed there, and on the disk of the server. A reader sees the database as it was when its
question began. Writers take turns. The connections are kept in a pool; one that was lost is replaced at its next use.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

import psycopg
import pyarrow as pa
from pyarrow import compute
from sqlalchemy import Connection, Engine, Table, and_, bindparam, column, create_engine, event, exists, select, text
from sqlalchemy import table as named
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tickhouse.core.errors import BadSetting, Busy
from tickhouse.core.replicas import apart
from tickhouse.core.secrets import without_password
from tickhouse.stores._copy import added, binary, copy, raw, without_nan
from tickhouse.stores._links import Links
from tickhouse.stores._postgres_errors import Place, suitable, translated
from tickhouse.stores._rows import tuples, typed
from tickhouse.stores._tables import ANOMALIES, BARS, COVERED, INDICATORS, SYMBOLS
from tickhouse.stores._ticks import DailyTicks
from tickhouse.stores._upsert import upsert
from tickhouse.stores._warm import Database, SqlWarm

EXPECTED = "postgresql://user:password@host:5432/database; odd letters of a password as %xx, or leave it to PGPASSWORD"
DEFAULTS = {
    "application_name": "tickhouse",
    "connect_timeout": "5",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""Parameters of libpq, seconds but the last, which is milliseconds; those in the URL count instead."""
SESSION = {
    "client_min_messages": "warning",
    "statement_timeout": "60s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
}
"""Settings of each session; `?options=-c statement_timeout=5min` in the URL counts instead."""
DIALECT: Any = postgresql.dialect(paramstyle="format")  # type: ignore[no-untyped-call]
POOLED, MORE = 4, 12
"""Connections that are kept, and how many more there may be at a time."""
LETTERS = 600
"""The most of a finding's message, four bytes each, of which there is room for 2,700 in an index."""
COPIED_FROM = 32
"""Fewer rows than this are sent one by one."""
DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
"""What is committed must be there after a power cut, whatever the server does by itself."""
NEW = (BARS, INDICATORS, ANOMALIES)
"""Tables whose rows are there already only where a run was cut off and is done again."""
GROUPED = (SYMBOLS, COVERED)
"""Tables whose rows come one for each key."""
TURN = "SELECT pg_advisory_xact_lock(hashtext('tickhouse'), hashtext(current_schema()))"
"""Waits for other writers, and for those that upgrade the tables; the end of the transaction gives the turn away."""


BEHIND = """
SELECT CASE
    WHEN NOT pg_is_in_recovery() THEN 'Infinity'
    WHEN pg_last_wal_replay_lsn() >= coalesce(CAST(:mark AS pg_lsn), pg_last_wal_receive_lsn()) THEN 0
    ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 'Infinity')
END::double precision"""
"""Seconds; a server that is no replica, or no longer, is for ever behind."""


class PostgresWarm(SqlWarm):
    """The warm store on a server that may have replicas, and may hang."""

    def __init__(self, database: Database, links: Links) -> None:
        super().__init__(database)
        self._links = links

    def cut(self) -> None:
        """See `stores.Remote.cut`."""
        self._links.cut()

    def close(self) -> None:
        """Let go of connections, also of those on which somebody waits for an answer still."""
        super().close()
        self._links.cut()

    def mark(self) -> str:
        """How far the server is in its log."""
        with self._reading() as connection:
            return str(connection.exec_driver_sql("SELECT pg_current_wal_flush_lsn()").scalar_one())

    def behind(self, mark: str | None) -> float:
        """How many seconds a replica is behind a mark of its server; without one, behind what it has received."""
        with self._reading() as connection:
            return float(connection.execute(text(BEHIND), {"mark": mark}).scalar_one())


def open(url: str, *, upgrade: bool = True) -> PostgresWarm:
    """The store in the database of `postgresql://user:password@host:port/database`, its tables made and upgraded if need be.

    Whatever libpq understands may follow, such as `?sslmode=verify-full`; replicas that are named there are not asked here.
    With `upgrade` false the tables are left as they are, for a process that only reads; tables that are up to date are only read in
    any case, so that a read replica serves it.

    Raises `BadSetting` for another URL, `SettingsError` for a server that refuses us or is too old, and for tables of a newer
    tickhouse, `Unreachable` when it does not answer.
    """
    found = _parsed(url)
    place = Place(found.host or found.query.get("host") or "this machine", found.port or 5432, found.database)
    made = engine(found)
    reader = made.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    writer = made.execution_options(isolation_level="READ COMMITTED", postgresql_readonly=False, in_turn=True)
    database = Database(reader, writer, _save, partial(_translated, place), _check, DailyTicks(), LETTERS)
    warm = PostgresWarm(database, Links(made))
    try:
        if upgrade:
            warm.upgrade()
    except BaseException:
        warm.close()
        raise
    return warm


def _parsed(url: str) -> URL:
    try:
        found = make_url(apart(url).url)
    except (ArgumentError, ValueError) as error:
        raise BadSetting("warm.url", without_password(url), EXPECTED) from error
    if found.drivername != "postgresql" or not found.database:
        raise BadSetting("warm.url", without_password(url), EXPECTED)
    return found.set(drivername="postgresql+psycopg")


def engine(url: URL) -> Engine:
    """Connections to the server."""
    ours = " ".join(f"-c {name}={value}" for name, value in SESSION.items())
    arguments = {name: value for name, value in DEFAULTS.items() if name not in url.query}
    arguments["options"] = f"{ours} {url.query.get('options', '')}".strip()
    made = create_engine(
        url.difference_update_query(["options"]), connect_args=arguments, pool_size=POOLED, max_overflow=MORE,
        pool_timeout=10.0, pool_pre_ping=True, use_native_hstore=False,
    )  # fmt: skip
    event.listen(made, "connect", _prepare)
    event.listen(made, "begin", _begin)
    return made


def _prepare(connection: psycopg.Connection[Any], _record: Any) -> None:
    suitable(connection)
    with connection.transaction():
        connection.execute(DURABLE)


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("in_turn"):
        connection.exec_driver_sql(TURN)


def _save(connection: Connection, table: Table, rows: pa.Table) -> None:
    """A few rows one by one, many by COPY: right into the table where they are likely to be new, else by way of a temporary one."""
    rows = _fitting(without_nan(typed(table, rows)))
    if rows.num_rows >= COPIED_FROM:
        link, sent = raw(connection), binary(rows)
        if table in NEW and not _there(connection, table, rows) and added(link, table.name, sent):
            return
        if table in GROUPED or _apart(table, rows):
            link.execute(_temporary(table))
            copy(link, _new(table), sent)
            connection.exec_driver_sql(_from_new(table))
            return
    connection.exec_driver_sql(_statement(table), [tuple(map(_clean, row)) for row in tuples(rows)])


def _clean(value: Any) -> Any:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _fitting(rows: pa.Table) -> pa.Table:
    """Messages that go into an entry of an index, of which they are a part."""
    at = rows.schema.get_field_index("message")
    if at < 0 or compute.max(compute.utf8_length(rows.column(at))).as_py() <= LETTERS:
        return rows
    return rows.set_column(at, "message", compute.utf8_slice_codeunits(rows.column(at), 0, LETTERS))


def _there(connection: Connection, table: Table, rows: pa.Table) -> bool:
    """Whether the first row is there already, and so probably the others: a COPY that is refused is work and room lost."""
    names = [one.name for one in table.primary_key]
    (key,) = tuples(rows.slice(0, 1).select(names))
    return bool(connection.exec_driver_sql(_lookup(table), tuple(map(_clean, key))).scalar())


@lru_cache
def _lookup(table: Table) -> str:
    key = and_(*(one == bindparam(one.name) for one in table.primary_key))
    return _compiled(select(exists(select(1).select_from(table).where(key))))


def _apart(table: Table, rows: pa.Table) -> bool:
    """Whether no two rows have the same key: in one statement a row cannot be written twice."""
    keys = [one.name for one in table.primary_key]
    return bool(rows.group_by(keys, use_threads=False).aggregate([]).num_rows == rows.num_rows)


def _new(table: Table) -> str:
    return f"new_{table.name}"


@lru_cache
def _temporary(table: Table) -> bytes:
    return f'CREATE TEMP TABLE IF NOT EXISTS "{_new(table)}" (LIKE {table}) ON COMMIT DELETE ROWS'.encode()


@lru_cache
def _statement(table: Table) -> str:
    return _compiled(upsert(postgresql.insert(table), table))


@lru_cache
def _from_new(table: Table) -> str:
    names = [one.name for one in table.columns]
    new = named(_new(table), *(column(name) for name in names))
    rows = select(new)
    if table is SYMBOLS:
        # most say nothing new, and even a row that is left as it is would be locked, which is a write
        s, same = SYMBOLS.c, [SYMBOLS.c[one.name] == new.c[one.name] for one in SYMBOLS.primary_key]
        known = and_(*same, s.first_start <= new.c.first_start, s.last_start >= new.c.last_start)
        rows = rows.where(~exists(select(1).select_from(SYMBOLS).where(known)))
    return _compiled(upsert(postgresql.insert(table).from_select(names, rows), table))


def _compiled(statement: Any) -> str:
    return str(statement.compile(dialect=DIALECT))


def _check(connection: Connection) -> list[str]:
    """What the server finds wrong with our tables: every row is read, which takes its time."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    connection.exec_driver_sql("SELECT sum(price) FROM ticks").all()
    return []


@contextmanager
def _translated(place: Place) -> Iterator[None]:
    """PostgreSQL's errors as ours."""
    try:
        yield
    except PoolTimeout as error:
        raise Busy("too many questions to the warm store at a time; try again", retry_after=1.0) from error
    except (DBAPIError, psycopg.Error) as error:
        origin = error.orig if isinstance(error, DBAPIError) else error
        raise translated(origin, place) from error
