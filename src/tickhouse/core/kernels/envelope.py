"""The lines of bronze objects, written and read without a Python step per message.

A line is `{"position":P,"source":"s","channel":"c","lane":"l","received_at":T,"payload":...}` with a line end. The payload
is the message itself where that is JSON on one line; else it is `"text":"..."`, or `"base64":"..."`. The kernels decide
what they can be certain of and leave the rest to a strict decoder: UNSURE is always a right answer.
"""

from typing import Any

import numpy as np

from tickhouse.core.kernels import kernel

JSON, TEXT, UNSURE = 0, 1, 2
"""What a message is to the kernels: valid JSON on one line, ASCII text that is no JSON, or not for them to say."""

DEPTH = 32
"""JSON that is nested deeper is left to the decoder."""
DEEPEST = 200
"""JSON that is nested deeper is kept as text, so that no reader runs out of stack."""
DIGITS = 17
"""Numbers with more digits are left to the decoder."""

_SPACE, _TAB, _QUOTE, _BACKSLASH, _COMMA, _COLON = (np.uint8(ord(c)) for c in ' \t"\\,:')
_OPEN, _CLOSE, _LIST, _END_LIST, _MINUS, _DOT, _ZERO, _NINE = (np.uint8(ord(c)) for c in "{}[]-.09")
_T, _F, _N, _U, _E, _BIG_E, _X80 = (*(np.uint8(ord(c)) for c in "tfnueE"), np.uint8(0x80))
_ESCAPED = np.array([chr(i) in '"\\/bfnrt' for i in range(256)])
_TRUE, _FALSE, _NULL = (np.frombuffer(word, np.uint8) for word in (b"true", b"false", b"null"))
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_SHORT = np.zeros(256, np.uint8)
"""The letter of the short escape of a byte, 0 for a byte that has none."""
_SHORT[[8, 9, 10, 12, 13, 34, 92]] = np.frombuffer(b'btnfr"\\', np.uint8)
_VALUE, _KEY, _AFTER, _FIRST_KEY, _FIRST_VALUE = 0, 1, 2, 3, 4


@kernel
def _string(data: Any, at: int, stop: int) -> tuple[int, int]:
    """(verdict, place after the closing quote) of the string whose quote is before `at`."""
    while at < stop:
        c = data[at]
        if c == _QUOTE:
            return JSON, at + 1
        if c >= _X80:
            return UNSURE, at
        if c < _SPACE:
            return TEXT, at
        if c == _BACKSLASH:
            at += 1
            if at < stop and data[at] == _U:
                return UNSURE, at
            if at >= stop or not _ESCAPED[data[at]]:
                return TEXT, at
        at += 1
    return TEXT, at


@kernel
def _digits(data: Any, at: int, stop: int) -> int:
    while at < stop and _ZERO <= data[at] <= _NINE:
        at += 1
    return at


@kernel
def _number(data: Any, at: int, stop: int) -> tuple[int, int]:
    """(verdict, place after) of the number at `at`."""
    if data[at] == _MINUS:
        at += 1
    end = _digits(data, at, stop)
    count = end - at
    if count == 0 or (count > 1 and data[at] == _ZERO):
        return TEXT, end
    if end < stop and data[end] == _DOT:
        at = end + 1
        end = _digits(data, at, stop)
        if end == at:
            return TEXT, end
        count += end - at
    if count > DIGITS or (end < stop and (data[end] == _E or data[end] == _BIG_E)):
        return UNSURE, end
    return JSON, end


@kernel
def _word(data: Any, at: int, stop: int, word: Any) -> tuple[int, int]:
    if stop - at < len(word):
        return TEXT, at
    for i in range(len(word)):
        if data[at + i] != word[i]:
            return TEXT, at
    return JSON, at + len(word)


@kernel
def _scalar(data: Any, at: int, stop: int) -> tuple[int, int]:
    """(verdict, place after) of the string, number or word at `at`."""
    c = data[at]
    if c == _QUOTE:
        return _string(data, at + 1, stop)
    if c == _MINUS or _ZERO <= c <= _NINE:
        return _number(data, at, stop)
    if c == _T:
        return _word(data, at, stop, _TRUE)
    if c == _F:
        return _word(data, at, stop, _FALSE)
    if c == _N:
        return _word(data, at, stop, _NULL)
    return TEXT, at


