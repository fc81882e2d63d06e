"""The records of one shard: the ticks of its partition alone, and the landmarks of the others, which are beside the index."""

import zlib
from collections.abc import Sequence

import numpy as np

from tickhouse.core.batches import Passing, Record, TickBatch
from tickhouse.core.shards import Shard, of_shard, parted
from tickhouse.journal import _codec as codec
from tickhouse.journal._kafka.entry import Indexed, spread
from tickhouse.journal._kafka.read import Found, Reader, cut, damaged, ranges, record
from tickhouse.journal._kafka.stream import Key
from tickhouse.journal._kafka.ticks import Columns

NOTHING = (0, 0, 0)


def _is_shared(entry: Indexed) -> bool:
    """Whether it says what shards must know; entries of older houses do not."""
    return not entry.rows or "landmarks" in entry.blobs


def _run_of(entry: Indexed, number: int) -> tuple[int, int, int]:
    """The partition, first offset and number of its ticks there."""
    return next((run for run in entry.about.ticks if run[0] == number), NOTHING)


def records(reader: Reader, entries: Sequence[Indexed], shard: Shard) -> list[Record]:
    """The records of a shard. Raises `CorruptLog`, `Unreachable`; `Gone` when they were let go meanwhile."""
    if shard.of != reader.place.partitions or not all(map(_is_shared, entries)):
        return of_shard(reader.records("ticks", entries), shard)
    name = reader.place.topic("ticks")
    found = reader.rows.take(ranges((name, *_run_of(entry, shard.number)) for entry in entries))
    at: dict[Key, int] = {}
    values: list[bytes] = []
    for entry in entries:
        values += _values(entry, found, at, (name, shard.number))
    batches = _batches(entries, values, shard)
    return [_record(entry, ticks, shard) for entry, ticks in zip(entries, batches, strict=True)]


def _values(entry: Indexed, found: Found, at: dict[Key, int], key: Key) -> list[bytes]:
    _, first, count = _run_of(entry, key[1])
    if not count:
        return []
    values = [message.value() for message in cut(found, at, key, first, count)]
    place = [number for number, _, _ in entry.about.ticks].index(key[1])
    if zlib.crc32(b"\n".join(values)) != entry.about.part_checks[place]:
        raise damaged(entry, f"its rows in partition {key[1]} do not match their checksum")
    return values


def _batches(entries: Sequence[Indexed], values: Sequence[bytes], shard: Shard) -> list[TickBatch | None]:
    """The ticks of each entry; None where it has none in the partition."""
    if not values:
        return [None] * len(entries)
    own = [[symbol for symbol in entry.about.symbols if shard.has(symbol)] for entry in entries]
    conditions = list(dict.fromkeys(["", *(text for entry in entries for text in entry.about.conditions)]))
    columns, start = Columns(values, list(dict.fromkeys(s for symbols in own for s in symbols)), conditions), 0
    batches: list[TickBatch | None] = []
    for entry, symbols in zip(entries, own, strict=True):
        about, count = entry.about, _run_of(entry, shard.number)[2]
        rows, start = slice(start, start + count), start + count
        texts = (symbols, about.conditions)
        batches.append(columns.batch(rows, (about.source, about.lane), texts, _exact(entry, shard)) if count else None)
    return batches


def _places(entry: Indexed, shard: Shard) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Where the ticks of the shard were among all of the entry."""
    return np.flatnonzero(np.frombuffer(spread(entry.blobs["order"]), np.uint8) == shard.number)


def _exact(entry: Indexed, shard: Shard) -> bytes | None:
    """The numbers that JSON cannot say, of the shard's ticks."""
    if "exact" not in entry.blobs:
        return None
    (rows, prices, sizes), _ = codec.unpack(entry.blobs["exact"])
    places = _places(entry, shard)
    mine = np.isin(rows, places)
    return codec.pack([np.searchsorted(places, rows[mine]), prices[mine], sizes[mine]], []) if mine.any() else None


def _record(entry: Indexed, ticks: TickBatch | None, shard: Shard) -> Record:
    return parted(record(entry, ticks, _passing(entry, shard) if entry.rows else None), shard)


def _passing(entry: Indexed, shard: Shard) -> Passing:
    (places, event_time, received_at, raw), _ = codec.unpack(entry.blobs["landmarks"])
    own = _places(entry, shard)
    other = ~np.isin(places, own)
    columns = (column[other] for column in (places, event_time, received_at, raw + entry.about.first))
    return Passing(entry.rows, own, *columns)
