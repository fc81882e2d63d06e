"""Entries as Kafka messages, in one transaction: the messages and ticks first, then, when their offsets are known, the index."""

import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from confluent_kafka import KafkaError, Message, Producer

from tickhouse.core.batches import Entry
from tickhouse.journal import _codec as codec
from tickhouse.journal._accounts import events, refused
from tickhouse.journal._kafka.entry import About, Indexed, encode, headers, squeezed
from tickhouse.journal._kafka.errors import away
from tickhouse.journal._kafka.place import Place
from tickhouse.journal._kafka.refused import parts, without_large
from tickhouse.journal._kafka.ticks import odd, partition, texts

Headers = list[tuple[str, bytes]]
SPAN = 0.05


@dataclass(slots=True)
class Delivered:
    """Where the messages of one topic-partition went in this transaction."""

    count: int = 0
    first: int = -1
    last: int = -1

    def note_first(self, error: KafkaError | None, message: Message) -> None:
        """Called on delivery of the first message."""
        self.first = -1 if error else message.offset()

    def note(self, error: KafkaError | None, message: Message) -> None:
        """Called on delivery of a message that may be the last."""
        self.last = -1 if error else max(self.last, message.offset())


@dataclass(slots=True)
class Batch:
    """What one append has made so far."""

    name: str
    position: int
    total: int
    indexed: list[Indexed] = field(default_factory=list)
    firsts: list[int] = field(default_factory=list)
    places: dict[tuple[str, int], Delivered] = field(default_factory=lambda: defaultdict(Delivered))
    starts: list[dict[tuple[str, int], tuple[int, int]]] = field(default_factory=list)
    """For each entry in `indexed`: how many messages of the transaction came before its own in each partition, and its number."""
    large: list[list[tuple[int, int, int]]] = field(default_factory=list)


