"""Frames of Yahoo's pricing socket: a snapshot as protobuf in base64, in a JSON wrapper (version 2) or bare."""

import struct
from base64 import b64decode, b64encode

from tickhouse.exchange._yahoo_names import Habit
from tickhouse.exchange.snapshots import Snapshot

PHASES = {"PRE": 0, "REGULAR": 1, "POST": 2, "CLOSED": 3}
_BAD = (0.0, float("nan"), float("inf"))


def frame(name: str, one: Snapshot, habit: Habit, decimals: int, wrapped: bool) -> bytes:
    """The message of a snapshot."""
    return _enveloped(pricing(name, one, habit, decimals), wrapped)


def pricing(name: str, one: Snapshot, habit: Habit, decimals: int) -> bytes:
    """The PricingData of a snapshot; times are whole seconds, prices floats of 32 bits."""
    price, time = one.late or (one.price, one.time)
    change, percent = price - one.previous, 100.0 * (price - one.previous) / one.previous
    day = one.money if habit.kind == "CRYPTOCURRENCY" else one.volume
    parts = [_text(1, name), _float(2, price), _number(3, time // 1_000_000 * 1000)]
    parts += [_text(4, habit.currency)] if habit.kind == "CRYPTOCURRENCY" else []
    parts += [_text(5, habit.exchange), _plain(6, habit.number), _plain(7, PHASES[one.phase]), _float(8, percent)]
    parts += [_number(9, round(day))] if day and one.phase == "REGULAR" else []
    if habit.kind == "CRYPTOCURRENCY":
        parts += [_float(10, one.high), _float(11, one.low), _float(12, change), _float(15, one.open)]
    else:
        parts += [_float(12, change)]
    return b"".join([*parts, _number(27, min(decimals, 4))])


def damaged(text: bytes, kind: str, variant: int) -> bytes:
    """A frame with a field of another name, or with a price that cannot be."""
    wrapped = text[:1] == b"{"
    if kind == "changed_fields":
        return text.replace(b'"message":', b'"payload":') if wrapped else b"=" + text[1:]
    message = b64decode(text.split(b'"')[7] if wrapped else text)
    at = 2 + message[1]
    return _enveloped(message[: at + 1] + struct.pack("<f", _BAD[variant % len(_BAD)]) + message[at + 5 :], wrapped)


def _enveloped(message: bytes, wrapped: bool) -> bytes:
    text = b64encode(message)
    return b'{"type":"pricing","message":"%s"}' % text if wrapped else text


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def _number(field: int, value: int) -> bytes:
    """A signed whole number, zigzag."""
    return _plain(field, value * 2 if value >= 0 else -value * 2 - 1)


def _plain(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _text(field: int, value: str) -> bytes:
    data = value.encode()
    return _varint(field << 3 | 2) + _varint(len(data)) + data
