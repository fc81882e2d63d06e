"""The laws of the conformance suite that need only messages: what a feed must make of good ones, odd ones and none.

A law returns what is wrong in one sentence, empty where nothing is.
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import Temporary
from tickhouse.core.model import Kind
from tickhouse.core.requests import Answer
from tickhouse.core.symbols import CANONICAL
from tickhouse.feeds import Feed

DAY = 86_400_000_000
PLACES, LONG = 24, 50_000
"""So many values of a message are changed, one at a time; longer messages are not."""
CHANGED = 4
"""So many messages are changed, of as many channels as there are."""
EMPTY = (b"", b"[]", b"{}", b"null")
ODD_TEXTS = ("Zürich 東京 😀", "\u202eevil\u0000", "x" * 5000)
HUGE = ("1e400", "-1e308", "9" * 400, "1e-400", "NaN")
PRICES = ("price", "open", "high", "low", "close", "value")


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a channel, and when it came (UTC us)."""

    channel: str
    payload: bytes
    at: int


@dataclass(frozen=True, slots=True)
class Subject:
    """A feed and messages that it must understand."""

    feed: Feed
    messages: Sequence[Message]


def success(subject: Subject) -> str:
    """Good messages are understood, always in the same way."""
    for message in subject.messages:
        parsed = _parse(subject.feed, message)
        if parsed.rejects:
            return f"a good message of {message.channel} is rejected: {parsed.rejects[0].reason}: {parsed.rejects[0].detail}"
        if parsed.count(Kind.PARSED) != 1 or not rows(parsed):
            return f"a good message of {message.channel} has no rows"
        if str(rows(parsed)) != str(rows(_parse(subject.feed, message))):
            return f"a message of {message.channel} is not understood twice in the same way"
        if bad := _misspelled(parsed):
            return f"the symbol {bad!r} of {message.channel} is not canonical"
    return ""


def empty(subject: Subject) -> str:
    """An answer with nothing in it is an error or no rows, and no exception."""
    for message in subject.messages[:3]:
        for body in EMPTY:
            odd = Message(message.channel, body, message.at)
            if error := _unharmed(subject.feed, odd, "an empty answer"):
                return error
            if _classified(subject.feed, body) is None and rows(_parse(subject.feed, odd)):
                return f"the empty answer {body.decode()!r} has rows"
    return ""


