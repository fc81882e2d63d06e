"""From the bytes of one message to plain values, and the single numbers and dates in them. Raises `NotUnderstood` only."""

import math
import re
from datetime import date
from typing import Any, TypeVar

import msgspec

from tickhouse.core.clock import SECOND
from tickhouse.feeds._messages import Found, NotUnderstood, Read

T = TypeVar("T")
_EPOCH = date(1970, 1, 1).toordinal()
DECIMAL = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?|[+-]?\.[0-9]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def decoded(decoder: msgspec.json.Decoder[T], payload: bytes) -> T:
    """A message read by a decoder; why it cannot be, when it cannot."""
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise _reason(payload, error) from error


def finite(value: int | float | str, name: str) -> float:
    """A number, written as one or as a decimal text. Raises for a text that is none and for one too large to be a price.

    >>> finite("0.5", "price"), finite(3, "price")
    (0.5, 3.0)
    """
    if isinstance(value, str) and not DECIMAL.fullmatch(value):
        raise NotUnderstood(name, f"{name} {value[:40]!r} is not a decimal number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise NotUnderstood(name, f"{name} {str(value)[:40]} is too large")
    return number


def day(value: Any) -> date:
    """A date written like 2026-11-20. Raises for anything else."""
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise NotUnderstood("time", f"{str(value)[:40]!r} is not a date like 2026-11-20")


def day_of(us: int) -> date:
    """The UTC day of a moment in microseconds.

    >>> day_of(86_400_000_000)
    datetime.date(1970, 1, 2)
    """
    return date.fromordinal(_EPOCH + us // (86_400 * SECOND))


def midnight(on: date) -> int:
    """The UTC midnight with which a day begins, in microseconds."""
    return (on.toordinal() - _EPOCH) * 86_400 * SECOND


def refusing(reason: str, detail: str) -> Read:
    """Understands no message at all, and says why."""

    def read(payload: bytes, received_at: int) -> Found:
        raise NotUnderstood(reason, detail)

    return read


def _reason(payload: bytes, error: Exception) -> NotUnderstood:
    try:
        payload.decode()
    except UnicodeDecodeError as bad:
        return NotUnderstood("binary", f"the message is not UTF-8 text from byte {bad.start} on")
    if any(byte < 32 and byte not in b"\t\r\n" for byte in payload):
        return NotUnderstood("binary", "the message holds control characters")
    if isinstance(error, msgspec.ValidationError):
        return NotUnderstood("changed_field", f"a field is not what it was: {error}"[:300])
    if "truncated" in str(error):
        return NotUnderstood("truncated", "the message ends in the middle")
    return NotUnderstood("malformed", f"the message is not JSON: {error}"[:300])
