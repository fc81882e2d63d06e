"""A place of its own on a Kafka, for each test that asks."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager


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
        topics.delete(where.admin(), where)
