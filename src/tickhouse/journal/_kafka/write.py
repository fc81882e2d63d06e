"""Entries as Kafka messages, in one transaction: the messages and ticks first, then, when their offsets are known, the index."""

import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count, islice, repeat

import numpy as np
from confluent_kafka import KafkaError, KafkaException, Producer

from tickhouse.core.batches import Entry
from tickhouse.core.errors import SettingsError
from tickhouse.core.shards import landmarks, partition
from tickhouse.journal import Quarantined
from tickhouse.journal import _codec as codec
from tickhouse.journal._accounts import events, refused
from tickhouse.journal._kafka.batch import At, Batch, Key, Told
from tickhouse.journal._kafka.entry import About, Indexed, encode, headers, squeezed
from tickhouse.journal._kafka.errors import away
from tickhouse.journal._kafka.place import Message, Place
from tickhouse.journal._kafka.refused import Kept, as_it_was, parts, without_large
from tickhouse.journal._kafka.ticks import odd, texts

Headers = list[tuple[str, str | bytes | None]]
SPAN = 0.05
KINDS = [b"%d" % kind for kind in range(3)]


Parts = tuple[Sequence[bytes], Iterable[bytes | None], Iterable[Headers]]
"""Values, keys and headers of messages, side by side."""


class Moved(Exception):
    """Somebody else wrote into a topic since our last transaction."""


