"""Messages in Yahoo's forms, made for tests, and a writer of its protobuf."""

import base64
import json
import struct
from typing import Any

NEW_YORK_OPEN = 1_767_364_200
"""2026-01-02 09:30 in New York."""
TYPES = {1: "text", 2: "float", 3: "sint", 8: "float", 9: "sint", 10: "float", 11: "float", 12: "float", 13: "text", 15: "float",
         16: "float", 22: "sint", 23: "float", 25: "float", 6: "int", 7: "int", 32: "double"}  # fmt: skip


def chart(
    times: list[int], rows: list[Any] | None = None, events: dict[str, Any] | None = None, **meta: Any
) -> dict[str, Any]:
    """An answer with one chart; a row is (open, high, low, close, volume), by default (1, 3, 0.5, 2, 9)."""
    rows = [(1.0, 3.0, 0.5, 2.0, 9)] * len(times) if rows is None else rows
    names = ("open", "high", "low", "close", "volume")
    told = {
        "currency": "USD", "symbol": "AAPL", "instrumentType": "EQUITY", "gmtoffset": -14400, "dataGranularity": "1d",
        "exchangeTimezoneName": "America/New_York", "regularMarketTime": 1_767_387_601, "regularMarketPrice": 2.5,
    }  # fmt: skip
    result: dict[str, Any] = {
        "meta": told | meta,
        "timestamp": times,
        "indicators": {"quote": [{name: [row[i] for row in rows] for i, name in enumerate(names)}]},
    }
    return {"chart": {"result": [result | ({"events": events} if events else {})], "error": None}}


def quotes(*results: dict[str, Any]) -> dict[str, Any]:
    """An answer with quotes; each has at least a symbol, a price and a time."""
    common = {"symbol": "AAPL", "quoteType": "EQUITY", "regularMarketPrice": 244.6, "regularMarketTime": 1_739_566_800}
    return {"quoteResponse": {"result": [common | result for result in results], "error": None}}


def refusal(code: str, description: str, part: str = "chart") -> dict[str, Any]:
    """A refusal in Yahoo's usual form."""
    return {part: {"result": None, "error": {"code": code, "description": description}}}


def body(value: Any) -> bytes:
    """The bytes of a JSON value."""
    return json.dumps(value, ensure_ascii=False).encode()


def pricing(**fields: Any) -> bytes:
    """A PricingData, fields by number as `_2=232.35`."""
    return b"".join(_field(int(name[1:]), value) for name, value in fields.items())


def frame(message: bytes, wrapped: bool = True) -> bytes:
    """A frame of the stream, of the second version or of the first."""
    text = base64.b64encode(message).decode()
    return body({"type": "pricing", "message": text}) if wrapped else text.encode()


def _field(number: int, value: Any) -> bytes:
    kind = TYPES[number]
    if kind == "float":
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    if kind == "double":
        return _varint(number << 3 | 1) + struct.pack("<d", value)
    if kind == "text":
        return _varint(number << 3 | 2) + _varint(len(value.encode())) + value.encode()
    return _varint(number << 3) + _varint((value << 1 ^ value >> 63) & (1 << 64) - 1 if kind == "sint" else value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
