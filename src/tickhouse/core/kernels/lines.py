"""Lines of a file as messages: where they begin and end, and what is inside a capture line.

A capture line is what recorders of sockets write: `{"recv": 1617566591.326123, "raw": "<the message, escaped>"}`, with null for a
time that was not noted.
"""

import re
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import msgspec
import numpy as np

from tickhouse.core.batches import I64, U8
from tickhouse.core.kernels import kernel

from tickhouse.core.kernels.words import (  # isort: skip
    BACKSLASHES, EIGHT, ONE, ONES, POWERS, QUOTES, SEVEN, SIX, SPACES, TOPS, TWO, ZERO, U,
    all_equal_to, before, equal_to, load, number, store,
)  # fmt: skip

PADDING = 64
"""Bytes that must follow the text in its buffer; what they hold does not matter."""
NOT_CAPTURE, NOT_READ, NOT_NOTED = -1, -2, -3
"""In place of a receive time: the line is the message itself; the line looks like a capture line and is none of the
plainest form; it is a capture line without a time."""
NEWLINES, BYTE, RETURN = U(0x0A0A0A0A0A0A0A0A), U(255), U(13)
RECV = U(int.from_bytes(b'{"recv":', "little"))
RAW, RAW_MASK = U(int.from_bytes(b'"raw":', "little")), U((1 << 48) - 1)
SPACE, DOT, COMMA, QUOTE, BACKSLASH, BRACE = (U(byte) for byte in b' .,"\\}')
DIGIT_ZERO, MOST_SECONDS, MILLION = U(48), U(11), U(1_000_000)
ESCAPES = np.zeros(256, np.uint8)
for _letter, _meaning in zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True):
    ESCAPES[_letter] = _meaning


@kernel
def _count_newlines(data: Any, size: int) -> Any:
    base, total = U(data.ctypes.data), ZERO
    for at in range(ZERO, U(size), EIGHT):
        marks = all_equal_to(load(base + at), NEWLINES)
        if marks:
            total += ((marks >> SEVEN) * ONES) >> U(56)
    for at in range(U(size), (U(size) + SEVEN) & ~SEVEN):
        if data[at] == 10:
            total -= ONE
    return np.int64(total)


@kernel
def _find_lines(data: Any, offsets: Any, ends: Any) -> Any:
    """Fill in the lines and return where the rest begins."""
    base, at, begin, row = U(data.ctypes.data), ZERO, ZERO, 0
    while row < offsets.size:
        marks = all_equal_to(load(base + at), NEWLINES)
        while marks and row < offsets.size:
            end = at + before(marks)
            marks &= marks - ONE
            offsets[row] = begin
            ends[row] = end
            if end > begin and data[end - ONE] == RETURN:
                ends[row] -= 1
            begin = end + ONE
            row += 1
        at += EIGHT
    return np.int64(begin)


def split_lines(data: U8, size: int) -> tuple[I64, I64, int]:
    """The lines of data[:size] that are complete: where each begins and ends (without its line end), and where the rest begins.

    `data` has at least `PADDING` bytes after `size`.

    >>> text = b"a\\r\\n\\nbc"
    >>> split_lines(np.frombuffer(text + bytes(PADDING), np.uint8), len(text))
    (array([0, 3]), array([1, 3]), 4)
    """
    offsets = np.empty(_count_newlines(data, size), np.int64)
    ends = np.empty(len(offsets), np.int64)
    return offsets, ends, int(_find_lines(data, offsets, ends))


def split_lines_reference(text: bytes) -> list[bytes]:
    """The complete lines of a text."""
    return [line.removesuffix(b"\r") for line in text.split(b"\n")[:-1]]


@kernel
def _seconds(at: Any) -> Any:
    """The JSON number of seconds at an address as (microseconds rounded half up, end), end 0 when it is of another form."""
    whole, count = number(at)
    if count == ZERO or count > MOST_SECONDS or (count > ONE and load(at) & BYTE == DIGIT_ZERO):
        return ZERO, ZERO
    at += count
    micros = whole * MILLION
    if load(at) & BYTE != DOT:
        return micros, at
    part, places = number(at + ONE)
    if places == ZERO or places > U(19):
        return ZERO, ZERO
    at += ONE + places
    if places <= SIX:
        return micros + part * POWERS[SIX - places], at
    unit = POWERS[places - SIX]
    return micros + part // unit + U(part % unit >= unit // TWO), at