class Writer:
    """Puts the messages of entries into a transaction that is open."""

    def __init__(self, place: Place, producer: Producer, most: int) -> None:
        self.place, self.producer, self.most = place, producer, most
        self._expected: dict[Key, int] = {}

    def put(self, entry: Entry, batch: Batch, kept: Mapping[int, Quarantined] | None = None) -> Entry:
        """Produce what an entry has but for its index; returns the entry as it is journaled. With `kept` it is one of another
        journal, of which these messages are in quarantine."""
        if kept is None:
            entry, large = without_large(entry, self.most)
        else:
            entry, large = as_it_was(entry, batch.position, self.most, kept)
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
        batch.large.append(self._refuse(entry, about, (batch, starts), (set(large), kept)))
        batch.total += about.size
        about.total = batch.total
        batch.indexed.append(Indexed(about, blobs=blobs))
        batch.starts.append(starts)
        batch.position += len(raw)
        return entry

    def _raw(self, entry: Entry, payloads: list[bytes], at: At, large: set[int]) -> None:
        raw = entry.raw
        always: Headers = [("channel", raw.channel.encode()), ("lane", raw.lane.encode())]
        times, kinds = raw.received_at.tolist(), entry.kinds.tolist()
        abouts: Iterable[Headers] = (
            [("position", b"%d" % place), ("received_at", b"%d" % received), ("kind", KINDS[kind]), *always]
            for place, received, kind in zip(count(at[0].position), times, kinds, strict=False)
        )
        if large:
            sizes = [("size", b"%d" % len(payload)) for payload in payloads]
            abouts = ([*about, sizes[i]] if i in large else about for i, about in enumerate(abouts))
            payloads = [b"" if i in large else payload for i, payload in enumerate(payloads)]
        self._send((self.place.raw(raw.source), 0), (payloads, repeat(None), abouts), at)

    def _ticks(self, entry: Entry, about: About, blobs: dict[str, bytes], at: At) -> int:
        """Produce the ticks, partition after partition; returns their bytes."""
        ticks = entry.ticks
        assert ticks is not None
        values, topic = texts(ticks, about.first), self.place.topic("ticks")
        used = np.zeros(len(ticks.symbols), np.bool_)
        used[ticks.symbol] = True
        where = np.zeros(len(ticks.symbols), np.uint8)
        where[used] = [partition(ticks.symbols[i], self.place.partitions) for i in np.flatnonzero(used).tolist()]
        keys = [symbol.encode() for symbol in ticks.symbols]
        always: Headers = [("source", ticks.source.encode()), ("lane", ticks.lane.encode())]
        order = where[ticks.symbol]
        codes, raws = ticks.symbol.tolist(), (ticks.raw + about.first).tolist()
        for number in np.unique(order).tolist():
            rows = np.flatnonzero(order == number).tolist()
            names = [keys[codes[row]] for row in rows]
            abouts = ([("position", b"%d" % raws[row]), *always] for row in rows)
            mine = [values[row] for row in rows]
            self._send((topic, number), (mine, names, abouts), at)
            about.part_checks.append(zlib.crc32(b"\n".join(mine)))
        about.symbols = [ticks.symbols[i] for i in np.flatnonzero(used).tolist()]
        about.conditions = list(ticks.conditions)
        about.ticks_check = zlib.crc32(b"\n".join(values))
        blobs["order"] = squeezed(order.tobytes())
        marks = landmarks(ticks.event_time, ticks.received_at)
        blobs["landmarks"] = codec.pack(
            [marks, *(column[marks] for column in (ticks.event_time, ticks.received_at, ticks.raw))], []
        )
        if exact := odd(ticks):
            blobs["exact"] = exact
        return sum(map(len, values))

    def _rest(self, entry: Entry, blobs: dict[str, bytes]) -> None:
        """What has few rows goes beside the index."""
        if entry.marks:
            blobs["marks"] = codec.encode_marks(entry.marks)
        if entry.bars is not None and len(entry.bars):
            blobs["bars"] = codec.encode_bars(entry.bars)
        if tables := codec.encode_tables(entry.observations, entry.actions):
            blobs["tables"] = tables

    def _refuse(
        self, entry: Entry, about: About, at: At, which: tuple[set[int], Mapping[int, Quarantined] | None]
    ) -> list[tuple[int, int, int]]:
        """Produce what goes into quarantine; returns (index, number before it, parts) of messages that are too large."""
        found: list[tuple[int, int, int]] = []
        if not (entry.rejects or entry.kinds.max() == 2):
            return found
        large, kept = which
        for item, _ in refused(entry, about.first):
            index, healed = item.position - about.first, kept is not None and item.position not in kept
            if healed and index not in large:
                continue
            before, number = self.keep(item, at, large=index in large)
            if index in large:
                found.append((index, before, number))
            if healed:
                at[0].gone.append(item.position)
            else:
                about.rejects[item.reason] = about.rejects.get(item.reason, 0) + 1
        return found

    def keep(self, item: Quarantined, at: At, large: bool = False) -> tuple[int, int]:
        """Produce one message that goes into quarantine; returns how many were before it, and of how many parts it is."""
        key, pieces = (self.place.topic("quarantine"), 0), list(parts(item.payload, self.most))
        told = {name: getattr(item, name) for name in ("source", "channel", "lane", "reason", "detail")}
        told |= {"received_at": str(item.received_at), "kind": str(item.kind), "parts": str(len(pieces))}
        before = at[0].places[key].count
        at[0].refused.append(Kept(replace(item, payload=b""), item.kind, before, len(pieces)))
        apart = large or len(pieces) > 1
        names = [f"{item.position}/{n}" if apart else str(item.position) for n in range(len(pieces))]
        abouts: Headers = [(name, value.encode()) for name, value in told.items()]
        self._send(key, (pieces, [name.encode() for name in names], repeat(abouts)), at)
        return before, len(pieces)

    def _send(self, key: Key, parts: Parts, at: At) -> None:
        """Produce messages of an entry to a topic-partition: the first and the last of them tell their offsets."""
        batch, starts = at
        place, (topic, number), produce = batch.places[key], key, self.producer.produce
        before, new, messages = place.count, len(parts[0]), zip(*parts, strict=False)
        told: Told | None = place.note_first if before == 0 else None
        for value, name, about in islice(messages, new - 1):
            try:
                produce(topic, value, name, number, told, None, 0, about)
            except BufferError:
                self._room()
                produce(topic, value, name, number, told, None, 0, about)
            told = None
        self._last(key, next(messages), place.note_both if told else place.note)
        first, n = starts.get(key, (before, 0))
        starts[key] = (first, n + new)
        place.count = before + new

    def one(self, topic: str, value: bytes | None, key: str, told: Told) -> None:
        """Produce one message of a topic with one partition."""
        self._last((topic, 0), (value, key.encode(), []), told)

    def _last(self, key: Key, message: tuple[bytes | None, bytes | None, Headers], told: Told) -> None:
        value, name, about = message
        try:
            self.producer.produce(key[0], value, name, key[1], told, None, 0, about)
        except BufferError:
            self._room()
            self.producer.produce(key[0], value, name, key[1], told, None, 0, about)

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

    def index(self, batch: Batch) -> dict[Key, int]:
        """Produce the index; returns the offset of the first message of each topic-partition that it says.

        Where nobody else writes the offsets are known beforehand; else it is waited for what was produced. Raises KafkaException,
        `SettingsError`, `Unreachable`.
        """
        if not batch.places.keys() <= self._expected.keys():
            self.delivered()
            self.check(batch, {})
            self._expected |= {key: place.first for key, place in batch.places.items()}
        firsts = {key: self._expected[key] for key in batch.places}
        quarantine = (self.place.topic("quarantine"), 0)
        for kept in batch.refused:
            kept.offset += firsts[quarantine]
        for indexed, starts, large in zip(batch.indexed, batch.starts, batch.large, strict=True):
            about = indexed.about
            self._places(about, starts, firsts)
            about.large = [(index, firsts[quarantine] + before, n) for index, before, n in large]
            about.final = indexed is batch.indexed[-1]
            self.producer.produce(
                self.place.topic("journal"), encode(about), None, 0, _offset(indexed), None, min(about.received_at, _now()) // 1000,
                headers(indexed),
            )  # fmt: skip
        return firsts

    def _places(self, about: About, starts: dict[Key, tuple[int, int]], firsts: dict[Key, int]) -> None:
        """Say where the messages and ticks of an entry are."""
        key, ticks = (self.place.raw(about.source), 0), self.place.topic("ticks")
        about.raw = firsts[key] + starts[key][0]
        about.ticks = [
            (number, firsts[topic, number] + before, count)
            for (topic, number), (before, count) in sorted(starts.items())
            if topic == ticks
        ]

    def check(self, batch: Batch, said: dict[Key, int]) -> None:
        """See, once all is delivered, that it is where the index says. Raises KafkaException for what was not delivered,
        `Moved` where others wrote before us and `SettingsError` where they write at the same time."""
        for key, place in batch.places.items():
            if place.error is not None:
                raise KafkaException(place.error)
            if place.last - place.first + 1 != place.count:
                raise SettingsError(
                    f"somebody else writes into {key[0]} at the same time; only tickhouse may produce to its topics"
                )
            if said and said[key] != place.first:
                raise Moved

    def committed(self, batch: Batch, healed: bool) -> None:
        """Know where the next messages will be: behind these, and behind the mark by which Kafka ends a transaction."""
        self._expected |= {key: place.last + 2 for key, place in batch.places.items()}
        if healed:
            self._expected.pop((self.place.topic("quarantine"), 0), None)


def _offset(indexed: Indexed) -> Callable[[KafkaError | None, Message], None]:
    def note(error: KafkaError | None, message: Message) -> None:
        indexed.offset = -1 if error else message.offset()

    return note


def _now() -> int:
    return round(time.time() * 1e6)