class Writer:
    """Puts the messages of entries into a transaction that is open."""

    def __init__(self, place: Place, producer: Producer, most: int) -> None:
        self.place, self.producer, self.most = place, producer, most
        self._partitions: dict[str, int] = {}

    def put(self, entry: Entry, batch: Batch) -> Entry:
        """Produce what an entry has but for its index; returns the entry as it is journaled."""
        entry, large = without_large(entry, self.most)
        batch.firsts.append(batch.position)
        if not len(entry.raw):
            return entry
        raw, first = entry.raw, batch.position
        starts: dict[tuple[str, int], tuple[int, int]] = {}
        payloads = list(raw.payloads())
        blobs = {"columns": codec.pack([np.ascontiguousarray(raw.received_at), entry.kinds], [])}
        about = About(
            first, len(raw), raw.source, raw.channel, raw.lane, int(raw.received_at[-1]), 0, sum(map(len, payloads)), batch.name,
            raw_check=zlib.crc32(b"".join(payloads)),
        )  # fmt: skip
        about.event_min, about.event_max = events(entry)
        self._raw(entry, payloads, (batch, starts), set(large))
        if entry.ticks is not None and len(entry.ticks):
            about.size += self._ticks(entry, about, blobs, (batch, starts))
        self._rest(entry, blobs)
        about.size += sum(map(len, blobs.values()))
        batch.large.append(self._refuse(entry, about, (batch, starts), set(large)))
        batch.total += about.size
        about.total = batch.total
        batch.indexed.append(Indexed(about, blobs=blobs))
        batch.starts.append(starts)
        batch.position += len(raw)
        return entry

    def _raw(self, entry: Entry, payloads: list[bytes], at: tuple[Batch, Any], large: set[int]) -> None:
        raw = entry.raw
        send = self._sender((self.place.raw(raw.source), 0), len(payloads), at)
        always = [("channel", raw.channel.encode()), ("lane", raw.lane.encode())]
        position = at[0].position
        for payload, received, kind in zip(payloads, raw.received_at.tolist(), entry.kinds.tolist(), strict=True):
            about = [("position", b"%d" % position), ("received_at", b"%d" % received), ("kind", b"%d" % kind), *always]
            if large and position - at[0].position in large:
                about.append(("size", b"%d" % len(payload)))
                payload = b""
            send(payload, None, about)
            position += 1

    def _ticks(self, entry: Entry, about: About, blobs: dict[str, bytes], at: tuple[Batch, Any]) -> int:
        """Produce the ticks, partition after partition; returns their bytes."""
        ticks = entry.ticks
        assert ticks is not None  # noqa: S101
        values, topic = texts(ticks, about.first), self.place.topic("ticks")
        used = np.zeros(len(ticks.symbols), np.bool_)
        used[ticks.symbol] = True
        where = np.zeros(len(ticks.symbols), np.uint8)
        where[used] = [self._partition(ticks.symbols[i]) for i in np.flatnonzero(used).tolist()]
        keys = [symbol.encode() for symbol in ticks.symbols]
        always = [("source", ticks.source.encode()), ("lane", ticks.lane.encode())]
        order = where[ticks.symbol]
        codes, raws = ticks.symbol.tolist(), (ticks.raw + about.first).tolist()
        for number in np.unique(order).tolist():
            rows = np.flatnonzero(order == number).tolist()
            send = self._sender((topic, number), len(rows), at)
            for row in rows:
                send(values[row], keys[codes[row]], [("position", b"%d" % raws[row]), *always])
        about.symbols = [ticks.symbols[i] for i in np.flatnonzero(used).tolist()]
        about.conditions = list(ticks.conditions)
        about.ticks_check = zlib.crc32(b"\n".join(values))
        blobs["order"] = squeezed(order.tobytes())
        if exact := odd(ticks):
            blobs["exact"] = exact
        return sum(map(len, values))

    def _partition(self, symbol: str) -> int:
        if symbol not in self._partitions:
            self._partitions[symbol] = partition(symbol, self.place.partitions)
        return self._partitions[symbol]

    def _rest(self, entry: Entry, blobs: dict[str, bytes]) -> None:
        """What has few rows goes beside the index."""
        if entry.marks:
            blobs["marks"] = codec.encode_marks(entry.marks)
        if entry.bars is not None and len(entry.bars):
            blobs["bars"] = codec.encode_bars(entry.bars)
        if tables := codec.encode_tables(entry.observations, entry.actions):
            blobs["tables"] = tables

    def _refuse(self, entry: Entry, about: About, at: tuple[Batch, Any], large: set[int]) -> list[tuple[int, int, int]]:
        """Produce what goes into quarantine; returns (index, number before it, parts) of messages that are too large."""
        found: list[tuple[int, int, int]] = []
        if not (entry.rejects or entry.kinds.max() == 2):
            return found
        key = (self.place.topic("quarantine"), 0)
        for item, kind in refused(entry, about.first):
            about.rejects[item.reason] = about.rejects.get(item.reason, 0) + 1
            pieces = list(parts(item.payload, self.most))
            told = {"source": item.source, "channel": item.channel, "lane": item.lane, "reason": item.reason, "detail": item.detail}
            told |= {"received_at": str(item.received_at), "kind": str(kind), "parts": str(len(pieces))}
            index = item.position - about.first
            if index in large:
                found.append((index, at[0].places[key].count, len(pieces)))
            send = self._sender(key, len(pieces), at)
            for number, piece in enumerate(pieces):
                name = f"{item.position}/{number}" if index in large else str(item.position)
                send(piece, name.encode(), [(n, v.encode()) for n, v in told.items()])
        return found

    def _sender(self, key: tuple[str, int], count: int, at: tuple[Batch, Any]) -> Callable[[bytes, bytes | None, Headers], None]:
        """What produces the next `count` messages of a topic-partition: the first and the last of them tell their offsets."""
        batch, starts = at
        place = batch.places[key]
        before, n = starts.get(key, (place.count, 0))
        starts[key] = (before, n + count)
        is_first, last = place.count == 0, place.count + count
        place.count = last
        sent = last - count
        produce, (topic, number) = self.producer.produce, key

        def send(value: bytes, name: bytes | None, about: Headers) -> None:
            nonlocal sent, is_first
            sent += 1
            told = place.note_first if is_first else None
            if sent == last:
                told = _both(place) if is_first else place.note
            is_first = False
            try:
                produce(topic, value, name, number, told, None, 0, about)
            except BufferError:
                self._room()
                produce(topic, value, name, number, told, None, 0, about)

        return send

    def _room(self) -> None:
        """Wait until some of what waits was delivered. Raises `Unreachable` when nothing is."""
        until, before = time.monotonic() + self.place.timeout, len(self.producer)
        while len(self.producer) >= before:
            self.producer.poll(SPAN)
            if time.monotonic() > until:
                raise away(self.place, "the journal")

    def delivered(self) -> None:
        """Wait until everything is delivered. Raises `Unreachable` when nothing more is."""
        left, until = len(self.producer) + 1, time.monotonic() + self.place.timeout
        while waiting := self.producer.flush(0.5):
            if waiting < left:
                left, until = waiting, time.monotonic() + self.place.timeout
            if time.monotonic() > until:
                raise away(self.place, "the journal")

    def index(self, batch: Batch) -> bool:
        """Produce the index, once everything else was delivered; false when somebody else wrote in between."""
        for place in batch.places.values():
            if place.first < 0 or place.last - place.first + 1 != place.count:
                return False
        quarantine, ticks = (self.place.topic("quarantine"), 0), self.place.topic("ticks")
        for indexed, starts, large in zip(batch.indexed, batch.starts, batch.large, strict=True):
            about = indexed.about
            about.raw = batch.places[key].first + starts[key][0] if (key := (self.place.raw(about.source), 0)) in starts else -1
            about.ticks = [
                (number, batch.places[topic, number].first + before, count)
                for (topic, number), (before, count) in sorted(starts.items())
                if topic == ticks
            ]
            about.large = [(index, batch.places[quarantine].first + before, n) for index, before, n in large]
            about.final = indexed is batch.indexed[-1]
            self.producer.produce(
                self.place.topic("journal"), encode(about), None, 0, _offset(indexed), None, about.received_at // 1000 if about.received_at < _now() else 0,
                headers(indexed),
            )  # fmt: skip
        return True


def _both(place: Delivered) -> Callable[[KafkaError | None, Message], None]:
    def note(error: KafkaError | None, message: Message) -> None:
        place.note_first(error, message)
        place.note(error, message)

    return note


def _offset(indexed: Indexed) -> Callable[[KafkaError | None, Message], None]:
    def note(error: KafkaError | None, message: Message) -> None:
        indexed.offset = -1 if error else message.offset()

    return note


def _now() -> int:
    return round(time.time() * 1e6)


def fingerprint(entries: Sequence[Entry], healed: Sequence[int]) -> tuple[Any, ...]:
    """What tells an append that is repeated from another one."""

    def each() -> Iterator[Any]:
        for entry in entries:
            raw = entry.raw
            payload = zlib.crc32(b"".join(raw.payloads())) if len(raw) else 0
            yield raw.source, raw.channel, raw.lane, len(raw), payload, zlib.crc32(np.ascontiguousarray(raw.received_at)), entry.resume

    return (*each(), tuple(healed))
