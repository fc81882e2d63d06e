"""The scanner and its parts, each against its plain reference."""

import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.examples import tried
from tickhouse.core.batches import RawBatch
from tickhouse.core.kernels.scan import LONGEST, SMALL, Scanner, renumber, renumber_reference, scan_reference
from tickhouse.core.kernels.symbols import SymbolTable
from tickhouse.core.kernels.words import (
    LOWEST,
    TOPS,
    U,
    all_equal_to,
    before,
    digits_value,
    equal_to,
    leading_digits,
    number,
    number_reference,
)  # fmt: skip

LAYOUT = '{"s":"<symbol>","n":<int:n>,"at":<time:at>,"p":"<decimal:p>","ok":<bool>,"x":"<text>"}'
COLUMNS = {"ints": ("n", "at"), "floats": ("p",)}


def message(
    symbol: str = "ABC", n: Any = 7, at: Any = 1767225600123, p: str = "1.50", ok: str = "true", x: str = "hm"
) -> bytes:
    return f'{{"s":"{symbol}","n":{n},"at":{at},"p":"{p}","ok":{ok},"x":"{x}"}}'.encode()


def scanned(payloads: list[bytes], scanner: Scanner | None = None) -> list[dict[str, Any] | None]:
    """The values of each message by name, None where it was not recognised."""
    scanner = scanner or Scanner([LAYOUT], **COLUMNS)
    scan = scanner.scan(RawBatch.of("x", "y", payloads, 0))
    assert scan.recognised == int((scan.symbol >= 0).sum())
    return [
        {"symbol": scanner.table.text(code).decode(), "n": n, "at": at, "p": p} if code >= 0 else None
        for code, n, at, p in zip(scan.symbol.tolist(), *scan.ints.tolist(), scan.floats[0].tolist(), strict=True)
    ]


def word(text: bytes) -> Any:
    return U(int.from_bytes(text.ljust(8, b"\xff")[:8], "little"))


@given(st.binary(min_size=0, max_size=8))
@example(b"12345678")
@example(b"123/5678")
@example(b"123:5678")
def test_digits_of_a_word(text: bytes) -> None:
    digits = len(text) - len(text.lstrip(b"0123456789"))
    assert leading_digits(word(text)) == digits
    if digits:
        assert digits_value(word(text), U(digits)) == int(text[:digits])


@given(st.binary(min_size=8, max_size=8), st.integers(0, 255))
def test_where_a_byte_stands_in_a_word(text: bytes, byte: int) -> None:
    repeated = U(int.from_bytes(bytes([byte]) * 8, "little"))
    place = text.find(bytes([byte]))
    assert before(U(equal_to(word(text), repeated))) == (8 if place < 0 else place)
    marks = int(all_equal_to(word(text), repeated))
    assert [bool(marks >> (8 * i + 7) & 1) for i in range(8)] == [b == byte for b in text]
    assert marks & int(TOPS) == marks


@given(st.text("0123456789", max_size=25), st.binary(max_size=8))
def test_a_number_of_any_length(digits: str, after: bytes) -> None:
    text = digits.encode() + after
    data = np.frombuffer(text + b"x" * 64, np.uint8)
    value, count = number(U(data.ctypes.data))
    assert (int(value), int(count)) == number_reference(text + b"x", 0)


def test_masks_of_the_lowest_bytes() -> None:
    assert [int(mask) for mask in LOWEST] == [256**i - 1 for i in range(9)]


@given(st.lists(st.integers(0, 20), max_size=60))
def test_codes_are_numbered_in_order_of_first_use(codes: list[int]) -> None:
    symbol, local, used = np.array(codes, np.int32), np.full(21, -1, np.int32), np.empty(21, np.int32)
    count = renumber(symbol, local, used)
    assert (symbol.tolist(), used[:count].tolist()) == renumber_reference(codes)
    assert (local == -1).all()


plain = st.builds(
    message,
    symbol=st.text("ABCXYZ0189", min_size=1, max_size=31),
    n=st.integers(0, 10**18 - 1),
    at=st.integers(10**12, 10**13 - 1) | st.integers(10**15, 10**16 - 1),
    p=st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,9})?", fullmatch=True),
    ok=st.sampled_from(["true", "false"]),
    x=st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), min_size=1, max_size=40),
)


@settings(max_examples=tried(300))
@given(st.lists(plain, min_size=1, max_size=20))
def test_every_plain_message_is_recognised_and_read_as_json_reads_it(payloads: list[bytes]) -> None:
    rows = scanned(payloads)
    for row, payload in zip(rows, payloads, strict=True):
        fields = json.loads(payload)
        assert row == {
            "symbol": fields["s"],
            "n": fields["n"],
            "at": fields["at"] * (1000 if fields["at"] < 10**14 else 1),
            "p": float(fields["p"]),
        }
        assert row == scan_reference(LAYOUT, payload)


@settings(max_examples=tried(500))
@given(plain, st.integers(0, 200), st.integers(0, 6), st.binary(max_size=3))
def test_no_changed_message_is_recognised_unless_the_reference_reads_it_the_same(
    payload: bytes, at: int, cut: int, put: bytes
) -> None:
    changed = payload[: at % len(payload)] + put + payload[at % len(payload) + cut :]
    (row,) = scanned([changed])
    if row is not None:
        assert row == scan_reference(LAYOUT, changed)


