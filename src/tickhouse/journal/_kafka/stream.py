"""Messages of topic-partitions by offset. Who reads on where it was gets what was fetched ahead."""

import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import KafkaError, TopicPartition

from tickhouse.journal._kafka.errors import away, translated
from tickhouse.journal._kafka.followed import arrived
from tickhouse.journal._kafka.place import Message, Place

Key = tuple[str, int]
"""A topic and a partition."""
Wanted = Mapping[Key, tuple[int, int]]
"""The first and the last offset that are wanted of each; there are messages at both."""
MANY = 20_000
STREAMS = 3
MARKERS = 64
IDLE_SECONDS = 5.0


class Gone(Exception):
    """What was asked for was let go meanwhile."""


class Stream:
    """One consumer. Not for several threads at a time."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._consumer = place.consumer()
        self._next: dict[Key, int] = {}
        self._kept: dict[Key, list[Message]] = {}
        self.used = time.monotonic()

    def fits(self, wanted: Wanted) -> bool:
        """Whether this is what comes next here."""
        return all(self._near(key, first) for key, (first, _) in wanted.items())

    def take(self, wanted: Wanted) -> dict[Key, list[Message]]:
        """The messages. Raises `Unreachable`; `Gone`; ValueError when others than asked for are there."""
        self.used = time.monotonic()
        for key, (first, _) in wanted.items():
            if not self._near(key, first):
                self._move(key, first)
        self._fill(lambda: all(self._has(key, last) for key, (_, last) in wanted.items()))
        return {
            key: self._cut(key, bisect_right(self._kept[key], last, key=lambda message: message.offset()))
            for key, (_, last) in wanted.items()
        }

    def until(self, key: Key, first: int, last: int, most: int) -> list[Message]:
        """Up to `most` messages from an offset on, up to the one at offset `last`, which is there; offsets may be left out."""
        self.used = time.monotonic()
        if not self._near(key, first):
            self._move(key, first)
        self._fill(lambda: len(self._kept[key]) >= most or self._has(key, last))
        return self._cut(key, most)

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()

    def _has(self, key: Key, last: int) -> bool:
        kept = self._kept[key]
        return bool(kept) and kept[-1].offset() >= last

    def _near(self, key: Key, first: int) -> bool:
        """Whether an offset is the next, but for those that Kafka itself took for the ends of transactions."""
        return 0 <= first - self._next.get(key, first + 1) <= MARKERS and (
            not self._kept[key] or self._kept[key][0].offset() == first
        )

    def _move(self, key: Key, first: int) -> None:
        if key in self._kept:
            self._consumer.incremental_unassign([TopicPartition(*key)])
        self._consumer.incremental_assign([TopicPartition(*key, first)])
        self._kept[key], self._next[key] = [], first

    def _fill(self, enough: Callable[[], bool]) -> None:
        patience = time.monotonic() + self.place.timeout
        while not enough():
            messages = arrived(self._consumer, most=MANY)
            self._sort(messages)
            if messages:
                patience = time.monotonic() + self.place.timeout
            elif time.monotonic() > patience:
                raise away(self.place, "reading the journal")

    def _sort(self, messages: list[Message]) -> None:
        one = next(iter(self._kept))[0] if len({topic for topic, _ in self._kept}) == 1 else None
        keep = {number: kept.append for (_, number), kept in self._kept.items()} if one else {}
        for message in messages:
            if (error := message.error()) is not None:
                self._failed(error)
            elif one:
                keep[message.partition()](message)
            else:
                self._kept[message.topic(), message.partition()].append(message)

    def _failed(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise Gone
        if not error.retriable() and error.code() != KafkaError._ALL_BROKERS_DOWN:
            raise translated(error, self.place, "reading the journal")

    def _cut(self, key: Key, count: int) -> list[Message]:
        found, self._kept[key] = self._kept[key][:count], self._kept[key][count:]
        if found:
            self._next[key] = found[-1].offset() + 1
        return found


class Streams:
    """A few streams, so that several readers read on side by side. Safe for several threads."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._lock = threading.Condition()
        self._free: list[Stream] = []
        self._made = 0
        self._closed = False

    def take(self, wanted: Wanted) -> dict[Key, list[Message]]:
        """See `Stream.take`."""
        if not wanted:
            return {}
        with self._one(wanted) as stream:
            return stream.take(wanted)

    def until(self, key: Key, first: int, last: int, most: int) -> list[Message]:
        """See `Stream.until`."""
        with self._one({key: (first, last)}) as stream:
            return stream.until(key, first, last, most)

    def close(self) -> None:
        """Let go of every connection."""
        with self._lock:
            self._closed = True
            for stream in self._free:
                stream.close()
            self._free.clear()

    @contextmanager
    def _one(self, wanted: Wanted) -> Iterator[Stream]:
        stream = self._lent(wanted)
        try:
            yield stream
        except BaseException:
            stream.close()
            with self._lock:
                self._made -= 1
                self._lock.notify()
            raise
        with self._lock:
            if self._closed:
                stream.close()
            else:
                self._free.append(stream)
            self._lock.notify()

    def _lent(self, wanted: Wanted) -> Stream:
        with self._lock:
            while True:
                stream = next((s for s in self._free if s.fits(wanted)), None)
                if stream is None and self._made < STREAMS:
                    self._made += 1
                    return Stream(self.place)
                if stream is None and self._free:
                    stream = min(self._free, key=lambda s: s.used)
                if stream is not None:
                    self._free.remove(stream)
                    return stream
                self._lock.wait(1.0)

    def rest(self) -> None:
        """Close what nobody has used for a while: it would go on to ask the broker for news."""
        with self._lock:
            for stream in [s for s in self._free if time.monotonic() - s.used > IDLE_SECONDS]:
                self._free.remove(stream)
                self._made -= 1
                stream.close()
