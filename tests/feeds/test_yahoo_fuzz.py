"""Whatever Yahoo sends becomes rows, control or a reason, and what becomes a row stood in the message."""

import json
import random
import struct
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.feeds.changed import changed, places
from tests.feeds.samples_yahoo import CHARTS, PRICES, QUOTES
from tests.feeds.sound import sound
from tests.feeds.yahoo_messages import body, chart, frame, pricing
from tickhouse.core.batches import Parsed
from tickhouse.core.model import Kind
from tickhouse.feeds import yahoo
from tickhouse.feeds._messages import NotUnderstood
from tickhouse.feeds._yahoo_stream import fields, shortest, zigzag

FEED = yahoo.open()
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    10**30,
    "",
    "AAPL",
    "NaN",
    [],
    [None],
    {},
    {"a": 1},
    "\x00",
    "名",
)


def parsed(channel: str, payload: bytes) -> Parsed:
    """Parses and holds what holds for every message."""
    return sound(FEED, channel, payload)


def test_any_value_in_any_place_of_an_answer() -> None:
    for channel, messages in (("chart", CHARTS), ("quote", QUOTES)):
        for message in messages:
            for path in places(message):
                for value in VALUES:
                    parsed(channel, body(changed(message, path, value)))


@settings(max_examples=tried(200), deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), min_size=5, max_size=5),
    st.integers(),
)
@example([1e308, 1e308, 1e308, 1e308, -1e308], 0)
def test_any_numbers_in_a_chart_are_kept_as_they_are_or_dropped(row: list[Any], time: int) -> None:
    found = parsed("chart", body(chart([time], [tuple(row)])))
    if found.bars is not None:
        assert [found.bars.open[0], found.bars.high[0], found.bars.low[0], found.bars.close[0]] == row[:4]


@settings(max_examples=tried(300), deadline=None)
@given(st.binary(max_size=120))
@example(b"")
@example(b"[" * 100_000)
@example(b'{"chart":{"result":' * 50_000)
@example(b"\x0a" + b"\xff" * 9 + b"\x01")
def test_any_bytes(payload: bytes) -> None:
    for channel in ("chart", "quote", "stream"):
        parsed(channel, payload)
    parsed("stream", frame(payload))
    parsed("stream", frame(payload, wrapped=False))


@settings(max_examples=tried(300), deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(-(1 << 63), (1 << 63) - 1))
@example(0.1, 0)
@example(1e-45, 1)
def test_a_frame_gives_back_the_same_float_and_the_same_integer(price: float, volume: int) -> None:
    found = parsed("stream", frame(pricing(_1="AAPL", _2=price, _3=1_785_937_395_000, _9=volume)))
    if not price:
        assert found.rejects[0].reason == "price"
        return
    assert found.quotes is not None
    (row,) = found.quotes.to_pylist()
    assert struct.pack("<f", row["price"]) == struct.pack("<f", price)
    assert row["day_volume"] == float(volume)


@settings(max_examples=tried(300), deadline=None)
@given(st.floats(2.0**-100, 2.0**100, width=32), st.booleans())
@example(232.35000610351562, False)
def test_a_price_has_no_digit_more_than_its_32_bits_need(price: float, negative: bool) -> None:
    """As numpy prints a 32-bit float."""
    number = -price if negative else price
    assert shortest(number) == float(str(np.float32(number)))


@settings(max_examples=tried(200), deadline=None)
@given(st.integers(0, 2**32).map(random.Random))
def test_a_damaged_message_of_the_stream(choose: random.Random) -> None:
    message = bytearray(choose.choice(PRICES))
    for _ in range(choose.choice((1, 1, 2, 4))):
        at = choose.randrange(len(message) + 1)
        message[at : at + choose.choice((0, 1, 1, 5))] = choose.randbytes(choose.choice((0, 1, 2)))
    parsed("stream", frame(bytes(message)))
    try:
        numbers = [number for number, _, _ in fields(bytes(message))]
    except NotUnderstood:
        return
    assert all(number > 0 for number in numbers)


@settings(max_examples=tried(100), deadline=None)
@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_zigzag_is_undone(value: int) -> None:
    assert zigzag((value << 1 ^ value >> 63) & (1 << 64) - 1) == value


def test_messages_that_are_whole_still_have_rows() -> None:
    """So that the tests above mean something."""
    assert all(json.loads(body(message)) for message in (*CHARTS, *QUOTES))
    for channel, payloads in (
        ("chart", map(body, CHARTS)),
        ("quote", map(body, QUOTES)),
        ("stream", map(frame, PRICES)),
    ):
        assert all(parsed(channel, payload).kinds[0] == Kind.PARSED for payload in payloads)
