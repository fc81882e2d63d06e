"""A place of its own on the Kafka that the tests are given, for each test that asks."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


def address() -> str:
    """Where Kafka is. Skips the test when there is none, but fails where all servers are required (CI)."""
    found = os.environ.get("TICKHOUSE_TEST_KAFKA", "")
    if not found:
        why = "TICKHOUSE_TEST_KAFKA is not set; `make services` starts a Kafka and says how to set it"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return found


@contextmanager
def prefix(server: str | None = None, query: str = "partitions=3") -> Iterator[str]:
    """The URL of a journal under a new prefix; what is under it is deleted afterwards."""
    url = f"kafka://{server or address()}/test-{uuid.uuid4().hex[:12]}?{query}"
    try:
        yield url
    finally:
        from tickhouse.journal._kafka import topics
        from tickhouse.journal._kafka.place import place

        where = place(url)
        topics.delete(where.admin(), where)
