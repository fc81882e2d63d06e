"""A scanner for flat JSON messages of a known layout, many times faster than a JSON library.

A layout is the message's own text with a placeholder for each value, and the scanner accepts exactly that text: the
same keys in the same order, no white space, no escapes, nothing before or after. What it does not recognise it leaves
to a strict decoder, so it may be narrow but must never be wrong.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import F64, I32, I64, RawBatch
from tickhouse.core.kernels import kernel
from tickhouse.core.kernels.symbols import SymbolTable, find
from tickhouse.core.kernels.words import (
    BACKSLASHES, EIGHT, FOUR, FULL, LOWEST, ONE, ONES, POWERS, QUOTES, SPACES, TOPS, ZERO, U,
    before, equal_to, load, number, piece,
)  # fmt: skip


class Part(IntEnum):
    """What stands at one place of a layout; a placeholder is written `<name>` or `<name:column,column>`."""

    LITERAL = 0  # this very text
    INT = 1  # an integer of at most 18 digits without sign
    TIME = 2  # 13 digits of milliseconds or 16 of microseconds, kept as microseconds
    DECIMAL = 3  # digits with or without a fraction, no sign, no exponent
    BOOL = 4  # true or false, not kept
    TEXT = 5  # ASCII text without quotes, backslashes and control characters, not kept
    SYMBOL = 6  # a symbol of the table


LITERAL, INT, TIME, DECIMAL, BOOL, TEXT, SYMBOL = (U(part) for part in Part)
NOT_KEPT = FULL
PADDING = U(32)
"""How far behind a message its last value may be read; messages nearer to the end of the buffer are copied first."""
LONGEST = 1024
"""Longer messages are not recognised."""
UNKNOWN, NEAR_END = -1, -2
DOT, DIGIT_ZERO = np.uint8(46), np.uint8(48)
EXACT, MOST_DIGITS = U(1 << 53), U(19)
FLOAT_POWERS = np.array([10.0**i for i in range(23)])
TEN, THOUSAND, THIRTEEN, SIXTEEN, EIGHTEEN, FIVE = U(10), U(1000), U(13), U(16), U(18), U(5)
TRUE, FALSE = U(int.from_bytes(b"true", "little")), U(int.from_bytes(b"false", "little"))
MASK_4, MASK_5 = U((1 << 32) - 1), U((1 << 40) - 1)


@piece
def _decimal(data: Any, at: Any) -> Any:
    """The decimal number at `at` as (value, end), end 0 when it is not one or cannot be rounded right in one step."""
    whole, count = number(data, at)
    end = at + count
    if count == ZERO or count > MOST_DIGITS:
        return 0.0, ZERO
    places = ZERO
    if data[end] == DOT:
        part, places = number(data, end + ONE)
        if places == ZERO or count + places > MOST_DIGITS:
            return 0.0, ZERO
        whole = whole * POWERS[places] + part
        end += ONE + places
    while whole > EXACT and places > ZERO and whole % TEN == ZERO:
        whole //= TEN
        places -= ONE
    if whole > EXACT:
        return 0.0, ZERO
    return np.float64(whole) / FLOAT_POWERS[places], end


@piece
def _integer(data: Any, at: Any) -> Any:
    """The integer at `at` as (value, count of digits), count 0 when it is not one of at most 18 digits."""
    value, count = number(data, at)
    if count > EIGHTEEN or (count > ONE and data[at] == DIGIT_ZERO):
        return ZERO, ZERO
    return value, count


@piece
def _text_end(data: Any, at: Any, stop: Any) -> Any:
    """Where the plain ASCII text from `at` on ends (its closing quote), 0 when it is not plain."""
    while at < stop:
        word = load(data, at)
        quotes = equal_to(word, QUOTES)
        plain = LOWEST[before(quotes)]
        odd = (equal_to(word, BACKSLASHES) | ((word - SPACES) & ~word) | word) & TOPS
        if odd & plain:
            return ZERO
        if quotes:
            return at + before(quotes)
        at += EIGHT
    return ZERO


@piece
def _match(
    data: Any,
    at: Any,
    stop: Any,
    program: Any,
    first: Any,
    last: Any,
    row: Any,
    slots: Any,
    words: Any,
    sizes: Any,
    used: Any,
    ints: Any,
    floats: Any,
) -> Any:
    """The code of the symbol when data[at:stop] is a message of the layout program[first:last], else -1."""
    symbol = 0
    for p in range(first, last):
        if at >= stop:
            return UNKNOWN
        kind, a, b = program[p, 0], program[p, 1], program[p, 2]
        if kind == LITERAL:
            if (load(data, at) ^ a) & b:
                return UNKNOWN
            at += program[p, 3]
        elif kind == INT or kind == TIME:
            value, count = _integer(data, at)
            if count == ZERO:
                return UNKNOWN
            if kind == TIME:
                if count == THIRTEEN:
                    value *= THOUSAND
                elif count != SIXTEEN:
                    return UNKNOWN
            if a != NOT_KEPT:
                ints[a, row] = np.int64(value)
            if b != NOT_KEPT:
                ints[b, row] = np.int64(value)
            at += count
        elif kind == DECIMAL:
            real, end = _decimal(data, at)
            if end == ZERO:
                return UNKNOWN
            floats[a, row] = real
            at = end
        elif kind == BOOL:
            word = load(data, at)
            if word & MASK_4 == TRUE:
                at += FOUR
            elif word & MASK_5 == FALSE:
                at += FIVE
            else:
                return UNKNOWN
        elif kind == TEXT:
            at = _text_end(data, at, stop)
            if at == ZERO:
                return UNKNOWN
        else:
            symbol, end = find(data, at, stop, slots, words, sizes, used)
            if symbol < 0:
                return UNKNOWN
            at = end
    return symbol if at == stop else UNKNOWN


@kernel
def _scan(
    data: Any, offsets: Any, ends: Any, program: Any, bounds: Any, table: Any, symbol: Any, ints: Any, floats: Any
) -> Any:
    """Fill the rows of the messages that are recognised and return how many are; those too near the end get NEAR_END."""
    slots, words, sizes, used = table
    likely, recognised = 0, 0
    size = U(data.size)
    for row in range(U(offsets.size)):
        at, stop = U(offsets[row]), U(ends[row])
        symbol[row] = UNKNOWN
        if stop + PADDING > size:
            symbol[row] = NEAR_END
            continue
        code = _match(
            data, at, stop, program, bounds[likely], bounds[likely + 1], row, slots, words, sizes, used, ints, floats
        )
        for layout in range(bounds.size - 1):
            if code >= 0:
                break
            if layout != likely:
                code = _match(
                    data,
                    at,
                    stop,
                    program,
                    bounds[layout],
                    bounds[layout + 1],
                    row,
                    slots,
                    words,
                    sizes,
                    used,
                    ints,
                    floats,
                )
                if code >= 0:
                    likely = layout
        symbol[row] = code
        recognised += code >= 0
    return recognised


@kernel
def renumber(symbol: Any, local: Any, used: Any) -> Any:
    """Number the codes anew in order of first use, in place; fill `used` with the old ones and return how many.

    `local` has one entry a code, all -1, and is left so.
    """
    count = 0
    for row in range(symbol.size):
        code = symbol[row]
        if local[code] < 0:
            local[code] = count
            used[count] = code
            count += 1
        symbol[row] = local[code]
    for i in range(count):
        local[used[i]] = -1
    return count


def renumber_reference(symbol: Sequence[int]) -> tuple[list[int], list[int]]:
    """The same with a dictionary: the new codes and the old ones in order of first use."""
    used = list(dict.fromkeys(symbol))
    return [used.index(code) for code in symbol], used


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan found in n messages: `symbol` has -1 where a message was not recognised, and then the other arrays hold
    nothing of meaning. `ints` has shape (columns, n), `floats` too; `symbol` are codes of the scanner's table."""

    symbol: I32
    ints: I64
    floats: F64
    recognised: int


