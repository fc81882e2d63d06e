"""Hears of new entries as soon as they are committed, whoever wrote them."""

import threading
from collections.abc import Callable, Sequence

from confluent_kafka import TopicPartition

from tickhouse.journal._kafka.entry import Indexed, opened
from tickhouse.journal._kafka.followed import arrived
from tickhouse.journal._kafka.index import Index
from tickhouse.journal._kafka.place import Place
from tickhouse.journal._kafka.stream import Streams

WAIT = 0.1


class Follower:
    """A thread that begins when somebody first waits. A broker that is away it waits for."""

    def __init__(
        self, place: Place, learned: Callable[[list[Indexed]], None], parts: tuple[Sequence[Streams], Index]
    ) -> None:
        self.place, self._learned, (self._streams, self._index) = place, learned, parts
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to listen, once."""
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name=f"{self.place.prefix}: new entries", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        consumer = self.place.consumer(**{"fetch.wait.max.ms": 500, "auto.offset.reset": "earliest"})
        try:
            consumer.assign([TopicPartition(self._index.topic, 0, self._index.known_offset)])
            while not self._stop.is_set():
                messages = arrived(consumer, WAIT)
                found = [opened(message) for message in messages if message.error() is None]
                if found:
                    self._learned(found)
                for streams in self._streams:
                    streams.rest()
        finally:
            consumer.close()