@kernel
def _unescape(at: Any, stop: Any, target: Any) -> Any:
    """Copy the JSON string from `at` on to `target` without its escapes: (source end, target end), zeros when it holds
    anything but ASCII and the short escapes."""
    while at < stop:
        word = load(at)
        odd = (equal_to(word, QUOTES) | equal_to(word, BACKSLASHES) | ((word - SPACES) & ~word) | word) & TOPS
        store(target, word)
        count = before(odd)
        at += count
        target += count
        if count == EIGHT:
            continue
        word = load(at)
        if word & BYTE == QUOTE:
            return at, target
        meaning = U(ESCAPES[(word >> EIGHT) & BYTE])
        if word & BYTE != BACKSLASH or meaning == ZERO:
            return ZERO, ZERO
        store(target, meaning)
        target += ONE
        at += TWO
    return ZERO, ZERO


@kernel
def _after_space(at: Any) -> Any:
    return at + ONE if load(at) & BYTE == SPACE else at


@kernel
def _unwrap_line(at: Any, stop: Any, target: Any) -> Any:
    """(microseconds, target end) of a capture line of the plainest form, target end 0 for another."""
    micros, at = _seconds(_after_space(at + EIGHT))
    if at == ZERO or load(at) & BYTE != COMMA:
        return ZERO, ZERO
    at = _after_space(at + ONE)
    if load(at) & RAW_MASK != RAW:
        return ZERO, ZERO
    at = _after_space(at + SIX)
    if load(at) & BYTE != QUOTE:
        return ZERO, ZERO
    at, end = _unescape(at + ONE, stop, target)
    if at == ZERO or at + TWO != stop or load(at + ONE) & BYTE != BRACE:
        return ZERO, ZERO
    return micros, end


@kernel
def _unwrap(data: Any, offsets: Any, ends: Any, out: Any, received: Any) -> Any:
    """Write each line's message to `out`, move offsets and ends there, and fill in receive times; returns the bytes used."""
    base, out_base, used = U(data.ctypes.data), U(out.ctypes.data), ZERO
    for row in range(U(offsets.size)):
        at, stop, target = base + U(offsets[row]), base + U(ends[row]), out_base + used
        received[row] = NOT_CAPTURE
        end = ZERO
        if stop - at > EIGHT and load(at) == RECV:
            micros, end = _unwrap_line(at, stop, target)
            received[row] = np.int64(micros) if end else NOT_READ
        if end == ZERO:
            end = target + (stop - at)
            while at < stop:
                store(target, load(at))
                at += EIGHT
                target += EIGHT
        offsets[row] = used
        used = end - out_base
        ends[row] = used
    return np.int64(used)


@kernel
def _any_capture(data: Any, offsets: Any, ends: Any) -> bool:
    base = U(data.ctypes.data)
    for row in range(U(offsets.size)):  # noqa: SIM110
        if ends[row] - offsets[row] > 8 and load(base + U(offsets[row])) == RECV:
            return True
    return False


def unwrap(data: U8, offsets: I64, ends: I64) -> tuple[U8, I64, I64, I64]:
    """The messages of lines as (buffer, offsets, ends, receive times in us); a line that is no capture line is the message
    itself, with receive time -1, and one without a time has -3.

    `data` has at least `PADDING` bytes after the last line.
    """
    received = np.full(len(offsets), NOT_CAPTURE, np.int64)
    if not _any_capture(data, offsets, ends):
        return data, offsets, ends, received
    out = np.empty(int((ends - offsets).sum()) + PADDING, np.uint8)
    offsets, ends = offsets.copy(), ends.copy()
    used = _unwrap(data, offsets, ends, out, received)
    extra, at = [], used
    for row in np.flatnonzero(received == NOT_READ).tolist():
        received[row] = NOT_CAPTURE
        read = unwrap_reference(out[offsets[row] : ends[row]].tobytes())
        if read is not None:
            payload, received[row] = read
            offsets[row], ends[row] = at, at + len(payload)
            extra.append(payload)
            at += len(payload)
    data = out if not extra else np.concatenate((out[:used], np.frombuffer(b"".join(extra), np.uint8)))
    return data, offsets, ends, received


class _Line(msgspec.Struct):
    recv: msgspec.Raw
    raw: str


_line = msgspec.json.Decoder(_Line)
_NUMBER = re.compile(rb"(0|[1-9]\d{0,10})(\.\d+)?([eE][+-]?\d{1,2})?")


def unwrap_reference(line: bytes) -> tuple[bytes, int] | None:
    """The message and the receive time (us, rounded half up; or `NOT_NOTED`) of a capture line, None for a line that is none."""
    try:
        read = _line.decode(line)
        payload = read.raw.encode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    text = bytes(read.recv)
    if text == b"null":
        return payload, NOT_NOTED
    if len(text) > 100 or not _NUMBER.fullmatch(text):
        return None
    exact = Context(prec=400, rounding=ROUND_HALF_UP)
    seconds = Decimal(text.decode())
    if seconds >= 10**11:
        return None
    return payload, int(exact.quantize(exact.multiply(seconds, Decimal(1_000_000)), Decimal(1)))