@pytest.mark.parametrize(
    "payload",
    [
        message(n="01"), message(n="-1"), message(n="1.0"), message(n=""), message(n=10**18), message(n="1 "),
        message(at=176722560012), message(at=17672256001234), message(at="0767225600123"), message(at=17672256001234567),
        message(p=""), message(p="."), message(p="1."), message(p=".5"), message(p="-1"), message(p="1e5"), message(p="1.5.2"),
        message(p="12345678901234567890"), message(p="0.12345678901234567891"), message(p="9007199254740993"),
        message(ok="True"), message(ok="null"), message(ok="1"), message(x='a\\"b'), message(x="é"), message(x="a\tb"),
        message(symbol=""), message(symbol="abc"), message(symbol="A-B"), message(symbol="A" * 32), message(symbol="Ä"),
        message(symbol="A\0"), message(symbol="ABC\0"), message() + b" ", b" " + message(), message() + b"}", message()[:-1],
        message().replace(b":", b": ", 1), message(x="a" * int(LONGEST)), b"", b"{", b'{"s":"',
    ],
)  # fmt: skip
def test_what_is_not_of_the_narrow_form_is_left_to_the_judge(payload: bytes) -> None:
    for padding in (0, SMALL):
        assert scanned([message(), payload, message(x="z" * 4000)] + [message()] * (padding // 50))[1] is None


@given(st.integers(0, 10**19 - 1), st.integers(0, 12), st.integers(0, 6))
@example(2**53 + 1, 0, 0)
@example(2**53, 0, 0)
@example(10**18, 3, 3)
def test_a_decimal_is_rounded_right_or_left_alone(digits: int, places: int, zeros: int) -> None:
    text = str(digits).rjust(places + 1, "0")
    text = (f"{text[:-places]}.{text[-places:]}" if places else text + ".") + "0" * zeros
    (row,) = scanned([message(p=text.rstrip("."))])
    assert row is None or row["p"] == float(text)
    if digits < 2**53 and len(text) - 1 <= 19:
        assert row is not None


def test_nothing_behind_a_message_belongs_to_it() -> None:
    """A message may end anywhere in the buffer: its last number does not go on in the next message."""
    layout = "<symbol>" + '",<int:n>'
    scanner = Scanner([layout], ints=("n",), floats=())
    for size in (40, SMALL + 1):
        data = np.frombuffer(b'AB",12345' + b"6" * size, np.uint8)
        for end in range(4, 9):
            raw = RawBatch("x", "y", "live", data, np.array([0]), np.array([end]), np.array([0]))
            scan = scanner.scan(raw)
            assert scan.recognised == 0


def test_a_batch_with_nonsense_bounds_recognises_nothing() -> None:
    """Bounds come from a file or the journal; whatever they say, no other memory is read."""
    scanner = Scanner([LAYOUT], **COLUMNS)
    data = np.frombuffer(message() * 200, np.uint8)
    offsets = np.array([-5, -60, 0, 10, len(data), 10**15, -(10**15)])
    ends = np.array([50, -5, -1, 5, len(data) + 10**6, 10**15 + 60, 60])
    scan = scanner.scan(RawBatch("x", "y", "live", data, offsets, ends, np.zeros(7, np.int64)))
    assert scan.symbol.tolist() == [-1] * 7


def test_the_layout_that_fitted_last_is_tried_first_and_every_one_is_tried() -> None:
    layouts = ['{"a":<int:n>,"s":"<symbol>"}', '{"b":<int:n>,"s":"<symbol>"}', '{"c":<int:n>,"s":"<symbol>"}']
    scanner, choose = Scanner(layouts, ints=("n",), floats=()), random.Random(5)
    keys = [choose.choice("abcd") for _ in range(500)]
    scan = scanner.scan(
        RawBatch.of("x", "y", [f'{{"{key}":{i},"s":"S{key.upper()}"}}'.encode() for i, key in enumerate(keys)], 0)
    )
    known = [key != "d" for key in keys]
    assert (scan.symbol >= 0).tolist() == known
    assert scan.ints[0, known].tolist() == [i for i, key in enumerate(keys) if key != "d"]


def test_symbols_keep_their_codes_between_calls_until_the_table_is_full() -> None:
    scanner = Scanner([LAYOUT], **COLUMNS)
    scanner.table = SymbolTable(most=8)
    first = scanner.scan(RawBatch.of("x", "y", [message(f"S{i}") for i in range(5)], 0))
    again = scanner.scan(RawBatch.of("x", "y", [message(f"S{i}") for i in range(12)], 0))
    assert first.symbol.tolist() == [0, 1, 2, 3, 4]
    assert again.symbol.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, -1, -1, -1, -1]
    assert scanner.table.generation == 0
    anew = scanner.scan(RawBatch.of("x", "y", [message(f"S{i}") for i in range(8, 12)], 0))
    assert anew.symbol.tolist() == [0, 1, 2, 3]
    assert scanner.table.generation == 1


def test_twenty_thousand_symbols_are_told_apart() -> None:
    names = [f"S{i}" + "X" * (i % 29) for i in range(20_000)]
    choose = random.Random(1)
    picks = [choose.choice(names) for _ in range(30_000)]
    rows = scanned([message(name[:31]) for name in picks])
    assert [row["symbol"] if row else None for row in rows] == [name[:31] for name in picks]
