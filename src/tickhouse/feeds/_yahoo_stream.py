"""What a frame of Yahoo's pricing socket means: a snapshot, as protobuf in base64, with or without a JSON wrapper.

{"type":"pricing","message":"CgRBQVBMFZqZmUMY8PTPovpnKgNOTVMwCDgBRc9iNL9I9PGVBWUAhQvAsAFi2AEE"}
CgRBQVBMFexhnUMYkI6yi8VcKgNOTVMwCDgBRW68EkBItJzfEGXAwuFA2AEE

The first snapshot after subscribing is the last known one, possibly days old: its time says so. Prices are 32-bit floats and
become the shortest decimal that is the same 32-bit float, 232.35 and not 232.35000610351562. The volume is that of the day so
far, absent outside regular hours; that of a crypto pair is money of a rolling day, as stated. Yahoo's messages cannot tell 0
from absent.
"""

import binascii
import struct
from collections.abc import Iterator
from math import isfinite

import msgspec
from msgspec import Struct

from tickhouse.feeds._messages import NOTHING, Found, NotUnderstood
from tickhouse.feeds._yahoo_names import Names
from tickhouse.feeds._zones import LAST

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
WIDTHS = {FIXED64: 8, FIXED32: 4}
ID, TIME, VOLUME = 1, 3, 9
FLOATS = {
    2: "price", 8: "change_percent", 10: "day_high", 11: "day_low", 12: "change", 15: "day_open", 16: "previous_close",
    23: "bid", 25: "ask",
}  # fmt: skip
"""The fields of PricingData that a quote has, by number; the others are passed over."""
WIRES = {ID: BYTES, TIME: VARINT, VOLUME: VARINT, **dict.fromkeys(FLOATS, FIXED32)}
MAYBE_ZERO = frozenset((2, 8, 12))
MILLISECOND = 1000
LONGEST_VARINT = 10


class _Frame(Struct):
    type: str
    message: str | None = None


_FLOAT = struct.Struct("<f")
_frame = msgspec.json.Decoder(_Frame)


def read_frame(payload: bytes, names: Names) -> Found:
    """The quote of one frame; a frame of another type is control. Raises `NotUnderstood`."""
    text = payload.strip()
    if text[:1] == b"{":
        try:
            frame = _frame.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NotUnderstood("malformed", f"not a frame of Yahoo's stream: {str(error)[:200]}") from None
        if frame.type != "pricing":
            return NOTHING
        text = (frame.message or "").encode()
    try:
        message = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise NotUnderstood("malformed", "a frame of Yahoo's stream is base64 text, this one is not") from None
    return Found(quotes=[_quote(message, names)])


def _quote(message: bytes, names: Names) -> dict[str, object]:
    """The quote of one PricingData."""
    values: dict[int, int | bytes] = {
        number: value for number, wire, value in fields(message) if WIRES.get(number) == wire
    }
    name, time, volume = values.get(ID, b""), values.get(TIME, 0), values.get(VOLUME)
    assert isinstance(name, bytes) and isinstance(time, int)
    symbol = names.of(name.decode("utf-8", "replace"))
    moment = zigzag(time)
    if not 0 < moment < LAST * 1000:
        raise NotUnderstood("time", f"the price of {symbol} has a time of {moment} ms, which is none")
    quote: dict[str, object] = {"symbol": symbol, "event_time": moment * MILLISECOND, "day_volume": None}
    for number, column in FLOATS.items():
        quote[column] = _float(values.get(number), symbol, number in MAYBE_ZERO)
    if not quote["price"]:
        raise NotUnderstood("price", f"a frame of {symbol} has no price")
    if isinstance(volume, int):
        quote["day_volume"] = float(zigzag(volume))
    return quote


def _float(value: int | bytes | None, symbol: str, zero: bool) -> float | None:
    """The shortest decimal of a 32-bit float; None when absent, and for 0 where that stands for absent."""
    if not isinstance(value, bytes):
        return None
    number: float = _FLOAT.unpack(value)[0]
    if not isfinite(number):
        raise NotUnderstood("price", f"a frame of {symbol} has a number that is none ({number})")
    return shortest(number) if number or zero else None


def shortest(number: float) -> float:
    """The shortest decimal that is the same 32-bit float as a number that is one.

    >>> shortest(232.35000610351562), shortest(16777216.0)
    (232.35, 16777216.0)
    """
    packed = _FLOAT.pack(number)
    shorter = (float(f"{number:.{digits}g}") for digits in (6, 7, 8))
    return next((found for found in shorter if _FLOAT.pack(found) == packed), float(f"{number:.9g}"))


def fields(message: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """The fields of a protobuf message as (number, wire type, value): varints as numbers, all else as bytes.

    Raises `NotUnderstood` where the bytes are no message.

    >>> list(fields(bytes([0x18, 0x96, 0x01, 0x0A, 0x02, 0x48, 0x69])))
    [(3, 0, 150), (1, 2, b'Hi')]
    """
    at = 0
    while at < len(message):
        key, at = (message[at], at + 1) if message[at] < 128 else _varint(message, at)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise NotUnderstood("malformed", "a protobuf field has the number 0")
        if wire == VARINT:
            value, at = _varint(message, at)
            yield number, wire, value
            continue
        length, at = _varint(message, at) if wire == BYTES else (WIDTHS.get(wire, -1), at)
        if length < 0:
            raise NotUnderstood("malformed", f"a protobuf field has the wire type {wire}, which this message has not")
        if at + length > len(message):
            raise NotUnderstood("truncated", "a protobuf message ends in the middle of a field")
        yield number, wire, message[at : at + length]
        at += length


def zigzag(value: int) -> int:
    """The signed number of a zigzag varint.

    >>> zigzag(0), zigzag(1), zigzag(2), zigzag(3571179720360)
    (0, -1, 1, 1785589860180)
    """
    return (value >> 1) ^ -(value & 1)


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The varint that begins at a place, cut to 64 bits, and the place after it."""
    value = 0
    for shift in range(0, 7 * LONGEST_VARINT, 7):
        if at >= len(message):
            raise NotUnderstood("truncated", "a protobuf message ends in the middle of a number")
        byte = message[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:
            return value & (1 << 64) - 1, at
    raise NotUnderstood("malformed", "a protobuf number is longer than ten bytes")
