"""Closed bars and anomalies as JSON messages on the topics `bars` and `anomalies`, for any client that reads them.

The key names a row but for its version, so that compaction keeps the newest; the partition is that of the symbol.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa
from confluent_kafka import KafkaError, KafkaException, Producer

from tickhouse.core.batches import BarBatch
from tickhouse.core.errors import SettingsError, TickhouseError
from tickhouse.core.shards import partition
from tickhouse.journal import Results
from tickhouse.journal._kafka.errors import asking, away, translated
from tickhouse.journal._kafka.place import Message, Place
from tickhouse.journal._kafka.state import State

KEYS = {
    "bars": ("symbol", "interval", "start", "source"),
    "anomalies": ("symbol", "interval", "start", "source", "detector"),
}
HEADERS = ("version", "source", "interval")
NOTE = "published/"
"""How the keys of the state begin that say up to which position the results of a group were published."""
encode = msgspec.json.encode


@dataclass(slots=True)
class _Sent:
    """What one producer was given and has not delivered yet, and what it could not deliver."""

    waiting: int = 0
    error: KafkaError | None = None

    def told(self, error: KafkaError | None, _: Message) -> None:
        self.waiting -= 1
        self.error = self.error or error


class Publisher:
    """See `journal.Publishes`. Belongs to one thread.

    Messages are sent again until the broker has them, in their order; what cannot be delivered at all is told by `delivered`, and
    then everything since the last note has to be sent again.
    """

    def __init__(self, place: Place, state: State) -> None:
        self.place, self.state = place, state
        self._producer: Producer | None = None
        self._partitions: dict[str, int] = {}
        self._sent = _Sent()

    def published(self) -> Mapping[str, int]:
        """See `Publishes.published`."""
        self.state.sync()
        return self.state.under(NOTE)

    def send(self, results: Results, rows: BarBatch | pa.Table) -> None:
        """See `Publishes.send`."""
        producer, topic = self._ready(), self.place.topic(results)
        columns = _columns(rows)
        names, key = tuple(columns), KEYS[results]
        for values in zip(*columns.values(), strict=True):
            row = dict(zip(names, values, strict=True))
            headers: list[tuple[str, str | bytes | None]] = [(name, str(row[name])) for name in HEADERS]
            self._put(producer, topic, encode(row), {
                "key": encode([row[name] for name in key]), "partition": partition(row["symbol"], self._partitions[results]),
                "headers": headers, "on_delivery": self._sent.told,
            })  # fmt: skip

    def note(self, group: str, position: int) -> None:
        """See `Publishes.note`."""
        producer, sent = self._ready(), self._sent

        def told(error: KafkaError | None, message: Message) -> None:
            sent.told(error, message)
            if error is None:
                self.state.put(f"{NOTE}{group}", position, message.offset())

        more = {"key": f"{NOTE}{group}".encode(), "partition": 0, "on_delivery": told}
        self._put(producer, self.state.topic, encode(position), more)

    def delivered(self, seconds: float) -> bool:
        """See `Publishes.delivered`."""
        if self._producer is not None and self._sent.waiting:
            self._producer.poll(seconds)
        if (error := self._sent.error) is not None:
            self._drop()
            raise translated(error, self.place, "publishing")
        return not self._sent.waiting

    def silent(self) -> TickhouseError:
        """See `Publishes.silent`."""
        return away(self.place, "publishing")

    def close(self) -> None:
        """See `Publishes.close`."""
        self._drop()

    def _ready(self) -> Producer:
        """The producer, which knows the topics. Raises `Unreachable`, `SettingsError`."""
        if self._producer is None:
            # without a limit: the broker is waited for, in order, however long it takes
            producer = self.place.producer(**{"linger.ms": 5, "message.timeout.ms": 0})
            with asking(self.place, "publishing"):
                for results in KEYS:
                    self._partitions[results] = self._count(producer, self.place.topic(results))
            self._producer = producer
        return self._producer

    def _count(self, producer: Producer, topic: str) -> int:
        """How many partitions a topic has."""
        found = producer.list_topics(topic, timeout=self.place.timeout).topics.get(topic)
        if found is None or not found.partitions:
            raise SettingsError(
                f"Kafka at {self.place.servers} has no topic {topic}; `tickhouse journal create` makes what is lacking"
            )
        return len(found.partitions)

    def _put(self, producer: Producer, topic: str, value: bytes, more: dict[str, Any]) -> None:
        while True:
            try:
                producer.produce(topic, value, **more)
            except BufferError:
                producer.poll(0.1)
            except KafkaException as error:
                self._drop()
                raise translated(error.args[0], self.place, "publishing") from error
            else:
                self._sent.waiting += 1
                return

    def _drop(self) -> None:
        """Forget what was not delivered."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge(blocking=False)
        self._sent = _Sent()


def _columns(rows: BarBatch | pa.Table) -> dict[str, list[Any]]:
    """Rows as lists by the names of their schema, with times in UTC microseconds."""
    if isinstance(rows, BarBatch):
        return rows.columns()
    return {name: _plain(rows[name]) for name in rows.column_names}


def _plain(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    return list(column.to_pylist())
