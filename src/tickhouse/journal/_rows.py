"""One entry as one row of the journal, and back, with checksums over every column.

A row has two checksums, so that a reader of one topic need not read the other: each covers the columns about the
record, and then its own: `raw`, or `ticks`, `bars` and `marks`.
"""

from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np

from tickhouse.core.batches import Entry, RawBatch, Record
from tickhouse.journal import Quarantined, Topic
from tickhouse.journal import _codec as codec
from tickhouse.journal._accounts import events

HEAD = "first, count, source, channel, lane, received_at, event_min, event_max, total, checks"
COLUMNS: dict[Topic, str] = {"raw": f"{HEAD}, raw", "ticks": f"{HEAD}, marks, bars, ticks, tables"}
INSERT = f"INSERT INTO records ({HEAD}, marks, bars, ticks, tables, raw) VALUES ({', '.join('?' * 15)})"  # noqa: S608
ABOUT = 9
"""How many columns come before the checksums."""
RAW_CHECK, ROWS_CHECK = slice(0, 8), slice(8, 16)

Row = tuple[Any, ...]
_sum = partial(blake2b, digest_size=8)
_head = msgspec.msgpack.Encoder().encode
_NOTHING = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Sealed:
    """An entry in the form it is stored, but for its position, which is known inside the transaction."""

    about: tuple[Any, ...]
    count: int
    size: int
    raw_sum: bytes
    rows_sum: bytes
    blobs: tuple[bytes | None, ...]

    def row(self, first: int, total: int) -> Row:
        """The row of this entry at its position, where `total` counts the bytes up to and with it."""
        about = (first, self.count, *self.about, total)
        return (*about, _check(about, self.raw_sum) + _check(about, self.rows_sum), *self.blobs)


def seal(entry: Entry) -> Sealed:
    """Encode and compress an entry."""
    raw = entry.raw
    marks = codec.encode_marks(entry.marks) if entry.marks else None
    bars = codec.encode_bars(entry.bars) if entry.bars else None
    ticks = codec.encode_ticks(entry.ticks) if entry.ticks else None
    tables = codec.encode_tables(entry.observations, entry.actions)
    messages = codec.encode_raw(raw, entry.kinds)
    blobs = (marks, bars, ticks, tables, messages)
    about = (raw.source, raw.channel, raw.lane, int(raw.received_at[-1]), *events(entry))
    size = sum(len(blob) for blob in blobs if blob is not None)
    return Sealed(about, len(raw), size, _sum(messages).digest(), _rows_sum(marks, bars, ticks, tables), blobs)


def fault(topic: Topic, row: Row) -> str | None:
    """What is wrong with a row of one topic's columns, or None."""
    about, checks = row[:ABOUT], row[ABOUT]
    if not isinstance(checks, bytes) or len(checks) != 16:
        return "its checksum is unreadable"
    try:
        own = _sum(row[ABOUT + 1]).digest() if topic == "raw" else _rows_sum(*row[ABOUT + 1 :])
    except TypeError:
        return "a column has the wrong type"
    if checks[RAW_CHECK if topic == "raw" else ROWS_CHECK] == _check(about, own):
        return None
    return f"its {'raw messages do' if topic == 'raw' else 'rows do'} not match their checksum"


def opened(topic: Topic, row: Row) -> Record:
    """The record of a row whose checksum is right."""
    first, count, source, channel, lane, received_at = row[:6]
    if topic == "raw":
        like = RawBatch(source, channel, lane, _NOTHING.view(np.uint8), _NOTHING, _NOTHING, _NOTHING, first)
        raw, kinds = codec.decode_raw(row[ABOUT + 1], like)
        return Record(first, count, source, channel, lane, received_at, raw, kinds)
    marks, bars, ticks, tables = row[ABOUT + 1 :]
    observations, actions = codec.decode_tables(tables, first) if tables else (None, None)
    return Record(
        first, count, source, channel, lane, received_at,
        ticks=codec.decode_ticks(ticks, first) if ticks else None,
        bars=codec.decode_bars(bars, first) if bars else None,
        marks=codec.decode_marks(marks) if marks else (), observations=observations, actions=actions,
    )  # fmt: skip


def quarantine_check(item: Quarantined, kind: int) -> bytes:
    """The checksum of a quarantined message. Rows from before there was a lane are as they were summed then."""
    columns = (item.position, item.source, item.channel, item.received_at, kind, item.reason, item.detail, item.payload)
    return _sum(_head((*columns, item.lane) if item.lane else columns)).digest()


def _rows_sum(marks: bytes | None, bars: bytes | None, ticks: bytes | None, tables: bytes | None) -> bytes:
    total = _sum()
    blobs = (marks, bars, ticks) if tables is None else (marks, bars, ticks, tables)
    for blob in blobs:
        total.update(b"-" if blob is None else len(blob).to_bytes(8, "little"))
        total.update(blob or b"")
    return total.digest()


def _check(about: tuple[Any, ...], content: bytes) -> bytes:
    return _sum(_head(about), key=content).digest()
