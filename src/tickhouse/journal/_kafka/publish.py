"""Closed bars and anomalies as JSON messages on the topics `bars` and `anomalies`, for any client that reads them.

The key names a row but for its version, so that compaction keeps the newest; the partition is that of the symbol. Messages
are sent in transactions whose id is that of the group: Kafka refuses what one sends that was the only one before.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import pyarrow as pa
from confluent_kafka import KafkaException, Producer

from tickhouse.core.batches import BarBatch
from tickhouse.core.errors import SettingsError, Superseded, TickhouseError
from tickhouse.core.shards import number_of, partition
from tickhouse.journal import Results
from tickhouse.journal._kafka.errors import FENCED, asking, away, translated
from tickhouse.journal._kafka.place import Place
from tickhouse.journal._kafka.published import TOPIC, noted_of
from tickhouse.journal._kafka.state import encode as encode_position
from tickhouse.journal._kafka.transact import TRANSACTION_SECONDS, connected

KEYS = {
    "bars": ("symbol", "interval", "start", "source"),
    "anomalies": ("symbol", "interval", "start", "source", "detector"),
}
HEADERS = ("version", "source", "interval")
QUEUED_KB = 64 << 10
"""What waits in memory for the broker at most, of one group."""
LEAVE_SECONDS = 1.0
encode = msgspec.json.encode


class Publisher:
    """See `journal.Publishes`. Belongs to one thread.

    A broker takes nothing of a transaction in a partition before its coordinator knows of it; and when another begins, the
    coordinator ends the transaction in each of these first. So nothing old is behind what is new, not even for who reads what is
    not committed.
    """

    def __init__(self, place: Place, group: str) -> None:
        self.place, self.group, self.number = place, group, number_of(group)
        self._producer: Producer | None = None
        self._partitions: dict[str, int] = {}
        self._open = self._noted = False

    def begin(self) -> int:
        """See `Publishes.begin`."""
        self._drop()
        producer = self.place.producer(**{
            "transactional.id": f"{self.place.prefix}.publish.{self.group}", "linger.ms": 5, "retry.backoff.ms": 10,
            "transaction.timeout.ms": round(TRANSACTION_SECONDS * 1000), "queue.buffering.max.kbytes": QUEUED_KB,
        })  # fmt: skip
        with asking(self.place, "publishing"):
            connected(producer, self.place)
            for topic in (*KEYS, TOPIC):
                self._partitions[topic] = self._count(producer, self.place.topic(topic))
        with self._translating():
            producer.init_transactions(self.place.timeout)
        position = noted_of(self.place, self.group, self.number)
        self._producer = producer
        return position

    def send(self, results: Results, rows: BarBatch | pa.Table) -> None:
        """See `Publishes.send`."""
        topic, columns = self.place.topic(results), _columns(rows)
        names, key = tuple(columns), KEYS[results]
        with self._transaction() as producer:
            for values in zip(*columns.values(), strict=True):
                row = dict(zip(names, values, strict=True))
                headers: list[tuple[str, str | bytes | None]] = [(name, str(row[name])) for name in HEADERS]
                _put(producer, topic, encode(row), {
                    "key": encode([row[name] for name in key]), "partition": partition(row["symbol"], self._partitions[results]),
                    "headers": headers,
                })  # fmt: skip

    def delivered(self, seconds: float) -> bool:
        """See `Publishes.delivered`."""
        return self._producer is None or not self._producer.flush(seconds)

    def commit(self, position: int | None, seconds: float) -> bool:
        """See `Publishes.commit`."""
        with self._transaction() as producer:
            if position is not None and not self._noted:
                where = {"key": self.group.encode(), "partition": self.number}
                _put(producer, self.place.topic(TOPIC), encode_position(position), where)
                self._noted = True
            try:
                producer.commit_transaction(seconds)
            except KafkaException as error:
                if error.args[0].retriable():
                    return False
                raise
        self._open = self._noted = False
        return True

    def silent(self) -> TickhouseError:
        """See `Publishes.silent`."""
        return away(self.place, "publishing")

    def close(self) -> None:
        """See `Publishes.close`. Readers of what is committed need not wait until an open transaction is over by its age."""
        producer, is_open = self._producer, self._open
        self._drop()
        if producer is not None and is_open:
            with suppress(KafkaException, SystemError):
                producer.abort_transaction(LEAVE_SECONDS)

    @contextmanager
    def _transaction(self) -> Iterator[Producer]:
        """The producer, in a transaction. Raises what `send` raises."""
        producer = self._producer
        assert producer is not None, "it has to begin first"
        with self._translating():
            if not self._open:
                producer.begin_transaction()
                self._open = True
            yield producer

    @contextmanager
    def _translating(self) -> Iterator[None]:
        """Kafka's errors inside come out as ours, and nothing goes on after one."""
        try:
            yield
        except KafkaException as error:
            self._drop()
            reason = error.args[0]
            if reason.code() in FENCED:
                raise Superseded(f"another process publishes {self.group} now ({reason.str()})") from error
            raise translated(reason, self.place, "publishing") from error
        except SystemError as error:
            # The client was told in a callback that another took over, and calls further ones with that error still set.
            self._drop()
            raise Superseded(f"another process publishes {self.group} now") from error

    def _count(self, producer: Producer, topic: str) -> int:
        """How many partitions a topic has. Raises `SettingsError` where it is not there or has too few."""
        found = producer.list_topics(topic, timeout=self.place.timeout).topics.get(topic)
        if found is None or not found.partitions:
            raise SettingsError(
                f"Kafka at {self.place.servers} has no topic {topic}; `tickhouse journal create` makes what is lacking"
            )
        if topic == self.place.topic(TOPIC) and len(found.partitions) <= self.number:
            raise SettingsError(
                f"{topic} has {len(found.partitions)} partitions, and needs one for each of those of the ticks"
            )
        return len(found.partitions)

    def _drop(self) -> None:
        """Forget what was not committed."""
        producer, self._producer, self._open, self._noted = self._producer, None, False, False
        if producer is not None:
            producer.purge(blocking=False)


def _put(producer: Producer, topic: str, value: bytes, more: dict[str, Any]) -> None:
    while True:
        try:
            producer.produce(topic, value, **more)
        except BufferError:
            producer.poll(0.1)
        else:
            return


def _columns(rows: BarBatch | pa.Table) -> dict[str, list[Any]]:
    """Rows as lists by the names of their schema, with times in UTC microseconds."""
    if isinstance(rows, BarBatch):
        return rows.columns()
    return {name: _plain(rows[name]) for name in rows.column_names}


def _plain(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    return list(column.to_pylist())
