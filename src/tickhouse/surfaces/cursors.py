"""Where a page begins: the key of the last row before it, opaque to clients and checked when it comes back."""

import base64
import binascii
import hashlib
from typing import Any

import msgspec

from tickhouse.core.errors import BadQuery

Key = tuple[str | int, ...]


class _Cursor(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    question: bytes
    key: list[str | int]


def encode(key: Key, question: str) -> str:
    """The cursor after a row of an answer to `question` (everything that was asked but the page).

    >>> decode(encode(("BTC-USDT", 5), "bars 1m"), "bars 1m", (str, int))
    ('BTC-USDT', 5)
    """
    packed = msgspec.msgpack.encode(_Cursor(_mark(question), list(key)))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode(text: str, question: str, kinds: tuple[type, ...]) -> Key:
    """The key in a cursor. Raises `BadQuery` for one that was not given out for this question."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(packed, type=_Cursor)
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise BadQuery("the cursor is not one of ours; follow `next` as it was given") from None
    fits = len(cursor.key) == len(kinds) and all(isinstance(v, k) for v, k in zip(cursor.key, kinds, strict=True))
    small = all(-(1 << 62) < v < 1 << 62 for v in cursor.key if isinstance(v, int))
    if cursor.question != _mark(question) or not fits or not small:
        raise BadQuery("the cursor belongs to another question; follow `next` as it was given")
    return tuple(cursor.key)


def _mark(question: Any) -> bytes:
    return hashlib.blake2b(question.encode(), digest_size=8).digest()
