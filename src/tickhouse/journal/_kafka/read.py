"""Records out of index entries and the messages at their offsets, with every checksum compared."""

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tickhouse.core.batches import Passing, RawBatch, Record, TickBatch
from tickhouse.core.errors import CorruptLog
from tickhouse.journal import Topic
from tickhouse.journal import _codec as codec
from tickhouse.journal._kafka.entry import Indexed, spread
from tickhouse.journal._kafka.place import Message, Place
from tickhouse.journal._kafka.stream import Key, Streams
from tickhouse.journal._kafka.ticks import Columns

Found = Mapping[Key, Sequence[Message]]


@dataclass(slots=True)
class Reader:
    """Fetches what index entries point to. `large` gives the bytes at (offset, parts) of the quarantine."""

    place: Place
    raws: Streams
    rows: Streams
    large: Callable[[int, int], bytes]

    def records(self, topic: Topic, entries: Sequence[Indexed]) -> list[Record]:
        """The records of a topic. Raises `CorruptLog`, `Unreachable`; `Gone` when they were let go meanwhile."""
        if topic == "raw":
            found = self.raws.take(
                ranges((self.place.raw(e.about.source), 0, e.about.raw, e.about.count) for e in entries)
            )
            return self._raw(entries, found)
        name = self.place.topic("ticks")
        found = self.rows.take(ranges((name, *run) for e in entries for run in e.about.ticks))
        return self._ticks(entries, found, name)

    def _raw(self, entries: Sequence[Indexed], found: Found) -> list[Record]:
        at: dict[Key, int] = {}
        records = []
        for entry in entries:
            about = entry.about
            key = (self.place.raw(about.source), 0)
            messages = cut(found, at, key, about.raw, about.count)
            payloads = [message.value() or b"" for message in messages]
            for index, offset, n in about.large:
                payloads[index] = self.large(offset, n)
            if zlib.crc32(b"".join(payloads)) != about.raw_check:
                raise damaged(entry, "its raw messages do not match their checksum")
            (received, kinds), _ = codec.unpack(entry.blobs["columns"])
            raw = RawBatch.of(about.source, about.channel, payloads, received, about.lane)
            raw = RawBatch(raw.source, raw.channel, raw.lane, raw.data, raw.offsets, raw.ends, received, about.first)
            records.append(Record(*_about(entry), raw, kinds))
        return records

    def _ticks(self, entries: Sequence[Indexed], found: Found, name: str) -> list[Record]:
        at: dict[Key, int] = {}
        values: list[bytes] = []
        for entry in entries:
            if entry.rows:
                own = _values(entry, found, at, name)
                if zlib.crc32(b"\n".join(own)) != entry.about.ticks_check:
                    raise damaged(entry, "its rows do not match their checksum")
                values += own
        batches = _batches(entries, values)
        return [record(entry, ticks) for entry, ticks in zip(entries, batches, strict=True)]


def ranges(runs: Iterable[tuple[str, int, int, int]]) -> dict[Key, tuple[int, int]]:
    """The first and the last offset of each topic-partition."""
    found: dict[Key, tuple[int, int]] = {}
    for topic, number, first, count in runs:
        if count:
            begin, _ = found.get((topic, number), (first, 0))
            found[topic, number] = (begin, first + count - 1)
    return found


def cut(found: Found, at: dict[Key, int], key: Key, first: int, count: int) -> Sequence[Message]:
    """The next messages of a topic-partition, which must be at these offsets."""
    start = at.get(key, 0)
    while start < len(found[key]) and found[key][start].offset() < first:
        start += 1  # of somebody else
    messages = found[key][start : start + count]
    at[key] = start + count
    if len(messages) < count or messages[0].offset() != first or messages[-1].offset() != first + count - 1:
        raise CorruptLog(
            f"{key[0]}[{key[1]}] has other messages than the index says at offsets {first} to {first + count - 1}"
        )
    return messages


def _values(entry: Indexed, found: Found, at: dict[Key, int], name: str) -> list[bytes]:
    """The ticks of an entry in their order."""
    order = np.frombuffer(spread(entry.blobs["order"]), np.uint8)
    if len(entry.about.ticks) == 1:
        number, first, count = entry.about.ticks[0]
        return [message.value() for message in cut(found, at, (name, number), first, count)]
    rows = np.empty(len(order), object)
    for number, first, count in entry.about.ticks:
        rows[order == number] = [message.value() for message in cut(found, at, (name, number), first, count)]
    return list(rows)


def _batches(entries: Sequence[Indexed], values: Sequence[bytes]) -> list[TickBatch | None]:
    if not values:
        return [None] * len(entries)
    symbols = list(dict.fromkeys(s for e in entries for s in e.about.symbols))
    conditions = list(dict.fromkeys(["", *(c for e in entries for c in e.about.conditions)]))
    columns, at = Columns(values, symbols, conditions), 0
    batches: list[TickBatch | None] = []
    for entry in entries:
        if not entry.rows:
            batches.append(None)
            continue
        about, part = entry.about, slice(at, at + entry.rows)
        texts = (about.symbols, about.conditions)
        batches.append(columns.batch(part, (about.source, about.lane), texts, entry.blobs.get("exact")))
        at += entry.rows
    return batches


def record(entry: Indexed, ticks: TickBatch | None, passing: Passing | None = None) -> Record:
    """The record of the topic `ticks` of an entry."""
    first, blobs = entry.about.first, entry.blobs
    observations, actions = codec.decode_tables(blobs["tables"], first) if "tables" in blobs else (None, None)
    return Record(
        *_about(entry), ticks=ticks, bars=codec.decode_bars(blobs["bars"], first) if "bars" in blobs else None,
        marks=codec.decode_marks(blobs["marks"]) if "marks" in blobs else (), observations=observations, actions=actions,
        passing=passing,
    )  # fmt: skip


def _about(entry: Indexed) -> tuple[int, int, str, str, str, int]:
    a = entry.about
    return a.first, a.count, a.source, a.channel, a.lane, a.received_at


def damaged(entry: Indexed, what: str) -> CorruptLog:
    """The error for an entry whose messages are not those that were written."""
    return CorruptLog(f"the record at position {entry.about.first} ({entry.about.count} messages): {what}")
