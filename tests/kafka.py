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
    common = {
        "bootstrap.servers": server, "group.id": "a-stranger", "enable.partition.eof": True, "fetch.wait.max.ms": 20,
        "topic.metadata.refresh.fast.interval.ms": 20, "reconnect.backoff.ms": 10,
    }  # fmt: skip
    anything = {**common, "isolation.level": "read_uncommitted"}
    found = []
    with (
        closing(Consumer({**common, "isolation.level": "read_committed", **more})) as consumer,
        closing(Consumer(anything)) as other,
    ):
        for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            partition, until = TopicPartition(topic, number), time.monotonic() + 10
            begin, end = other.get_watermark_offsets(partition, timeout=10)
            # a topic may hear of a transaction's end a moment after who wrote it
            while consumer.get_watermark_offsets(partition, timeout=10)[1] < end and time.monotonic() < until:
                time.sleep(0.01)
            consumer.assign([TopicPartition(topic, number, begin)])
            while (message := consumer.poll(10.0)) is not None:
                if (error := message.error()) is not None:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    break
                found.append((number, message.key(), json.loads(message.value()), dict(message.headers())))
            assert message is not None
    return found


def newest(messages: list[tuple[int, bytes, dict[str, Any], dict[str, bytes]]]) -> dict[bytes, dict[str, Any]]:
    """What a reader holds that keeps of each key the highest version."""
    held: dict[bytes, dict[str, Any]] = {}
    for _, key, value, _ in messages:
        if key not in held or value["version"] >= held[key]["version"]:
            held[key] = value
    return held
