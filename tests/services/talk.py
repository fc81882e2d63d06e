"""Writing to a server and reading it back, through the client that tickhouse uses for it: what survives and what does not."""

import contextlib
from collections.abc import Callable
from typing import Any

import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from obstore.store import S3Store
from redis import Redis

from tests.servers import S3

Put = Callable[[str, str], None]
Get = Callable[[str], str | None]


class Postgres:
    """Rows of one table."""

    def __init__(self, url: str) -> None:
        self.url = url

    def put(self, key: str, value: str) -> None:
        with self._talk() as talk:
            talk.execute("create table if not exists kept (key text primary key, value text)")
            talk.execute("insert into kept values (%s, %s)", (key, value))

    def get(self, key: str) -> str | None:
        with self._talk() as talk:
            row = talk.execute("select value from kept where key = %s", (key,)).fetchone()
        return str(row[0]) if row else None

    def _talk(self) -> contextlib.AbstractContextManager[psycopg.Connection[Any]]:
        return psycopg.connect(self.url, connect_timeout=2)


class RedisKeys:
    """Plain keys."""

    def __init__(self, url: str) -> None:
        self.redis = Redis.from_url(url, socket_timeout=2, decode_responses=True)

    def put(self, key: str, value: str) -> None:
        self.redis.set(key, value)

    def get(self, key: str) -> str | None:
        found = self.redis.get(key)
        return None if found is None else str(found)


class KafkaTopics:
    """The last message of a topic."""

    def __init__(self, url: str, **more: str) -> None:
        self.settings: dict[str, Any] = {"bootstrap.servers": url, "log_level": 0, "socket.timeout.ms": 3000}
        self.settings |= {key.replace("_", "."): value for key, value in more.items()}

    def put(self, key: str, value: str) -> None:
        admin = AdminClient(self.settings)
        admin.create_topics([NewTopic(key, 1, 1)])[key].result(20)
        errors: list[Any] = []
        producer = Producer({**self.settings, "acks": "all", "message.timeout.ms": 20_000})
        producer.produce(key, value, on_delivery=lambda error, _: errors.append(error))
        assert producer.flush(25) == 0
        assert errors == [None]

    def get(self, key: str) -> str | None:
        consumer = Consumer({**self.settings, "group.id": "tests", "enable.auto.commit": False})
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(key, 0), timeout=3)
            consumer.assign([TopicPartition(key, 0, high - 1)])
            message = consumer.poll(10) if high > low else None
            return message.value().decode() if message and not message.error() else None
        finally:
            consumer.close()


class S3Objects:
    """Objects of the bucket."""

    def __init__(self, url: str) -> None:
        self.store = store(S3.of(url))

    def put(self, key: str, value: str) -> None:
        self.store.put(key, value.encode())

    def get(self, key: str) -> str | None:
        try:
            return bytes(self.store.get(key).bytes()).decode()
        except FileNotFoundError:
            return None


def store(server: S3, **options: Any) -> S3Store:
    """The bucket of an S3 server, as obstore sees it."""
    return S3Store(
        server.bucket,
        endpoint=server.endpoint,
        access_key_id=server.key,
        secret_access_key=server.secret,
        region="us-east-1",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": "2s"},
        retry_config={"max_retries": 0},
        **options,
    )


CLIENTS = {"postgres": Postgres, "redis": RedisKeys, "kafka": KafkaTopics, "minio": S3Objects, "versity": S3Objects}
