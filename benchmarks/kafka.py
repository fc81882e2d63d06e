"""The journal on Kafka beside the journal in a file, and beside the bare client that sends the same bytes. Prints JSON.

    python -m benchmarks.kafka --server 127.0.0.1:9092 [--messages 2000000] [--each 16384]

The bare client has everything prepared: the same values, keys, headers and partitions, in transactions of the same size, with the
same settings; `stream` is the same without transactions, flushed once. Bare reading takes the bytes of every message and no more.
Ours makes the JSON, indexes, keeps the ledger, and reads back columns. Each round does a part of the messages in turn.
"""

import argparse
import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.messages import entries
from tickhouse.core.batches import Entry
from tickhouse.core.plugins import open_url
from tickhouse.core.shards import partition
from tickhouse.journal import Topic
from tickhouse.journal._kafka import topics
from tickhouse.journal._kafka.place import place
from tickhouse.journal._kafka.ticks import texts
from tickhouse.journal._recent import Recent

PARTITIONS = 8
ROUNDS = 4
Message = tuple[str, bytes, bytes | None, int, list[tuple[str, bytes]]]


class Bare:
    """The client alone, on topics of its own."""

    def __init__(self, server: str, prefix: str) -> None:
        self.raw, self.ticks = f"{prefix}.raw", f"{prefix}.ticks"
        self.server, self.prefix, self.position = server, prefix, 0
        self.admin = AdminClient({"bootstrap.servers": server})
        for future in self.admin.create_topics(
            [NewTopic(self.raw, 1, 1), NewTopic(self.ticks, PARTITIONS, 1)]
        ).values():
            future.result(20)
        settings = {
            "bootstrap.servers": server, "acks": "all", "enable.idempotence": True, "compression.type": "lz4", "linger.ms": 20,
            "batch.size": 1 << 20, "queue.buffering.max.messages": 1_000_000, "queue.buffering.max.kbytes": 512 << 10,
        }  # fmt: skip
        self.stream = Producer(settings)
        self.producer = Producer({**settings, "transactional.id": prefix})
        self.producer.init_transactions(20)

    def prepared(self, entry: Entry) -> list[Message]:
        """Every message of an entry, ready to be sent, the ticks partition after partition."""
        raw, ticks, first = entry.raw, entry.ticks, self.position
        always = [("channel", raw.channel.encode()), ("lane", raw.lane.encode())]
        times = raw.received_at.tolist()
        found: list[Message] = [
            (
                self.raw,
                payload,
                None,
                0,
                [("position", b"%d" % (first + i)), ("received_at", b"%d" % times[i]), ("kind", b"0"), *always],
            )
            for i, payload in enumerate(raw.payloads())
        ]
        self.position += len(raw)
        if ticks is None:
            return found
        who = [("source", ticks.source.encode()), ("lane", ticks.lane.encode())]
        keys = [symbol.encode() for symbol in ticks.symbols]
        where = [partition(symbol, PARTITIONS) for symbol in ticks.symbols]
        rows: list[Message] = [
            (self.ticks, text, keys[code], where[code], [("position", b"%d" % (first + i)), *who])
            for i, (text, code) in enumerate(zip(texts(ticks, first), ticks.symbol.tolist(), strict=True))
        ]
        return found + sorted(rows, key=lambda row: row[3])

    def send(self, messages: Sequence[Message]) -> None:
        """One transaction."""
        self.producer.begin_transaction()
        _produce(self.producer, messages)
        self.producer.commit_transaction(60)

    def flow(self, messages: Sequence[Message]) -> None:
        """Without a transaction, all delivered when it returns."""
        _produce(self.stream, messages)
        self.stream.flush(60)

    def read(self, topic: str, count: int) -> float:
        """Seconds for the bytes of so many messages."""
        consumer = Consumer({
            "bootstrap.servers": self.server, "group.id": self.prefix, "isolation.level": "read_committed",
            "enable.auto.commit": False, "fetch.message.max.bytes": 4 << 20, "queued.max.messages.kbytes": 16 << 10,
        })  # fmt: skip
        parts = 1 if topic == self.raw else PARTITIONS
        consumer.assign([TopicPartition(topic, n, 0) for n in range(parts)])
        taken, began = 0, time.perf_counter()
        while taken < count:
            taken += len([message.value() for message in consumer.consume(20_000, 0.1)])
        took = time.perf_counter() - began
        consumer.close()
        return took

    def remove(self) -> None:
        """Delete the topics."""
        for future in self.admin.delete_topics([self.raw, self.ticks]).values():
            future.result(20)


