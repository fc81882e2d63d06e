"""What is looked at when the first process opens a journal: how the log ended, and whether the last records are whole."""

import base64
import fcntl
import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from tickhouse.core.errors import TickhouseError
from tickhouse.journal._file import JournalFile
from tickhouse.journal._rows import COLUMNS, Row, fault

LOOKED_AT = 8
"""How many of the last records are compared with their checksums at open."""

_FRAME_HEAD, _LOG_HEAD = 24, 32


@contextmanager
def first_opener(path: Path, held: list[IO[bytes]]) -> Iterator[bool]:
    """True for the one process that opens a journal nobody else has open; others wait until it is done.

    The lock file that is put into `held` says that this process has the journal open; it goes with the process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(path.name + ".lock").open("ab")
    held.append(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except BlockingIOError:
        fcntl.flock(file, fcntl.LOCK_SH)
        alone = False
    try:
        yield alone
    except BaseException:
        held.remove(file)
        file.close()
        raise
    if alone:
        fcntl.flock(file, fcntl.LOCK_SH)


def log_salt(path: Path) -> tuple[int, bytes, int] | None:
    """(page size, salt, bytes) of the write-ahead log that an earlier process left, or None."""
    log = path.with_name(path.name + "-wal")
    if not log.exists() or log.stat().st_size < _LOG_HEAD:
        return None
    with log.open("rb") as file:
        _, _, page, _, salt = struct.unpack(">IIII8s", file.read(_LOG_HEAD - 8))
    return page, salt, log.stat().st_size


def torn_log(file: JournalFile, found: tuple[int, bytes, int] | None) -> str | None:
    """A sentence when the log that was found did not end with a whole transaction."""
    if found is None:
        return None
    page, salt, size = found
    with file.reader() as connection:
        _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    end = _LOG_HEAD + max(frames, 0) * (_FRAME_HEAD + page)
    with file.path.with_name(file.path.name + "-wal").open("rb") as log:
        log.seek(end)
        head = log.read(_FRAME_HEAD)
    if len(head) < 16 or head[8:16] != salt:
        return (
            f"{size - end} bytes at the end of the write-ahead log were no whole page and were cut"
            if 0 < len(head) < 16
            else None
        )
    return (
        f"the write-ahead log broke off inside a transaction: {size - end} bytes after its last whole one were cut; an append"
        " that was not acknowledged is gone whole, and nothing else unless the file was damaged from outside"
    )


def cut_tail(file: JournalFile) -> str | None:
    """Cut damaged records at the end of the journal, save their bytes aside, and say so in a sentence."""
    try:
        with file.reader() as connection:
            firsts = [
                f for (f,) in connection.execute("SELECT first FROM records ORDER BY first DESC LIMIT ?", (LOOKED_AT,))
            ]
            bad = {first: what for first in firsts if (what := fault_at(connection, first))}
            last_good = next((f for f in firsts if f not in bad), None)
            while last_good is None and firsts:
                row = connection.execute("SELECT max(first) FROM records WHERE first < ?", (firsts[-1],)).fetchone()
                if row[0] is None:
                    break
                firsts.append(row[0])
                what = fault_at(connection, row[0])
                last_good, bad = (row[0], bad) if what is None else (None, {**bad, row[0]: what})
    except TickhouseError as error:
        return f"the end of the journal cannot be read ({error}); `tickhouse verify` names what is damaged"
    cut = sorted(f for f in bad if last_good is None or f > last_good)
    inside = [f"the record at position {f} is damaged: {bad[f]}" for f in sorted(bad) if f not in cut]
    return "; ".join([*([_cut(file, cut)] if cut else []), *inside]) or None


def fault_at(connection: sqlite3.Connection, first: int) -> str | None:
    """What is wrong with a record, whatever is wrong with it."""
    for topic, columns in COLUMNS.items():
        try:
            row = connection.execute(f"SELECT {columns} FROM records WHERE first = ?", (first,)).fetchone()  # noqa: S608
            what = fault(topic, row)
        except sqlite3.DatabaseError as error:
            return str(error)
        if what:
            return what
    return None


def _cut(file: JournalFile, cut: list[int]) -> str:
    """Take records away, keeping their positions from being given out again."""
    aside = file.path.with_name(file.path.name + ".corrupt")
    try:
        with file.transaction() as connection:
            rows = connection.execute("SELECT * FROM records WHERE first >= ? ORDER BY first", (cut[0],)).fetchall()
            _save(aside, rows)
            groups = connection.execute("SELECT coalesce(max(position), 0) FROM groups").fetchone()[0]
            end = max(rows[-1][0] + _count(rows[-1]), groups)
            connection.execute("UPDATE floor SET position = max(position, ?)", (end,))
            connection.execute("DELETE FROM records WHERE first >= ?", (cut[0],))
    except (TickhouseError, OSError) as error:
        return f"the records from position {cut[0]} on are damaged and cannot be cut ({error})"
    return (
        f"{len(rows)} damaged records at the end, from position {cut[0]} on, were cut; their bytes are in {aside.name};"
        f" the log goes on at position {end}"
    )


def _count(row: Row) -> int:
    return row[1] if isinstance(row[1], int) and 0 < row[1] < 1 << 32 else 1


def _save(aside: Path, rows: list[Row]) -> None:
    """Append rows to a file of JSON lines, blobs in base64, and make it durable."""
    with aside.open("ab") as out:
        for row in rows:
            plain: list[Any] = [base64.b64encode(c).decode() if isinstance(c, bytes) else c for c in row]
            out.write(msgspec.json.encode(plain) + b"\n")
        out.flush()
        os.fsync(out.fileno())
