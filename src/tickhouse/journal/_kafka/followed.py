"""A partition that is read to its end whenever somebody must know what is in it."""

import threading
import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, TopicPartition

from tickhouse.journal._kafka.errors import away, settled, translated
from tickhouse.journal._kafka.place import Message, Place

MANY = 5_000


def arrived(consumer: Consumer, wait: float = 0.1, most: int = MANY) -> list[Message]:
    """The messages that are there, waiting for the first. `consume` alone would wait until there are as many as asked."""
    first = consumer.poll(wait)
    return [first, *consumer.consume(most, 0)] if first is not None else []


class Followed:
    """Gives every message once, in order, from an offset on. Safe for several threads."""

    def __init__(self, place: Place, topic: str, last: int | None = None, number: int = 0) -> None:
        """With `last` it begins so many offsets before the end, else with the first message kept."""
        self.place, self.topic = place, topic
        self.lock = threading.RLock()
        self._consumer = place.consumer(**{"enable.partition.eof": True})
        self._partition = TopicPartition(topic, number)
        self.low, high = self.edges()
        """The first offset kept."""
        self.next = self.low if last is None else max(self.low, high - last)
        """The offset of the next message."""
        self._seen = self.next

    def edges(self) -> tuple[int, int]:
        """The first offset kept, and the one after the last that is committed. Raises `Unreachable`."""
        timeout = self.place.timeout
        return settled(
            self.place, "the journal", lambda: self._consumer.get_watermark_offsets(self._partition, timeout=timeout)
        )

    def news(self) -> list[Message]:
        """What has come since the last call. Raises `Unreachable`."""
        with self.lock:
            self.low, high = self.edges()
            if high <= self._seen:
                return []
            self.next = max(self.next, self.low)
            self._consumer.assign([TopicPartition(self.topic, self._partition.partition, self.next)])
            try:
                found = list(self._until(high))
            finally:
                self._consumer.unassign()
            self._seen = high
            return found

    def _until(self, high: int) -> Iterator[Message]:
        patience = time.monotonic() + self.place.timeout
        while True:
            for message in arrived(self._consumer):
                error = message.error()
                if error is None:
                    self.next = message.offset() + 1
                    yield message
                elif error.code() != KafkaError._PARTITION_EOF:
                    raise translated(error, self.place, "reading the journal")
                elif message.offset() >= high:
                    self.next = max(self.next, message.offset())
                    return
                patience = time.monotonic() + self.place.timeout
            if self.next >= high:
                return
            if time.monotonic() > patience:
                raise away(self.place, "reading the journal")

    def close(self) -> None:
        """Let go of the connection."""
        with self.lock:
            self._consumer.close()
