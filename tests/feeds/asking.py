"""Answers of a provider made up for a test, and conversations with a feed."""

import json
from collections.abc import Callable, Generator
from typing import Any

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.requests import Answer, Request
from tickhouse.feeds import Feed

NOW = 1_767_225_600_000_000
SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND


def answer(body: Any = b"", status: int = 200, at: int = NOW, **headers: str) -> Answer:
    """An answer with a body of bytes, or of a value as JSON."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, text, at)


def asked(
    conversation: Generator[Request, Answer, None], reply: Callable[[Request], Any] = lambda request: {}
) -> list[Request]:
    """The requests of a conversation, each answered by `reply`."""
    requests: list[Request] = []
    try:
        request = next(conversation)
        while True:
            requests.append(request)
            body = reply(request)
            request = conversation.send(body if isinstance(body, Answer) else answer(body))
    except StopIteration:
        return requests


def read(feed: Feed, channel: str, *bodies: Any, at: int = NOW) -> Parsed:
    """What messages of a channel mean."""
    payloads = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
    return feed.parse(RawBatch.of(feed.name, channel, payloads, at))


def quotes(parsed: Parsed, *names: str) -> list[tuple[Any, ...]]:
    """Columns of the quotes, a tuple a row; times as microseconds."""
    if parsed.quotes is None:
        return []
    rows = parsed.quotes.to_pylist()
    times = {name: parsed.quotes[name].cast("int64").to_pylist() for name in ("event_time", "received_at")}
    return [tuple(times[name][i] if name in times else row[name] for name in names) for i, row in enumerate(rows)]