class Scanner:
    """Reads messages of a few layouts into columns. Not for two threads at once.

    >>> scanner = Scanner(['{"s":"<symbol>","p":"<decimal:price>","n":<int:id>}'], ints=("id",), floats=("price",))
    >>> scan = scanner.scan(RawBatch.of("x", "y", [b'{"s":"AB","p":"1.50","n":7}', b'{"s":"AB"}'], 0))
    >>> scan.symbol.tolist(), scan.floats[0, 0], scan.ints[0, 0]
    ([0, -1], 1.5, 7)
    """

    def __init__(self, layouts: Sequence[str], ints: Sequence[str], floats: Sequence[str]) -> None:
        self.table = SymbolTable()
        self._columns = {name: i for names in (ints, floats) for i, name in enumerate(names)}
        self._shape = len(ints), len(floats)
        compiled = [compiled_layout(text, self._columns) for text in layouts]
        bounds = np.cumsum([0, *(len(program) for program in compiled)])
        self._layouts = np.concatenate(compiled), bounds.astype(np.uint64)
        self._scratch = np.zeros(LONGEST + 64, np.uint8)

    def scan(self, raw: RawBatch) -> Scan:
        """The columns of the messages that have one of the layouts; symbols not seen before get new codes."""
        n, (ints, floats) = len(raw), self._shape
        out = np.empty(n, np.int32), np.empty((ints, n), np.int64), np.empty((floats, n), np.float64)
        self.table.make_room()
        found = _scan(raw.data, raw.offsets, raw.ends, *self._layouts, self.table.arrays, *out)
        return Scan(*out, recognised=int(found))