def _produce(producer: Producer, messages: Sequence[Message]) -> None:
    produce = producer.produce
    for topic, value, key, number, about in messages:
        produce(topic, value, key, number, None, None, 0, about)


def timed(work: Callable[[Any], Any], batches: Sequence[Any]) -> float:
    """Seconds for all batches."""
    began = time.perf_counter()
    for batch in batches:
        work(batch)
    return time.perf_counter() - began


def reading(journal: Any, topic: Topic) -> float:
    """Seconds for everything there is, from the server and not from memory."""
    journal._recent = Recent()
    position, began = journal.begin(), time.perf_counter()
    while records := journal.read(topic, position):
        position = records[-1].end
    return time.perf_counter() - began


@contextmanager
def opened(server: str, folder: str) -> Iterator[tuple[Any, Any, Bare]]:
    """The journal on Kafka, the one in a file, and the bare client."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    url = f"kafka://{server}/{name}?partitions={PARTITIONS}"
    kafka, file, bare = (
        open_url("journal", url, max_bytes=0),
        open_url("journal", f"sqlite:///{folder}/j.db", max_bytes=0),
        Bare(server, f"{name}-bare"),
    )
    try:
        yield kafka, file, bare
    finally:
        kafka.close()
        file.close()
        bare.remove()
        where = place(url)
        with where.admin() as admin:
            topics.delete(admin, where)


def measure(server: str, messages: int, each: int) -> dict[str, Any]:
    """All figures: messages a second, each with its tick, and ratios."""
    took = dict.fromkeys(("kafka", "sqlite", "bare", "stream"), 0.0)
    per_round = max(1, messages // each // ROUNDS)
    with tempfile.TemporaryDirectory() as folder, opened(server, folder) as (kafka, file, bare):
        warm = entries(1, 100)
        kafka.append(warm), file.append(warm), bare.send(bare.prepared(warm[0]))
        count = len(warm[0].raw)
        for number in range(ROUNDS):
            batches = entries(per_round, each, seed=number)
            took["sqlite"] += timed(lambda entry: file.append([entry]), batches)
            took["kafka"] += timed(lambda entry: kafka.append([entry]), batches)
            for entry in batches:
                ready = bare.prepared(entry)
                took["bare"] += timed(bare.send, [ready])
            count += per_round * each
        rates = {f"append_{name}_per_s": round((count - 100) / seconds) for name, seconds in took.items() if seconds}
        read = {
            f"{name}_{topic}": reading(journal, topic)
            for topic in ("raw", "ticks")
            for name, journal in (("kafka", kafka), ("sqlite", file))
        }
        read |= {"bare_raw": bare.read(bare.raw, count), "bare_ticks": bare.read(bare.ticks, count)}
        part = bare.prepared(entries(1, min(messages, 200_000), seed=99)[0])
        rates["append_stream_per_s"] = round(len(part) / 2 / timed(bare.flow, [part]))
        check = kafka.verify()
    if check.faults or check.messages != count:
        raise RuntimeError(check)
    rates |= {f"read_{name}_per_s": round(count / seconds) for name, seconds in read.items()}
    return {
        "messages": count, "each": each, **rates,
        "append_of_bare": round(took["bare"] / took["kafka"], 2), "append_of_sqlite": round(took["sqlite"] / took["kafka"], 2),
        "read_raw_of_bare": round(read["bare_raw"] / read["kafka_raw"], 2),
        "read_ticks_of_bare": round(read["bare_ticks"] / read["kafka_ticks"], 2),
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--server", default=os.environ.get("KAFKA", "127.0.0.1:9092"))
    options.add_argument("--messages", type=int, default=2_000_000)
    options.add_argument("--each", type=int, default=16_384, help="messages of one append")
    given = options.parse_args()
    print(json.dumps(measure(given.server, given.messages, given.each), indent=2))


if __name__ == "__main__":
    main()
