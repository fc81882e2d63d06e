"""Lines and capture lines, each kernel against its plain reference."""

import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tickhouse.core.kernels.lines import (
    NOT_CAPTURE,
    NOT_NOTED,
    PADDING,
    split_lines,
    split_lines_reference,
    unwrap,
    unwrap_reference,
)  # fmt: skip


def split(text: bytes, after: bytes = b"\n") -> tuple[list[bytes], int]:
    data = np.frombuffer(text + after * PADDING, np.uint8)
    offsets, ends, rest = split_lines(data, len(text))
    return [text[a:b] for a, b in zip(offsets.tolist(), ends.tolist(), strict=True)], rest


def unwrapped(lines: list[bytes]) -> list[tuple[bytes, int] | None]:
    text = b"".join(line + b"\n" for line in lines)
    data = np.frombuffer(text + b'"}' * PADDING, np.uint8)
    buffer, offsets, ends, received = unwrap(data, *split_lines(data, len(text))[:2])
    found = [(buffer[a:b].tobytes(), at) for a, b, at in zip(offsets, ends, received.tolist(), strict=True)]
    for line, (payload, at) in zip(lines, found, strict=True):
        assert at != NOT_CAPTURE or payload == line
    return [pair if pair[1] != NOT_CAPTURE else None for pair in found]


@given(
    st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"\x0b", b"\x8a", b"0123456789", b"\0"]), max_size=60).map(
        b"".join
    )
)
def test_lines_are_split_as_bytes_split_does(text: bytes) -> None:
    lines, rest = split(text)
    assert lines == split_lines_reference(text)
    assert text[rest:] == text.split(b"\n")[-1]
    assert split(text, b"\0") == (lines, rest)


texts = st.text(st.characters(codec="utf-8") | st.sampled_from('"\\/\b\f\n\r\t{}[]:,'), max_size=80)
seconds = st.decimals(0, 99_999_999_999, allow_nan=False, places=6) | st.decimals(
    0, 2 * 10**9, allow_nan=False, places=9
)


@settings(max_examples=tried(300))
@given(st.lists(st.tuples(texts, seconds, st.booleans(), st.booleans()), max_size=8))
def test_a_capture_line_gives_its_message_and_its_time(rows: list[tuple[str, Decimal, bool, bool]]) -> None:
    lines = []
    for text, recv, spaced, escaped in rows:
        gap = " " if spaced else ""
        lines.append(f'{{"recv":{gap}{recv:f},{gap}"raw":{gap}{json.dumps(text, ensure_ascii=escaped)}}}'.encode())
    expected = [
        (text.encode(), int((recv * 1_000_000).quantize(Decimal(1), "ROUND_HALF_UP"))) for text, recv, _, _ in rows
    ]
    assert unwrapped(lines) == expected
    assert [unwrap_reference(line) for line in lines] == expected


LINE = b'{"recv":1617566591.326123,"raw":"{\\"e\\":\\"trade\\",\\"x\\":\\"\\\\n/\\\\u00e9\\"}"}'
lines_like = st.builds(
    lambda at, cut, put: LINE[: at % len(LINE)] + put + LINE[at % len(LINE) + cut :],
    st.integers(0, 100),
    st.integers(0, 5),
    st.binary(max_size=3).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")),
)


@settings(max_examples=tried(500))
@given(st.lists(lines_like, min_size=1, max_size=5))
@example([LINE])
@example([LINE + b"x", LINE + b" ", LINE + b"}", LINE[:-1], LINE[:-2]])
@example([b'{"recv":1.5,"raw":"a"}'])
@example([b'{"raw":"a","recv":1.5}'])
def test_a_changed_capture_line_is_read_as_the_strict_decoder_reads_it(lines: list[bytes]) -> None:
    """What the decoder does not take is the message itself, so that nothing is lost and the parser says what is wrong."""
    fits = [unwrap_reference(line) if line.startswith(b'{"recv":') else None for line in lines]
    assert unwrapped(lines) == fits


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0), ("1617566591.326123", 1617566591326123), ("1628952314.0877671", 1628952314087767), ("1.0000005", 1000001),
        ("1.00000049999999999999999999999999999999999999", 1000000), ("1.5e3", 1_500_000_000),
        ("12345678901.1234564999", 12345678901123456),
    ],
)  # fmt: skip
def test_seconds_are_rounded_half_up_to_the_microsecond(text: str, micros: int) -> None:
    assert unwrapped([b'{"recv":' + text.encode() + b',"raw":"x"}']) == [(b"x", micros)]


def test_a_capture_line_without_a_time_is_unwrapped_too() -> None:
    assert unwrapped([b'{"recv":null,"raw":"x"}', b'{"recv": null, "raw": "y"}']) == [
        (b"x", NOT_NOTED),
        (b"y", NOT_NOTED),
    ]


@pytest.mark.parametrize("text", ["", "-1", "01", "1.", ".5", "1e99", '"1"', "123456789012", "[]", "NaN"])
def test_a_time_that_is_none_makes_the_line_a_message(text: str) -> None:
    assert unwrapped([b'{"recv":' + text.encode() + b',"raw":"x"}']) == [None]