@kernel
def judge(data: Any, at: int, stop: int, stack: Any) -> int:
    """Whether data[at:stop] is JSON, surely no JSON, or not for us to say. `stack` is scratch of DEPTH bools."""
    depth, state = 0, _VALUE
    while at < stop:
        c = data[at]
        if c in (_SPACE, _TAB):
            at += 1
        elif state == _AFTER:
            at += 1
            if depth == 0:
                return TEXT
            if c == _COMMA:
                state = _KEY if stack[depth - 1] else _VALUE
            elif c == (_CLOSE if stack[depth - 1] else _END_LIST):
                depth -= 1
            else:
                return TEXT
        elif state in (_KEY, _FIRST_KEY):
            if c == _CLOSE and state == _FIRST_KEY:
                depth, state, at = depth - 1, _AFTER, at + 1
                continue
            if c != _QUOTE:
                return TEXT
            verdict, at = _string(data, at + 1, stop)
            if verdict != JSON:
                return verdict
            while at < stop and (data[at] == _SPACE or data[at] == _TAB):
                at += 1
            if at >= stop or data[at] != _COLON:
                return TEXT
            at, state = at + 1, _VALUE
        elif c in (_OPEN, _LIST):
            if depth == DEPTH:
                return UNSURE
            stack[depth] = c == _OPEN
            depth, state, at = depth + 1, _FIRST_KEY if c == _OPEN else _FIRST_VALUE, at + 1
        elif c == _END_LIST and state == _FIRST_VALUE:
            depth, state, at = depth - 1, _AFTER, at + 1
        else:
            verdict, at = _scalar(data, at, stop)
            if verdict != JSON:
                return verdict
            state = _AFTER
    return JSON if depth == 0 and state == _AFTER else TEXT


@kernel
def _escaped_size(data: Any, at: int, stop: int) -> int:
    """How long data[at:stop] is as the inside of a JSON string, or -1 when it is not ASCII."""
    size = 0
    for i in range(at, stop):
        c = data[i]
        if c >= _X80:
            return -1
        size += 2 if _SHORT[c] else 6 if c < _SPACE else 1
    return size


@kernel
def classify(data: Any, offsets: Any, ends: Any, verdicts: Any, sizes: Any) -> int:
    """Judge every message; `sizes` are the bytes of its value in the line, quotes included. Returns how many are UNSURE."""
    stack = np.empty(DEPTH, np.bool_)
    unsure = 0
    for i in range(len(offsets)):
        verdict = judge(data, offsets[i], ends[i], stack)
        size = ends[i] - offsets[i]
        if verdict == TEXT:
            size = _escaped_size(data, offsets[i], ends[i])
            if size < 0:
                verdict = UNSURE
            size += 2
        if verdict == UNSURE:
            unsure += 1
        verdicts[i] = verdict
        sizes[i] = size
    return unsure


@kernel
def _copy(out: Any, at: int, data: Any, start: int, stop: int) -> int:
    n = stop - start
    out[at : at + n] = data[start:stop]
    return at + n


@kernel
def _integer(out: Any, at: int, value: int) -> int:
    """Write a number in decimal and return the place after it."""
    if value < 0:
        out[at] = _MINUS
        at += 1
    rest = np.uint64(-value) if value < 0 else np.uint64(value)
    ten = np.uint64(10)
    end, shrunk = at + 1, rest // ten
    while shrunk:
        end += 1
        shrunk //= ten
    for place in range(end - 1, at - 1, -1):
        out[place] = _ZERO + np.uint8(rest % ten)
        rest //= ten
    return end


@kernel
def _escape(out: Any, at: int, data: Any, start: int, stop: int) -> int:
    """Write ASCII text as a JSON string and return the place after it."""
    out[at] = _QUOTE
    at += 1
    for i in range(start, stop):
        c = data[i]
        if _SHORT[c]:
            out[at], out[at + 1] = _BACKSLASH, _SHORT[c]
            at += 2
        elif c < _SPACE:
            out[at], out[at + 1], out[at + 2], out[at + 3] = _BACKSLASH, _U, _ZERO, _ZERO
            out[at + 4], out[at + 5] = _HEX[c >> 4], _HEX[c & 15]
            at += 6
        else:
            out[at] = c
            at += 1
    out[at] = _QUOTE
    return at + 1


@kernel
def write(
    out: Any, data: Any, offsets: Any, ends: Any, received: Any, first: int, verdicts: Any,
    side: Any, side_ends: Any, opening: Any, middle: Any, payload: Any, text: Any
) -> int:  # fmt: skip
    """Write the lines of a batch and return their bytes. `side` has the rest of the line of each UNSURE message in turn, from
    its key on; `opening`, `middle`, `payload` and `text` are the constant pieces between the values."""
    at, used, taken = 0, 0, 0
    for i in range(len(offsets)):
        at = _copy(out, at, opening, 0, len(opening))
        at = _integer(out, at, first + i)
        at = _copy(out, at, middle, 0, len(middle))
        at = _integer(out, at, received[i])
        if verdicts[i] == JSON:
            at = _copy(out, at, payload, 0, len(payload))
            at = _copy(out, at, data, offsets[i], ends[i])
        elif verdicts[i] == TEXT:
            at = _copy(out, at, text, 0, len(text))
            at = _escape(out, at, data, offsets[i], ends[i])
        else:
            at = _copy(out, at, side, used, side_ends[taken])
            used, taken = side_ends[taken], taken + 1
        out[at], out[at + 1] = _CLOSE, 10
        at += 2
    return at


