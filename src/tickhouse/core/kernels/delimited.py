"""Lines of delimited text as columns: where each field is, and what number or word it holds.

Each kernel takes the plain forms and marks what it does not take; a strict reader of single lines judges those. A field is
data[begin:stop]; begin -1 stands for a line without that field.
"""

import re
from typing import Any

import numpy as np
import pyarrow as pa

from tickhouse.core.batches import F64, I64, U8
from tickhouse.core.kernels import kernel

DATA, CONTROL, ODD = 0, 1, 2
"""Of a line: it has the fields; it is empty or a comment; a strict reader must judge it."""
TAKEN, TOUGH, EMPTY, REFUSED = 0, 1, 2, 3
"""Of a number: read exactly; a number that takes more care; nothing there; not a plain number."""
SPACE, TAB, QUOTE, PLUS, MINUS, ZERO, NINE = 32, 9, 34, 43, 45, 48, 57
LETTER_E, LETTER_E_SMALL = 69, 101
BYTE_ORDER_MARK = (0xEF, 0xBB, 0xBF)
EXACT, MOST_DIGITS, MOST_PLACES = 1 << 53, 18, 22
TENS = np.array([10.0**i for i in range(MOST_PLACES + 1)])


@kernel
def _blank(byte: int, separator: int) -> bool:
    return byte == SPACE or (byte == TAB and separator != TAB)


@kernel
def _field(data: Any, at: int, end: int, separator: int) -> Any:
    """The field from `at` on as (begin, stop, where its separator or the end is); the last is -1 when a quote is out of place."""
    while at < end and data[at] == SPACE:
        at += 1
    begin = at
    if at < end and data[at] == QUOTE:
        begin = at = at + 1
        while at < end and data[at] != QUOTE:
            at += 1
        return begin, at, at + 1 if at + 1 == end or (at + 1 < end and data[at + 1] == separator) else -1
    while at < end and _blank(data[at], separator):
        at += 1
    begin = at
    stop = at
    while at < end and data[at] != separator:
        if data[at] == QUOTE:
            return begin, at, -1
        at += 1
        if not _blank(data[at - 1], separator):
            stop = at
    return begin, stop, at


@kernel
def split(data: Any, lines: Any, marks: Any, slots: Any, fields: Any, state: Any) -> None:
    """Find the fields of lines (offsets, ends). `marks` are the bytes of separator and comment; field i of a line goes to
    fields[:, slots[i], line] (begin and stop) when slots[i] >= 0. `state` gets DATA, CONTROL or ODD: other fields than slots
    has, empty ones behind the last apart."""
    offsets, ends = lines
    separator, comment = marks
    for row in range(offsets.size):
        at, end = offsets[row], ends[row]
        if (
            end - at >= 3
            and data[at] == BYTE_ORDER_MARK[0]
            and data[at + 1] == BYTE_ORDER_MARK[1]
            and data[at + 2] == BYTE_ORDER_MARK[2]
        ):
            at += 3
        first = at
        while first < end and (data[first] == SPACE or data[first] == TAB):
            first += 1
        if first == end or data[first] == comment:
            state[row] = CONTROL
            continue
        state[row] = DATA
        column = 0
        while True:
            begin, stop, at = _field(data, at, end, separator)
            if at < 0 or (column >= slots.size and stop > begin):
                state[row] = ODD
                break
            if column < slots.size and slots[column] >= 0:
                fields[0, slots[column], row] = begin
                fields[1, slots[column], row] = stop
            column += 1
            if at == end:
                break
            at += 1
        if column < slots.size:
            state[row] = ODD


@kernel
def _exponent(data: Any, at: int, stop: int) -> bool:
    """Whether an exponent's sign and digits fill what is left."""
    if at < stop and (data[at] == PLUS or data[at] == MINUS):
        at += 1
    count = stop - at
    while at < stop and ZERO <= data[at] <= NINE:
        at += 1
    return at == stop and 0 < count < 4


@kernel
def _decimal(data: Any, at: int, stop: int, point: int, group: int) -> Any:
    """The number data[at:stop] as (value, TAKEN) or (NaN, why not)."""
    if at >= stop:
        return np.nan, EMPTY
    negative = data[at] == MINUS
    if negative or data[at] == PLUS:
        at += 1
    mantissa, digits, all_digits, places, run, groups = 0, 0, 0, 0, 0, 0
    after_point = False
    while at < stop:
        byte = data[at]
        if ZERO <= byte <= NINE:
            all_digits += 1
            if mantissa > 0 or byte != ZERO:
                digits += 1
                if digits <= MOST_DIGITS:
                    mantissa = mantissa * 10 + (byte - ZERO)
            places += after_point
            run += 1
        elif byte == point and not after_point:
            if groups > 0 and run != 3:
                return np.nan, REFUSED
            after_point = True
        elif byte == group and not after_point and 0 < run <= 3 and (groups == 0 or run == 3):
            groups += 1
            run = 0
        else:
            break
        at += 1
    if all_digits == 0 or (groups > 0 and not after_point and run != 3):
        return np.nan, REFUSED
    if at < stop:
        exponent = (data[at] == LETTER_E or data[at] == LETTER_E_SMALL) and _exponent(data, at + 1, stop)
        return np.nan, TOUGH if exponent else REFUSED
    if digits > MOST_DIGITS or mantissa > EXACT or places > MOST_PLACES:
        return np.nan, TOUGH
    value = mantissa / TENS[places]
    return -value if negative else value, TAKEN


