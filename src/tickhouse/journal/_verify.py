"""Reading a whole journal file and naming every fault."""

import sqlite3
from collections.abc import Iterator

from tickhouse.core.errors import CorruptLog
from tickhouse.journal import Check, Quarantined
from tickhouse.journal._file import JournalFile
from tickhouse.journal._recovery import fault_at
from tickhouse.journal._rows import quarantine_check

NAMED = 20
"""How many faults of SQLite's own check are named."""


def verify(file: JournalFile) -> Check:
    """Compare every checksum, and the structure of the file."""
    faults = list(_structure(file))
    records = messages = 0
    expected: int | None = None
    firsts, gap = _firsts(file)
    faults += gap
    for first, count, what in _records(file, firsts):
        if what:
            faults.append(f"the record at position {first} ({count} messages): {what}")
        if expected is not None and first < expected:
            faults.append(f"the record at position {first} begins inside the one before, which ends at {expected}")
        records, messages, expected = records + 1, messages + count, first + count
    return Check(records, messages, (*faults, *_quarantine(file)))


def _structure(file: JournalFile) -> Iterator[str]:
    try:
        with file.reader() as connection:
            rows = connection.execute(f"PRAGMA quick_check({NAMED})").fetchall()
    except CorruptLog as error:
        yield str(error)
        return
    for (line,) in rows:
        if line != "ok":
            yield f"the file's structure: {line}"


def _firsts(file: JournalFile) -> tuple[list[int], list[str]]:
    """The positions of the records, from both ends towards what cannot be read between."""
    forward, broken = _walk(file, "ASC")
    if broken is None:
        return forward, []
    backward, _ = _walk(file, "DESC")
    last, next_ = (forward or [-1])[-1], (backward or [-1])[-1]
    found = sorted({*forward, *backward})
    return found, [
        f"records between positions {max(last, 0)} and {next_ if next_ > last else 'the end'} cannot be read: {broken}"
    ]


def _walk(file: JournalFile, order: str) -> tuple[list[int], str | None]:
    found: list[int] = []
    try:
        with file.reader() as connection:
            for (first,) in connection.execute(f"SELECT first FROM records NOT INDEXED ORDER BY first {order}"):  # noqa: S608
                found.append(first)
    except CorruptLog as error:
        return found, str(error.__cause__)
    return found, None


def _records(file: JournalFile, firsts: list[int]) -> Iterator[tuple[int, int, str | None]]:
    for first in firsts:
        with file.reader() as connection:
            what = fault_at(connection, first)
            try:
                row = connection.execute("SELECT count FROM records WHERE first = ?", (first,)).fetchone()
            except sqlite3.DatabaseError as error:
                row, what = (0,), what or str(error)
        if row:
            yield first, row[0] if isinstance(row[0], int) else 0, what


def _quarantine(file: JournalFile) -> Iterator[str]:
    columns = "position, source, channel, received_at, reason, detail, payload, healed, lane, kind, check_"
    try:
        with file.reader() as connection:
            for *item, kind, check in connection.execute(f"SELECT {columns} FROM quarantine ORDER BY position"):  # noqa: S608
                if quarantine_check(Quarantined(*item), kind) != check:
                    yield f"the quarantined message at position {item[0]} does not match its checksum"
    except CorruptLog as error:
        yield f"quarantine cannot be read: {error.__cause__}"
