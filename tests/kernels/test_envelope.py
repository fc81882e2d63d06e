"""The kernels of the envelope against a strict decoder and against lines made the plain way."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tickhouse.core.batches import RawBatch
from tickhouse.core.kernels import envelope
from tickhouse.lake._envelope import batches, lines

VALID = [
    b"{}", b"[]", b"0", b"-0", b"-1.25", b'"a"', b"true", b"false", b"null", b' { "a" : [ 1 , { } , [] ] } ', b'"\\n\\"\\\\\\/"',
    b'{"e":"trade","p":"1.5","q":2.50,"m":true,"x":null}', b'\t[1]\t', b"[[[[[[1]]]]]]", b'{"a":{"b":[]}}',
    b"12345678901234567",
]  # fmt: skip
INVALID = [
    b"", b" ", b"{", b"}", b"[1,]", b"[,1]", b'{"a":1,}', b'{"a"}', b'{"a":}', b"{1:2}", b"01", b"1.", b".5", b"-", b"+1", b"1 2",
    b"tru",
    b"truex", b"nul", b'"', b'"\\x"', b'"a\tb"', b'"\x00"', b"[1]]", b"{}{}", b'{"a":1]', b"[1}", b"a,b,c", b"1,2", b'{"a":1}\n',
    b"\r[1]",
    b"NaN", b"'a'", b"{,}", b'{"a":1 "b":2}', b"[1 2]", b'{"a" 1}', b"\x7f",
]  # fmt: skip
UNSURE = [
    b"1e5",
    b"[1E9]",
    b'"\xc3\xa9"',
    b'"\xff"',
    b'"\\u0041"',
    b"123456789012345678",
    b"0.12345678901234567",
    b"[" * 40 + b"]" * 40,
]


def judged(message: bytes) -> int:
    data = np.frombuffer(b"?" + message + b"?", np.uint8)
    return int(envelope.judge(data, 1, 1 + len(message), np.empty(envelope.DEPTH, np.bool_)))


@pytest.mark.parametrize(
    ("verdict", "messages"), [(envelope.JSON, VALID), (envelope.TEXT, INVALID), (envelope.UNSURE, UNSURE)]
)
def test_known_messages_are_judged_right(verdict, messages):
    assert [m for m in messages if judged(m) != verdict] == []
    if verdict != envelope.UNSURE:
        assert [m for m in messages if envelope.is_json(m) != (verdict == envelope.JSON)] == []


JSONISH = st.lists(
    st.sampled_from(
        [
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b'"',
            b'"a"',
            b"1",
            b"-",
            b"0",
            b".",
            b"e",
            b"true",
            b"null",
            b" ",
            b"\\",
            b"\\u",
            b"\n",
            b"\xc3\xa9",
        ]
    ),
    max_size=12,
).map(b"".join)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())


@st.composite
def damaged(draw):
    """JSON with one byte changed, taken out or put in."""
    text = bytearray(draw(VALUES))
    at = draw(st.integers(0, len(text)))
    text[at : at + draw(st.integers(0, 1))] = draw(st.binary(max_size=1))
    return bytes(text)


@given(st.one_of(JSONISH, VALUES, damaged(), st.binary(max_size=20)))
@settings(deadline=None, max_examples=tried(800))
def test_a_verdict_is_never_another_than_the_strict_decoders(message):
    verdict = judged(message)
    if verdict != envelope.UNSURE:
        assert (verdict == envelope.JSON) == envelope.is_json(message)


@given(
    st.lists(st.one_of(JSONISH, VALUES, st.binary(max_size=20)), min_size=1, max_size=8), st.integers(0, 2**62),
    st.integers(-(2**63) + 1, 2**63 - 1), st.tuples(st.text(max_size=4), st.text(max_size=4), st.text(max_size=4)),
)  # fmt: skip
@settings(deadline=None, max_examples=tried(200))
def test_lines_are_those_made_the_plain_way_and_read_back_the_same(messages, first, received, about):
    try:
        "".join(about).encode()
    except UnicodeEncodeError:
        about = ("s", "c", "l")
    raw = replace(RawBatch.of(about[0], about[1], messages, received, about[2]), first=first)
    text = b"".join(lines(raw))
    assert text == b"".join(envelope.line_reference(first + i, about, received, m) for i, m in enumerate(messages))
    (found,) = batches(text, about[0], about[1])
    assert (found.first, found.lane, list(found.payloads())) == (first, about[2], messages)
    assert found.received_at.tolist() == [received] * len(messages)


def test_a_line_that_is_not_ours_is_refused():
    raw = replace(RawBatch.of("s", "c", [b"{}", b"x"], 5), first=3)
    text = b"".join(lines(raw))
    for wrong in (
        text[:-1],
        text[1:],
        text.replace(b'"lane"', b'"line"'),
        text.replace(b":5,", b":,"),
        b"\n" + text,
        text + b"{}\n",
    ):
        with pytest.raises(ValueError, match="line"):
            list(batches(wrong, "s", "c"))
    with pytest.raises(ValueError, match="line 1"):
        list(batches(text, "s", "d"))
    with pytest.raises(ValueError, match="cannot be decoded"):
        list(batches(text.replace(b'"x"', b'"\\x"'), "s", "c"))


def test_parts_of_a_buffer_are_written_in_place():
    data = np.frombuffer(b"skip{}skip[1]skip", np.uint8)
    raw = RawBatch("s", "c", "l", data, np.array([10, 4]), np.array([13, 6]), np.array([1, 2]), 0)
    (found,) = batches(b"".join(lines(raw)), "s", "c")
    assert list(found.payloads()) == [b"[1]", b"{}"]