@kernel
def _decimals(data: Any, begin: Any, stop: Any, marks: Any, values: Any, state: Any) -> None:
    point, group = marks
    for row in range(begin.size):
        values[row], state[row] = _decimal(data, begin[row], stop[row], point, group)


@kernel
def _integers(data: Any, begin: Any, stop: Any, values: Any, state: Any) -> None:
    for row in range(begin.size):
        at, end, value = begin[row], stop[row], 0
        state[row] = REFUSED if end > at else EMPTY
        values[row] = -1
        if 0 < end - at <= MOST_DIGITS:
            while at < end and ZERO <= data[at] <= NINE:
                value = value * 10 + (data[at] - ZERO)
                at += 1
            if at == end:
                values[row], state[row] = value, TAKEN


@kernel
def _gather(data: Any, begin: Any, stop: Any, marks: Any, out: Any, offsets: Any) -> None:
    """Copy fields one behind the other; of the bytes `marks`, (point, group, plus), the first becomes a dot, the others vanish."""
    point, group, plus = marks
    end = 0
    for row in range(begin.size):
        offsets[row] = end
        for at in range(begin[row], stop[row]):
            byte = data[at]
            if byte not in (group, plus):
                out[end] = 46 if byte == point else byte
                end += 1
    offsets[begin.size] = end


def texts(data: U8, begin: I64, stop: I64, marks: tuple[int, int, int] = (-1, -1, -1)) -> pa.Array:
    """Fields as a binary array; see `_gather` for `marks`."""
    out = np.empty(int((stop - begin).sum()), np.uint8)
    offsets = np.empty(len(begin) + 1, np.int32)
    _gather(data, begin, stop, marks, out, offsets)
    return pa.BinaryArray.from_buffers(pa.binary(), len(begin), [None, pa.py_buffer(offsets), pa.py_buffer(out)])


def decimals(data: U8, begin: I64, stop: I64, point: bytes = b".") -> tuple[F64, U8]:
    """The decimal numbers of fields, correctly rounded, and for each TAKEN, EMPTY (then NaN) or REFUSED.

    A number has digits, perhaps in groups of three (divided by a comma, or by a dot where the point is a comma), perhaps a sign and
    an exponent.

    >>> text = np.frombuffer(b"1,234.5x", np.uint8)
    >>> values, state = decimals(text, np.array([0, 0, 3]), np.array([7, 8, 3]))
    >>> values.tolist(), state.tolist() == [TAKEN, REFUSED, EMPTY]
    ([1234.5, nan, nan], True)
    """
    marks = (ord(point), ord("." if point == b"," else ","))
    values, state = np.empty(len(begin)), np.empty(len(begin), np.uint8)
    _decimals(data, begin, stop, marks, values, state)
    tough = np.flatnonzero(state == TOUGH)
    if len(tough):
        plain = texts(data, begin[tough], stop[tough], (*marks, PLUS)).cast(pa.string())
        values[tough] = plain.cast(pa.float64()).to_numpy(zero_copy_only=False)
        state[tough] = np.where(np.isfinite(values[tough]), TAKEN, REFUSED)
    return values, state


def integers(data: U8, begin: I64, stop: I64) -> tuple[I64, U8]:
    """The whole numbers of at most 18 digits of fields, -1 where there is none, and the state of each as in `decimals`."""
    values, state = np.empty(len(begin), np.int64), np.empty(len(begin), np.uint8)
    _integers(data, begin, stop, values, state)
    return values, state


def decimal_reference(text: str, point: str = ".") -> float | None:
    """The same for one field: None when it is not a number."""
    mark, group = re.escape(point), re.escape("." if point == "," else ",")
    whole = rf"\d{{1,3}}(?:{group}\d{{3}})+|\d+|(?={mark}\d)"
    if not re.fullmatch(rf"[+-]?(?:{whole})(?:{mark}\d*)?(?:[eE][+-]?\d{{1,3}})?", text, re.ASCII):
        return None
    value = float(text.replace("." if point == "," else ",", "").replace(point, "."))
    return value if abs(value) != float("inf") else None
