"""The scanner takes nothing that the judge does not read in the same way, and the judge nothing that JSON does not say."""

import json
import math
import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tests.feeds.binance_messages import CONTROL, VALUES, WITH_TICKS, damaged, mutated, with_fields_changed, wrapped
from tickhouse.core.batches import RawBatch
from tickhouse.core.kernels.scan import Scanner, scan_reference
from tickhouse.core.model import Kind
from tickhouse.feeds import binance
from tickhouse.feeds._binance_frames import LAYOUTS, read_tick
from tickhouse.feeds._binance_rows import Names, Refused, Row

SCANNER = Scanner(LAYOUTS, ("first", "last", "time"), ("price", "size"))
FEED = binance.open()


def judged(payload: bytes) -> Row | str | None:
    """What the judge says: a row, None for control, or the reason of a refusal."""
    try:
        return read_tick(payload, Names())
    except Refused as refused:
        return refused.reason


def assert_scanner_agrees(payloads: list[bytes]) -> int:
    """Everything the scanner recognises is read the same by the judge and by the plain reference; returns how many."""
    scan = SCANNER.scan(RawBatch.of("binance", "trade", payloads, 0))
    recognised = 0
    for i, payload in enumerate(payloads):
        if scan.symbol[i] < 0:
            continue
        recognised += 1
        first, last, time = scan.ints[:, i].tolist()
        price, size = scan.floats[:, i].tolist()
        symbol = SCANNER.table.text(scan.symbol[i]).decode()
        values = {"first": first, "last": last, "time": time, "price": price, "size": size, "symbol": symbol}
        assert values in [scan_reference(layout, payload) for layout in LAYOUTS]
        if first <= last:
            assert judged(payload) == Row(Names().of(symbol), time, price, size, first, last), payload
        else:
            assert judged(payload) == "id"
    return recognised


def assert_json_agrees(payload: bytes) -> None:
    """A tick that came out of a message stands in it, as Python's own JSON reads it."""
    parsed = FEED.parse(RawBatch.of("binance", "trade", [payload], 0))
    assert parsed.count(Kind.REJECTED) == len(parsed.rejects)
    if parsed.ticks is None:
        assert parsed.kinds[0] != Kind.PARSED
        return
    message: Any = json.loads(payload)
    message = message["data"] if "stream" in message and "data" in message else message
    ticks = parsed.ticks
    first, last = ("t", "t") if message["e"] == "trade" else ("f", "l")
    assert (ticks.first_id[0], ticks.last_id[0]) == (message[first], message[last])
    assert ticks.symbols == [Names().of(message["s"])]
    assert (ticks.price[0], ticks.size[0]) == (float(message["p"]), float(message["q"]))
    assert math.isfinite(ticks.price[0])
    assert ticks.event_time[0] == message["T"] * (1000 if message["T"] < 10**15 else 1)


@settings(max_examples=tried(400), deadline=None)
@given(damaged())
def test_a_damaged_message_is_scanned_as_it_is_judged(payload: bytes) -> None:
    assert_scanner_agrees([payload])
    assert_json_agrees(payload)


@settings(max_examples=tried(200), deadline=None)
@given(st.binary(max_size=200))
@example(b"")
@example(b"[" * 100_000)
@example(b'{"stream":"x","data":' * 50_000)
@example(b'{"e":"trade","x":' + b"[" * 100_000)
def test_any_bytes_are_judged_without_an_error(payload: bytes) -> None:
    assert_scanner_agrees([payload])
    assert_json_agrees(payload)


@pytest.mark.parametrize("key", ["e", "E", "s", "t", "p", "q", "T", "m", "M", "f", "l", "a"])
def test_each_value_of_each_field_is_scanned_as_it_is_judged(key: str) -> None:
    payloads = []
    for message in WITH_TICKS:
        fields = json.loads(message)
        for value in VALUES:
            texts = {name: json.dumps(v) for name, v in fields.items()} | {key: value}
            text = "{" + ",".join(f'"{name}":{v}' for name, v in texts.items()) + "}"
            payloads += [text.encode(), wrapped(text.encode())]
    assert_scanner_agrees(payloads)
    for payload in payloads:
        assert_json_agrees(payload)


def test_thousands_of_mutations_are_scanned_as_they_are_judged() -> None:
    """Seeded, so that a failure comes again; enough are recognised for the test to mean something."""
    choose = random.Random(20260101)
    payloads: list[bytes] = []
    for _ in range(6000):
        message = choose.choice(WITH_TICKS)
        if choose.random() < 0.3:
            message = with_fields_changed(message, choose)
        if choose.random() < 0.3:
            message = wrapped(message)
        payloads.append(mutated(message, choose, choose.choice((1, 1, 2, 3))))
    assert assert_scanner_agrees(payloads) > 200
    for payload in payloads[::5]:
        assert_json_agrees(payload)


@settings(max_examples=tried(300), deadline=None)
@given(st.integers(0, 10**20), st.integers(0, 20), st.booleans())
@example(9007199254740993, 0, False)
@example(9007199254740991, 15, False)
@example(12345678901234567, 8, True)
def test_every_decimal_is_rounded_as_python_rounds_it(digits: int, places: int, zeros: bool) -> None:
    text = str(digits).rjust(places + 1, "0") + ("0" * 3 if zeros else "")
    places += 3 if zeros else 0
    text = f"{text[:-places]}.{text[-places:]}" if places else text
    payload = WITH_TICKS[0].replace(b"58001.03000000", text.encode())
    assert_scanner_agrees([payload])
    ticks = FEED.parse(RawBatch.of("binance", "trade", [payload], 0)).ticks
    assert ticks is not None
    assert ticks.price[0] == float(text)


def test_plain_messages_are_all_recognised() -> None:
    """The hot path really is hot: none of the messages that Binance sends goes to the judge."""
    payloads = [*WITH_TICKS, *(wrapped(message) for message in WITH_TICKS)]
    assert assert_scanner_agrees(payloads) == len(payloads)
    assert assert_scanner_agrees([*CONTROL, *(wrapped(message) for message in CONTROL)]) == 0
