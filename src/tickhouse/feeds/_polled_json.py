"""JSON as polled providers send it: read by a strict decoder, with the reason when it cannot be, and the times in it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw

from tickhouse.core.symbols import CANONICAL
from tickhouse.feeds._messages import NotUnderstood

SECOND, MILLISECOND = 1_000_000, 1_000
OLDEST, NEWEST = 315_532_800, 4_102_444_800
"""Seconds between which a time can be one of a price, 1980 to 2100; a time in another unit lies outside."""
SHOWN = 60
"""So many characters of what a provider sent are shown in a reason."""
T = TypeVar("T")
R = TypeVar("R")


def decoded(decoder: msgspec.json.Decoder[T], payload: bytes | Raw) -> T:
    """A text as the decoder expects it. Raises `NotUnderstood`: binary, truncated, malformed or changed_field."""
    text = bytes(payload)
    try:
        if not text.isascii():
            text.decode()
        return decoder.decode(text)
    except UnicodeDecodeError as error:
        raise NotUnderstood("binary", f"the message is not UTF-8 text from byte {error.start} on") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise _undecodable(text, error) from error


def _undecodable(text: bytes, error: Exception) -> NotUnderstood:
    if b"\0" in text:
        return NotUnderstood("binary", "the message holds zero bytes")
    if isinstance(error, msgspec.ValidationError):
        return NotUnderstood("changed_field", f"a field is not what it was: {error}"[:200])
    if "truncated" in str(error):
        return NotUnderstood("truncated", "the message ends in the middle")
    return NotUnderstood("malformed", f"the message is not JSON: {error}"[:200])


class Items(Generic[T]):
    """A list whose items are of one type, read all at once, and one by one when some of them are not.

    >>> Items(int).rows(b'[1,2,"x"]', lambda item: 10 * item)
    ([10, 20], [('changed_field', 'a field is not what it was: Expected `int`, got `str`')])
    """

    def __init__(self, item: Any) -> None:
        self._all: msgspec.json.Decoder[list[T]] = msgspec.json.Decoder(list[item])
        self._one: msgspec.json.Decoder[T] = msgspec.json.Decoder(item)
        self._raw = msgspec.json.Decoder(list[Raw])

    def rows(self, payload: bytes | Raw, row: Callable[[T], R]) -> tuple[list[R], list[tuple[str, str]]]:
        """What `row` makes of each item, and (reason, detail) of those that it or the decoder refuses.

        Raises `NotUnderstood` for what is not a list.
        """
        found: list[R] = []
        refused: list[tuple[str, str]] = []
        for item in self._read(payload, refused):
            try:
                found.append(row(item))
            except NotUnderstood as bad:
                refused.append((bad.reason, bad.detail))
        return found, refused

    def _read(self, payload: bytes | Raw, refused: list[tuple[str, str]]) -> list[T]:
        try:
            return decoded(self._all, payload)
        except NotUnderstood as whole:
            if whole.reason != "changed_field":
                raise
        items = []
        for part in decoded(self._raw, payload):
            try:
                items.append(decoded(self._one, part))
            except NotUnderstood as bad:
                refused.append((bad.reason, bad.detail))
        return items


def seconds(time: float) -> int:
    """A time in seconds since 1970 as microseconds. Raises `NotUnderstood` for one that is not of our days.

    >>> seconds(1790884800)
    1790884800000000
    """
    if not OLDEST < time < NEWEST:
        raise NotUnderstood("time", f"time {str(time)[:SHOWN]} is not in seconds of our days")
    return round(time * SECOND)


def milliseconds(time: float) -> int:
    """A time in milliseconds since 1970 as microseconds. Raises `NotUnderstood` for one that is not of our days."""
    if not OLDEST * MILLISECOND < time < NEWEST * MILLISECOND:
        raise NotUnderstood("time", f"time {str(time)[:SHOWN]} is not in milliseconds of our days")
    return round(time * MILLISECOND)


def iso(text: str) -> int:
    """An ISO time or date as microseconds, UTC where it has no offset. Raises `NotUnderstood`.

    >>> iso("2021-05-15T15:59:43.867Z"), iso("2026-09-13")
    (1621094383867000, 1789257600000000)
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise NotUnderstood("time", f"{text[:SHOWN]!r} is not a time") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        us = round((moment - _EPOCH).total_seconds() * SECOND)
    except OverflowError as error:
        raise NotUnderstood("time", f"{text[:SHOWN]!r} is not a time of our days") from error
    if not OLDEST * SECOND < us < NEWEST * SECOND:
        raise NotUnderstood("time", f"{text[:SHOWN]!r} is not a time of our days")
    return us


def symbol(text: str) -> str:
    """A text that can be a canonical symbol. Raises `NotUnderstood`."""
    if not CANONICAL.fullmatch(text) or not text.isprintable():
        raise NotUnderstood("unknown_symbol", f"{text[:SHOWN]!r} cannot be a symbol")
    return text


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