def compiled_layout(text: str, columns: dict[str, int]) -> NDArray[np.uint64]:
    """A layout as rows (part, a, b, c): a literal's word, mask and length, or the columns of a value (all ones for none)."""
    rows: list[tuple[int, int, int, int]] = []
    for literal, name, where in re.findall(r"([^<]+)|<(\w+)(?::([\w,]+))?>", text):
        for i in range(0, len(literal), 8):
            piece = literal[i : i + 8].encode()
            rows.append((Part.LITERAL, int.from_bytes(piece, "little"), (1 << 8 * len(piece)) - 1, len(piece)))
        if name:
            places = [columns[column] for column in where.split(",")] if where else []
            rows.append((Part[name.upper()], *(places + [int(NOT_KEPT)] * 3)[:3]))  # type: ignore[arg-type]
    return np.array(rows, np.uint64)


_PATTERNS = {
    "int": r"(0|[1-9]\d{0,17})",
    "time": r"([1-9]\d{12}|[1-9]\d{15})",
    "decimal": r"(\d+(?:\.\d+)?)",
    "bool": r"(true|false)",
    "text": r'([^"\\\x00-\x1f\x7f-\xff]*)',
    "symbol": r'([^"\\\x00-\x1f\x7f-\xff]+)',
}


def scan_reference(layout: str, message: bytes) -> dict[str, Any] | None:
    """The values of a message of the layout by column name (and `symbol`), or None when it has another shape."""
    parts = re.findall(r"([^<]+)|<(\w+)(?::([\w,]+))?>", layout)
    pattern = "".join(re.escape(literal) or _PATTERNS[name] for literal, name, _ in parts)
    match = re.fullmatch(pattern, message.decode("latin-1"), re.ASCII | re.DOTALL)
    if not match:
        return None
    values: dict[str, Any] = {}
    for (name, where), text in zip([(n, w) for _, n, w in parts if n], match.groups(), strict=True):
        value: Any = {"int": int, "time": _time, "decimal": float}.get(name, str)(text)
        values |= dict.fromkeys(where.split(",") if where else [], value)
        if name == "symbol":
            values[name] = text
    return values


def _time(text: str) -> int:
    return int(text) * (1000 if len(text) == 13 else 1)