@kernel
def _literal(data: Any, at: int, stop: int, piece: Any) -> int:
    """The place after a constant piece, or -1 when something else stands there."""
    if stop - at < len(piece):
        return -1
    for i in range(len(piece)):
        if data[at + i] != piece[i]:
            return -1
    return at + len(piece)


@kernel
def _read_integer(data: Any, at: int, stop: int) -> Any:
    """(number, place after it), place -1 when there is none of at most 19 digits."""
    sign = 1
    if at < stop and data[at] == _MINUS:
        sign, at = -1, at + 1
    end, value = at, np.int64(0)
    while end < stop and _ZERO <= data[end] <= _NINE:
        value = value * 10 + np.int64(data[end] - _ZERO)
        end += 1
    return sign * value, end if 0 < end - at <= 19 else -1


@kernel
def _lane_end(data: Any, at: int, stop: int) -> int:
    """The place of the quote that closes the string from `at` on, or -1."""
    while at < stop:
        if data[at] == _BACKSLASH:
            at += 1
        elif data[at] == _QUOTE:
            return at
        at += 1
    return -1


@kernel
def read(data: Any, opening: Any, middle: Any, tail: Any, keys: Any, key_ends: Any, columns: Any) -> int:
    """Find the values of every line; rows of `columns` are position, lane start, lane end, received_at, key, start, end, and
    whether the lane is that of the line before.

    `middle` is all between position and lane, `tail` what follows the lane, `keys` the possible last keys in a row. Returns
    the number of lines, or -1 - i when line i is not one of ours.
    """
    at, i = 0, 0
    while at < len(data):
        stop = at
        while stop < len(data) and data[stop] != 10:
            stop += 1
        if stop == len(data) or stop - at < len(opening) or data[stop - 1] != _CLOSE:
            return -1 - i
        at = _literal(data, at, stop, opening)
        if at >= 0:
            columns[0, i], at = _read_integer(data, at, stop)
        if at >= 0:
            at = _literal(data, at, stop, middle)
        if at < 0:
            return -1 - i
        columns[1, i] = at
        at = _lane_end(data, at, stop)
        columns[2, i] = at
        if at >= 0:
            columns[7, i] = i > 0 and np.array_equal(
                data[columns[1, i - 1] : columns[2, i - 1]], data[columns[1, i] : at]
            )
            at = _literal(data, at, stop, tail)
        if at >= 0:
            columns[3, i], at = _read_integer(data, at, stop)
        if at < 0:
            return -1 - i
        start, found = 0, -1
        for k in range(len(key_ends)):
            after = _literal(data, at, stop, keys[start : key_ends[k]])
            start = key_ends[k]
            if after >= 0:
                found, columns[5, i] = k, after
        if found < 0:
            return -1 - i
        columns[4, i], columns[6, i] = found, stop - 1
        at, i = stop + 1, i + 1
    return i


def line_reference(position: int, about: tuple[str, str, str], received_at: int, payload: bytes) -> bytes:
    """One line, the plain way; `about` is source, channel and lane."""
    import base64

    import msgspec

    encode = msgspec.json.encode
    source, channel, lane = (encode(text) for text in about)
    head = b'{"position":%d,"source":%b,"channel":%b,"lane":%b,"received_at":%d,' % (
        position,
        source,
        channel,
        lane,
        received_at,
    )
    if is_json(payload):
        return head + b'"payload":' + payload + b"}\n"
    try:
        return head + b'"text":' + encode(payload.decode()) + b"}\n"
    except UnicodeDecodeError:
        return head + b'"base64":' + encode(base64.b64encode(payload).decode()) + b"}\n"


def is_json(payload: bytes) -> bool:
    """Whether a message is JSON in UTF-8 on one line, in the judgement of a strict decoder; nested very deep it is not."""
    import msgspec

    if b"\n" in payload or b"\r" in payload or _nested(payload) > DEEPEST:
        return False
    try:
        payload.decode()
        msgspec.json.decode(payload)
    except (UnicodeDecodeError, msgspec.DecodeError):
        return False
    return True


def _nested(payload: bytes) -> int:
    """At most how deep a message is nested, were every bracket one of its structure."""
    if payload.count(b"[") + payload.count(b"{") <= DEEPEST:
        return 0
    letters = np.frombuffer(payload, np.uint8)
    opened = (letters == _OPEN) | (letters == _LIST)
    closed = (letters == _CLOSE) | (letters == _END_LIST)
    return int(np.cumsum(opened.astype(np.int64) - closed).max())
