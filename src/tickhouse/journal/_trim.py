"""Retention: records let go from the oldest on, a few at a time, never beyond the slowest consumer."""

from tickhouse.journal._accounts import Limits
from tickhouse.journal._file import PAGE, JournalFile

AT_A_TIME = 64
"""Records let go in one transaction, so that appends need not wait long."""

ROOM = 32 << 20
"""Free bytes inside the file that are kept for reuse; what is beyond twice of it goes back to the disk."""

PAGES_AT_A_TIME = 1024

OLDEST = """SELECT first + count, received_at, total FROM records
    WHERE first + count <= coalesce((SELECT min(position) FROM groups), 1 << 62) ORDER BY first LIMIT ?"""
FLOOR = """UPDATE floor SET total = ?, position = max(position, coalesce(
    (SELECT first + count FROM records ORDER BY first DESC LIMIT 1), 0))"""
LAST_TOTAL = "SELECT coalesce((SELECT total FROM records ORDER BY first DESC LIMIT 1), total), total FROM floor"


def trim(file: JournalFile, limits: Limits, now: int) -> None:
    """Let records go that are older than the limits say, and give back the disk space beyond what appends reuse."""
    while _trim_some(file, limits, now) == AT_A_TIME:
        pass
    _give_back(file)


def _trim_some(file: JournalFile, limits: Limits, now: int) -> int:
    """Let up to `AT_A_TIME` records go and return how many did."""
    if not (limits.retain_bytes or limits.retain_seconds):
        return 0
    with file.transaction() as connection:
        all_bytes, gone_bytes = connection.execute(LAST_TOTAL).fetchone()
        gone, until = 0, 0
        for end, received_at, total in connection.execute(OLDEST, (AT_A_TIME,)).fetchall():
            if not limits.expired(received_at, all_bytes - gone_bytes, now):
                break
            gone, until, gone_bytes = gone + 1, end, total
        if gone:
            connection.execute(FLOOR, (gone_bytes,))
            connection.execute("DELETE FROM records WHERE first < ?", (until,))
            connection.execute("DELETE FROM quarantine WHERE position < ? AND healed = 1", (until,))
    return gone


def _give_back(file: JournalFile) -> None:
    with file.reader() as connection:
        free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    if free * PAGE <= 2 * ROOM:
        return
    for _ in range((free - ROOM // PAGE) // PAGES_AT_A_TIME):
        file.vacuum(PAGES_AT_A_TIME)