def error_bodies(subject: Subject) -> str:
    """What is no answer of the provider at all is a classified error or a reject."""
    bodies = (
        b"<html><body>502 Bad Gateway</body></html>",
        b"error code: 1015",
        b"\x00\x01\xff",
        b'{"error":"no"}',
        b"[[[[",
    )
    for message in subject.messages[:3]:
        for body in (*bodies, message.payload[: len(message.payload) // 2]):
            if error := _unharmed(subject.feed, Message(message.channel, body, message.at), f"{body[:20]!r}"):
                return error
    for status in (500, 502, 503):
        if not isinstance(_classified(subject.feed, bodies[0], status), Temporary):
            return f"status {status} with a web page is not classified as something that waiting helps"
    return ""


def revision(subject: Subject) -> str:
    """The same message heard a day later is about the same things."""
    for message in subject.messages:
        later = Message(message.channel, message.payload, message.at + DAY)
        keys = [{_key(row) for row in rows(_parse(subject.feed, one))} for one in (message, later)]
        if not keys[0] <= keys[1]:
            return f"a message of {message.channel} heard a day later is about something else: {sorted(keys[0] - keys[1])[0]}"
    return ""


def duplicate(subject: Subject) -> str:
    """A message that comes twice says twice the same, so that a repeat can be known."""
    for message in subject.messages:
        once = rows(_parse(subject.feed, message))
        twice = rows(_parse(subject.feed, message, message))
        if sorted(map(str, twice)) != sorted(map(str, once + once)):
            return f"a message of {message.channel} that comes twice does not say twice the same"
    return ""


def disorder(subject: Subject) -> str:
    """What a message says does not depend on those before it."""
    by_channel: dict[str, list[Message]] = {}
    for message in subject.messages:
        by_channel.setdefault(message.channel, []).append(message)
    for channel, messages in by_channel.items():
        alone = [row for message in messages for row in rows(_parse(subject.feed, message))]
        together = rows(_parse(subject.feed, *reversed(messages)))
        if sorted(map(str, alone)) != sorted(map(str, together)):
            return f"messages of {channel} in another order say something else"
    return ""


def unicode(subject: Subject) -> str:
    """Names in any letters, and bytes that are no text, are understood or rejected, and raise nothing."""
    for message in _various(subject):
        for payload in (
            *_texts_changed(message.payload),
            message.payload + b"\xff\xfe",
            b"\xef\xbb\xbf" + message.payload,
        ):
            odd = Message(message.channel, payload, message.at)
            if error := _unharmed(subject.feed, odd, "a message in other letters"):
                return error
            if bad := _misspelled(_parse(subject.feed, odd)):
                return f"a message of {message.channel} in other letters gives the symbol {bad[:40]!r}"
    return ""


def huge_numbers(subject: Subject) -> str:
    """Numbers beyond all bounds are rejected, raise nothing, and are never the price of a row."""
    for message in _various(subject):
        for payload in _numbers_changed(message.payload):
            odd = Message(message.channel, payload, message.at)
            if error := _unharmed(subject.feed, odd, "a message with a huge number"):
                return error
            for row in rows(_parse(subject.feed, odd)):
                if any(isinstance(row.get(name), float) and not math.isfinite(row[name]) for name in PRICES):
                    return f"a message of {message.channel} with a huge number gives a price that is none"
    return ""


LAWS: dict[str, Callable[[Subject], str]] = {
    "success": success, "empty": empty, "error bodies": error_bodies, "revision": revision, "duplicate": duplicate,
    "disorder": disorder, "unicode": unicode, "huge numbers": huge_numbers,
}  # fmt: skip
"""The cards that they stand for."""


def rows(parsed: Parsed) -> list[dict[str, Any]]:
    """Every row as plain values, without the place of its message."""
    tables = [batch.to_arrow() for batch in (parsed.ticks, parsed.bars) if batch is not None]
    tables += [table for table in (parsed.quotes, parsed.observations, parsed.actions) if table is not None]
    places = ("raw", "first_raw", "last_raw")
    return [{k: v for k, v in row.items() if k not in places} for table in tables for row in table.to_pylist()]


def _parse(feed: Feed, *messages: Message) -> Parsed:
    first = messages[0]
    return feed.parse(
        RawBatch.of(feed.name, first.channel, [one.payload for one in messages], [one.at for one in messages])
    )


def _classified(feed: Feed, body: bytes, status: int = 200) -> Exception | None:
    return feed.classify(Answer(status, {}, body, 1_767_225_600_000_000))


def _unharmed(feed: Feed, message: Message, what: str) -> str:
    """What a message did that it must not: raise, or be of no kind."""
    try:
        _classified(feed, message.payload)
        parsed = _parse(feed, message)
    except Exception as error:
        return f"{what} on {message.channel} raises {type(error).__name__}: {str(error)[:200]}"
    rejected = parsed.count(Kind.REJECTED)
    return f"{what} on {message.channel} is rejected without a reason" if rejected and not parsed.rejects else ""


def _misspelled(parsed: Parsed) -> str:
    """A symbol that is not canonical."""
    for row in rows(parsed):
        symbol = row.get("symbol") or row.get("series") or "X"
        if not CANONICAL.fullmatch(symbol) or not symbol.isprintable():
            return str(symbol)
    return ""


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    """What a row is about: a bar, a date of a series, a price of a symbol."""
    names = ("symbol", "series", "interval", "start", "date", "kind")
    values = [str(row[name]) for name in names if name in row]
    return (*values, str(row.get("price", "")))


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every text and number of a JSON value with the way to it."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield path, value


def _texts_changed(payload: bytes) -> Iterator[bytes]:
    for text, path, value in _places(payload):
        if isinstance(value, str):
            for odd in ODD_TEXTS:
                yield _with(text, path, json.dumps(odd))


def _numbers_changed(payload: bytes) -> Iterator[bytes]:
    for text, path, value in _places(payload):
        for odd in HUGE:
            if not isinstance(value, str):
                yield _with(text, path, odd)
            elif value.replace(".", "", 1).replace("-", "", 1).isdigit():
                yield _with(text, path, json.dumps(odd))


def _various(subject: Subject) -> list[Message]:
    """A few messages, those of other channels first."""
    short = [one for one in subject.messages if len(one.payload) <= LONG]
    channels = {one.channel.partition(":")[0]: one for one in reversed(short)}
    return list(dict.fromkeys([*channels.values(), *short]))[:CHANGED]


def _places(payload: bytes) -> list[tuple[Any, tuple[Any, ...], Any]]:
    """Some of the values of a JSON message, those at its beginning and its end; none of another message."""
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return []
    found = [(value, path, leaf) for path, leaf in _leaves(value)]
    return found if len(found) <= PLACES else found[: PLACES // 2] + found[-PLACES // 2 :]


def _with(value: Any, path: tuple[Any, ...], text: str) -> bytes:
    """The message with another text in one place."""
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    if not path:
        return text.encode()
    inner[path[-1]] = "@@here@@"
    return json.dumps(copy).replace('"@@here@@"', text).encode()
