"""The warm store in one SQLite file: one process writes, several read beside it.

WAL and `synchronous=FULL`: what `write` has returned from survives a power cut. A reader sees the file as it was when its
question began, and never waits for the writer.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tickhouse.core.errors import BadSetting, Busy, DiskFull, Final, SettingsError
from tickhouse.stores._rows import tuples
from tickhouse.stores._upsert import upsert
from tickhouse.stores._warm import Database, SqlWarm

BUSY_MS = 10_000
"""How long a write waits for another one before it is `Busy`."""

NAMED = 20
"""How many faults SQLite names."""

PRAGMAS = {
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "busy_timeout": str(BUSY_MS),
    "wal_autocheckpoint": "4000",
    "journal_size_limit": str(64 << 20),
    "cache_size": "-4096",
    "temp_store": "MEMORY",
}


def open(url: str, *, upgrade: bool = True) -> SqlWarm:
    """The store in the file of `sqlite:///path`, made and upgraded if need be.

    With `upgrade` false the tables are left as they are, for a process that only reads.

    Raises `BadSetting` for a URL without a path, `SettingsError` for tables of a newer tickhouse.
    """
    path = url.removeprefix("sqlite:///")
    if path in ("", url, ":memory:"):
        raise BadSetting("warm.url", url, "the path of a file, such as sqlite:///data/warm.db")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    reader = engine(path)
    warm = SqlWarm(Database(reader, reader.execution_options(begin="BEGIN IMMEDIATE"), _save, _translated, _check))
    if upgrade:
        warm.upgrade()
    return warm


def engine(path: str) -> Engine:
    """Connections to the file, with transactions begun explicitly."""
    made = create_engine(URL.create("sqlite", database=path), max_overflow=64)
    event.listen(made, "connect", _prepare)
    event.listen(made, "begin", _begin)
    return made


def _prepare(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        for name, value in PRAGMAS.items():
            cursor.execute(f"PRAGMA {name} = {value}")
    finally:
        cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _save(connection: Connection, table: Table, rows: pa.Table) -> None:
    connection.exec_driver_sql(_statement(table), tuples(rows))


def _check(connection: Connection) -> list[str]:
    """What SQLite finds wrong with its tables and indexes."""
    rows = connection.exec_driver_sql(f"PRAGMA integrity_check({NAMED})").scalars()
    return [f"the warm store's file: {line}" for line in rows if line != "ok"]


@lru_cache
def _statement(table: Table) -> str:
    return str(upsert(sqlite.insert(table), table).compile(dialect=sqlite.dialect()))


@contextmanager
def _translated() -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except PoolTimeout as error:
        raise Busy("too many questions to the warm store at a time; try again", retry_after=1.0) from error
    except (DBAPIError, sqlite3.Error) as error:
        origin = error.orig if isinstance(error, DBAPIError) else error
        raise _ours(str(getattr(origin, "sqlite_errorname", "")), str(origin)) from error


def _ours(name: str, text: str) -> Exception:
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")):
        return DiskFull("no room is left for the warm store; what was stored is kept, free some space and start again")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Busy(
            f"another process has been writing the warm store for {BUSY_MS // 1000} s; try again", retry_after=1.0
        )
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
        return SettingsError(
            f"the file of the warm store cannot be opened for writing ({text}); check warm.url and its rights"
        )
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return Final(
            f"the file of the warm store is damaged ({text}); restore a backup, or remove it and replay the lake"
        )
    if text.startswith("no such table"):
        return SettingsError("the warm store has no tables yet; run `tickhouse db upgrade`")
    return Final(f"the warm store failed: {text}")
