"""A place of its own on a Kafka, for each test that asks."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition


@contextmanager
def prefix(server: str, query: str = "partitions=3", user: str = "") -> Iterator[str]:
    """The URL of a journal under a new prefix; what is under it is deleted afterwards."""
    from tickhouse.journal._kafka import topics
    from tickhouse.journal._kafka.place import place

    url = f"kafka://{user}{server}/test-{uuid.uuid4().hex[:12]}?{query}"
    try:
        yield url
    finally:
        where = place(url)
        with where.admin() as admin:
            topics.delete(admin, where)


def told(server: str, topic: str, **more: Any) -> list[tuple[int, bytes, dict[str, Any], dict[str, bytes]]]:
    """Every message of a topic by partition and offset, as any client reads it: partition, key, value, headers."""
    settings = {"bootstrap.servers": server, "group.id": "a-stranger", "isolation.level": "read_committed", **more}
    found = []
    with closing(Consumer(settings | {"enable.partition.eof": True})) as consumer:
        for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            _heard(server, TopicPartition(topic, number))
            begin, _ = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            consumer.assign([TopicPartition(topic, number, begin)])
            while (message := consumer.poll(10.0)) is not None:
                if (error := message.error()) is not None:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    break
                found.append((number, message.key(), json.loads(message.value()), dict(message.headers())))
            assert message is not None
    return found


def _heard(server: str, partition: TopicPartition) -> None:
    """Wait until a partition has heard of the end of each transaction, which may be a moment after who wrote it."""
    ends, until = [], time.monotonic() + 10
    while len(set(ends)) != 1 and time.monotonic() < until:
        ends = []
        for isolation in ("read_uncommitted", "read_committed"):
            about = {"bootstrap.servers": server, "group.id": "a-stranger", "isolation.level": isolation}
            with closing(Consumer(about)) as consumer:
                ends.append(consumer.get_watermark_offsets(partition, timeout=10)[1])


def newest(messages: list[tuple[int, bytes, dict[str, Any], dict[str, bytes]]]) -> dict[bytes, dict[str, Any]]:
    """What a reader holds that keeps of each key the highest version."""
    held: dict[bytes, dict[str, Any]] = {}
    for _, key, value, _ in messages:
        if key not in held or value["version"] >= held[key]["version"]:
            held[key] = value
    return held
