"""One SQLite file in WAL mode: its tables, its connections, its transactions, and what its errors mean to us."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tickhouse.core.errors import BadQuery, BadSetting, Busy, CorruptLog, DiskFull, TickhouseError
from tickhouse.journal._checkpoints import Checkpoints

FORMAT = 2
UPGRADES = {
    1: (
        "ALTER TABLE quarantine ADD COLUMN lane TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE records ADD COLUMN tables BLOB",
    )
}
"""What makes a file of one format one of the next."""
PAGE = 16_384
BUSY_SECONDS = 30.0
SIDE_BY_SIDE = 40_000
"""Bytes of pages that a transaction is taken to write besides its blobs."""

SCHEMA = """
CREATE TABLE records (
    first INTEGER PRIMARY KEY, count INTEGER NOT NULL, source TEXT NOT NULL, channel TEXT NOT NULL, lane TEXT NOT NULL,
    received_at INTEGER NOT NULL, event_min INTEGER, event_max INTEGER, total INTEGER NOT NULL, checks BLOB NOT NULL,
    marks BLOB, bars BLOB, ticks BLOB, raw BLOB NOT NULL, tables BLOB);
CREATE INDEX records_by_event ON records (source, event_max, event_min) WHERE event_max IS NOT NULL;
CREATE TABLE groups (name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE resumes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE ledger (
    source TEXT PRIMARY KEY, received INTEGER NOT NULL, parsed INTEGER NOT NULL, control INTEGER NOT NULL,
    rejected INTEGER NOT NULL, rows INTEGER NOT NULL, invalid INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE quarantine (
    position INTEGER PRIMARY KEY, source TEXT NOT NULL, channel TEXT NOT NULL, received_at INTEGER NOT NULL,
    kind INTEGER NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, check_ BLOB NOT NULL, payload BLOB NOT NULL,
    healed INTEGER NOT NULL DEFAULT 0, lane TEXT NOT NULL DEFAULT '');
CREATE INDEX quarantine_open ON quarantine (position) WHERE healed = 0;
CREATE TABLE floor (only INTEGER PRIMARY KEY CHECK (only = 1), position INTEGER NOT NULL, total INTEGER NOT NULL);
INSERT INTO floor VALUES (1, 0, 0);
"""
"""`total` counts the bytes of all records up to and with this one. The floor is the position below which none is given
out again, and the bytes of the records that retention let go."""


class JournalFile:
    """The file of a journal. One connection writes, under a lock; readers each take one of a pool."""

    def __init__(self, path: Path, durability: str) -> None:
        self.path = path
        self._writing = threading.RLock()
        self._pool: list[sqlite3.Connection] = []
        self._all: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self.closed = False
        with self._opening():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._connect()
            self._create()
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")
            self._lazy = self._connect()
        self.checkpoints = Checkpoints(path, PAGE, self._connect)

    @contextmanager
    def transaction(self, size: int = 0, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A write transaction: all or nothing. `size` is about how many bytes it writes. One that need not be durable
        is kept by any crash of the process, and may be lost with the power."""
        with self._writing:
            self._must_be_open()
            connection = self._writer if durable else self._lazy
            try:
                self.checkpoints.before(size + SIDE_BY_SIDE)
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise translated(error, self.path, writing=True) from error
            finally:
                if connection.in_transaction:
                    connection.rollback()

    def vacuum(self, pages: int) -> None:
        """Give free pages back to the disk. (Only a script steps through all of them; a statement would free one.)"""
        with self._writing:
            self._must_be_open()
            try:
                self.checkpoints.before(pages * PAGE)
                self._writer.executescript(f"BEGIN IMMEDIATE; PRAGMA incremental_vacuum({pages}); COMMIT")
            except sqlite3.Error as error:
                raise translated(error, self.path, writing=True) from error
            finally:
                if self._writer.in_transaction:
                    self._writer.rollback()

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with; read what is needed at once and leave."""
        with self._guard:
            self._must_be_open()
            connection = self._pool.pop() if self._pool else None
        try:
            connection = connection or self._connect()
            yield connection
        except sqlite3.Error as error:
            raise translated(error, self.path) from error
        finally:
            if connection is not None:
                self._give_back(connection)

    def close(self) -> None:
        """Let go of the file. The last to leave copies the log into the database."""
        with self._writing:
            if self.closed:
                return
            self.checkpoints.stop()
            with self._guard:
                self.closed = True
                for connection in (*self._pool, self._lazy, self._writer):
                    connection.close()
                self._pool.clear()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._guard:
            if self.closed:
                connection.close()
            else:
                self._pool.append(connection)

    def _must_be_open(self) -> None:
        if self.closed:
            raise BadQuery(f"the journal {self.path} is closed")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute(f"PRAGMA journal_size_limit = {64 << 20}")
        return connection

    def _create(self) -> None:
        """The tables, in a new file; those of an older format are brought to this one."""
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if version > FORMAT:
            raise BadSetting(
                "journal.url", str(self.path), f"a journal of format {FORMAT}; a newer tickhouse wrote this one"
            )
        if version == FORMAT:
            return
        self._writer.execute(f"PRAGMA page_size = {PAGE}")
        self._writer.execute("PRAGMA auto_vacuum = INCREMENTAL")
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("BEGIN IMMEDIATE")
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        for older in range(version, FORMAT) if version else ():
            for statement in UPGRADES[older]:
                self._writer.execute(statement)
        if version == 0:
            if self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise BadSetting(
                    "journal.url", str(self.path), "a new file or a journal; this is another SQLite database"
                )
            for statement in SCHEMA.strip().split(";\n"):
                self._writer.execute(statement)
        self._writer.execute(f"PRAGMA user_version = {FORMAT}")
        self._writer.execute("COMMIT")

    @contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, TickhouseError) as error:
            for name in ("_writer", "_lazy"):
                if hasattr(self, name):
                    getattr(self, name).close()
            if isinstance(error, TickhouseError):
                raise
            raise translated(error, self.path, writing=True) from error


def translated(error: Exception, path: Path, writing: bool = False) -> TickhouseError:
    """What an error of SQLite or of the system means to us."""
    code = getattr(error, "sqlite_errorcode", None)
    basic = code & 0xFF if code is not None else None
    if basic == sqlite3.SQLITE_FULL or (writing and basic == sqlite3.SQLITE_IOERR):
        return DiskFull(
            f"the journal {path} cannot grow ({error}); nothing acknowledged is lost and nothing more is taken:"
            " free space on that disk and go on"
        )
    if basic in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy(f"another process has held the journal {path} for {BUSY_SECONDS:g} s; try again", retry_after=1.0)
    if basic in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM) or isinstance(error, OSError):
        return BadSetting("journal.url", str(path), f"a file that can be created and written ({error})")
    if isinstance(error, sqlite3.ProgrammingError):
        return BadQuery(f"the journal {path} was closed while it was used ({error})")
    if basic == sqlite3.SQLITE_TOOBIG:
        return BadQuery(
            f"an entry is too large for the journal {path} ({error}); nothing was taken: append it in smaller parts"
        )
    return damaged(path, str(error))


def damaged(path: Path, what: str) -> CorruptLog:
    """The error of a file that is not what was written."""
    return CorruptLog(
        f"the journal {path} is damaged: {what}; `tickhouse verify` names every damaged record. Restore the file from a backup,"
        " or check the disk; what was archived before is whole in the lake"
    )
