"""A scanner for flat JSON messages of a known layout, many times faster than a JSON library.

A layout is the message's own text with a placeholder for each value, and the scanner accepts exactly that text: the
same keys in the same order, no white space, no escapes, nothing before or after. What it does not recognise it leaves
to a strict decoder, so it may be narrow but must never be wrong.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import F64, I32, I64, U8, RawBatch
from tickhouse.core.kernels import kernel
from tickhouse.core.kernels.symbols import SymbolTable, code_of, read_symbol

from tickhouse.core.kernels.words import (  # isort: skip
    BACKSLASHES, EIGHT, FOUR, FULL, LOWEST, ONE, POWERS, QUOTES, SPACES, TOPS, ZERO, U,
    before, equal_to, load, number,
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
PADDING = U(64)
"""How far behind its message a value may be read; messages nearer to the end of the buffer are copied first."""
LONGEST = U(4096)
"""Longer messages are not recognised."""
SMALL = 1 << 14
"""A buffer of fewer bytes is copied whole, which is quicker than to look after its end."""
UNKNOWN, NEAR_END = -1, -2
BYTE, DOT, DIGIT_ZERO = U(255), U(46), U(48)
EXACT, MOST_DIGITS = U(1 << 53), U(19)
FLOAT_POWERS = np.array([10.0**i for i in range(23)])
TEN, THOUSAND, THIRTEEN, SIXTEEN, EIGHTEEN, FIVE = U(10), U(1000), U(13), U(16), U(18), U(5)
TRUE, FALSE = U(int.from_bytes(b"true", "little")), U(int.from_bytes(b"false", "little"))
MASK_4, MASK_5 = U((1 << 32) - 1), U((1 << 40) - 1)


@kernel
def _decimal(at: Any) -> Any:
    """The decimal number at an address as (value, end), end 0 when it is not one or one division does not round it right."""
    whole, count = number(at)
    end = at + count
    if count == ZERO or count > MOST_DIGITS:
        return 0.0, ZERO
    places = ZERO
    if load(end) & BYTE == DOT:
        part, places = number(end + ONE)
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


@kernel
def _integer(at: Any) -> Any:
    """The integer at an address as (value, count of digits), count 0 when it is not one of at most 18 digits."""
    value, count = number(at)
    if count > EIGHTEEN or (count > ONE and load(at) & BYTE == DIGIT_ZERO):
        return ZERO, ZERO
    return value, count


@kernel
def _time(at: Any) -> Any:
    """The time at an address in microseconds, as (value, count of digits)."""
    value, count = _integer(at)
    if count == THIRTEEN:
        return value * THOUSAND, count
    return value, count if count == SIXTEEN else ZERO


@kernel
def _bool(at: Any) -> Any:
    """How long the true or false at an address is, 0 when there is none."""
    word = load(at)
    if word & MASK_4 == TRUE:
        return FOUR
    return FIVE if word & MASK_5 == FALSE else ZERO


@kernel
def _text_end(at: Any, stop: Any) -> Any:
    """Where the plain ASCII text from `at` on ends (its closing quote), 0 when it is not plain."""
    while at < stop:
        word = load(at)
        quotes = equal_to(word, QUOTES)
        odd = (equal_to(word, BACKSLASHES) | ((word - SPACES) & ~word) | word) & TOPS
        if odd & LOWEST[before(quotes)]:
            return ZERO
        if quotes:
            return at + before(quotes)
        at += EIGHT
    return ZERO


@kernel
def _scan(
    base: Any, size: Any, offsets: Any, ends: Any, program: Any, bounds: Any,
    slots: Any, known: Any, sizes: Any, used: Any, symbol: Any, ints: Any, floats: Any,
) -> Any:  # fmt: skip
    """Fill the rows of the messages that are recognised; `symbol` is -1 where one is not, -2 where it ends too near the end
    of the buffer to be read. Returns how many are recognised and how many too near the end."""
    likely, recognised, near_end = 0, 0, 0
    for row in range(U(symbol.size)):
        symbol[row] = UNKNOWN
        first, last = load(offsets + EIGHT * row), load(ends + EIGHT * row)
        if last > size or last + PADDING > size:
            symbol[row] = NEAR_END
            near_end += 1
            continue
        if first >= last or last - first > LONGEST:
            continue
        stop = base + last
        for attempt in range(bounds.size):
            layout = likely if attempt == 0 else attempt - 1
            if attempt > 0 and layout == likely:
                continue
            at, code = base + first, UNKNOWN
            for p in range(bounds[layout], bounds[layout + 1]):
                kind, a, b = program[p, 0], program[p, 1], program[p, 2]
                count = ZERO
                if at >= stop:
                    break
                if kind == LITERAL:
                    if (load(at) ^ a) & b == ZERO:
                        count = program[p, 3]
                elif kind in (INT, TIME):
                    value, count = _integer(at) if kind == INT else _time(at)
                    if a != NOT_KEPT:
                        ints[a, row] = np.int64(value)
                    if b != NOT_KEPT:
                        ints[b, row] = np.int64(value)
                elif kind == DECIMAL:
                    real, end = _decimal(at)
                    floats[a, row] = real
                    count = end - at if end else ZERO
                elif kind == SYMBOL:
                    words, count, plain = read_symbol(at, stop)
                    if count:
                        code = code_of(words, count, plain, slots, known, sizes, used)
                        if code < 0:
                            count = ZERO
                elif kind == BOOL:
                    count = _bool(at)
                else:
                    end = _text_end(at, stop)
                    count = end - at if end else ZERO
                at += count
                if count == ZERO:
                    break
            if at == stop and count:
                symbol[row] = code
                likely = layout
                recognised += 1
                break
    return recognised, near_end


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
    """Reads messages of a few layouts, each with one symbol, into columns. Not for two threads at once.

    >>> scanner = Scanner(['{"s":"<symbol>","p":"<decimal:price>","n":<int:id>}'], ints=("id",), floats=("price",))
    >>> scan = scanner.scan(RawBatch.of("x", "y", [b'{"s":"AB","p":"1.50","n":7}', b'{"s":"AB"}'], 0))
    >>> scan.symbol.tolist(), scan.floats[0, 0].item(), scan.ints[0, 0].item()
    ([0, -1], 1.5, 7)
    """

    def __init__(self, layouts: Sequence[str], ints: Sequence[str], floats: Sequence[str]) -> None:
        self.table = SymbolTable()
        self._columns = {name: i for names in (ints, floats) for i, name in enumerate(names)}
        self._shape = len(ints), len(floats)
        compiled = [compiled_layout(text, self._columns) for text in layouts]
        bounds = np.cumsum([0, *(len(program) for program in compiled)])
        self._layouts = np.concatenate(compiled), bounds.astype(np.uint64)

    def scan(self, raw: RawBatch) -> Scan:
        """The columns of the messages that have one of the layouts; symbols not seen before get new codes."""
        self.table.make_room()
        data = np.ascontiguousarray(raw.data)
        if data.size < SMALL:
            data = np.concatenate((data, np.zeros(int(PADDING), np.uint8)))
        scan, near_end = self._run(data, raw.offsets, raw.ends)
        if not near_end:
            return scan
        rows = np.flatnonzero(scan.symbol == NEAR_END)
        padded = RawBatch.of("", "", [*(raw.payload(row) for row in rows.tolist()), bytes(int(PADDING))], 0)
        rest, _ = self._run(padded.data, padded.offsets[:-1], padded.ends[:-1])
        for whole, part in ((scan.symbol, rest.symbol), (scan.ints, rest.ints), (scan.floats, rest.floats)):
            whole[..., rows] = part
        return replace(scan, recognised=scan.recognised + rest.recognised)

    def _run(self, data: U8, offsets: I64, ends: I64) -> tuple[Scan, int]:
        n, (ints, floats) = len(offsets), self._shape
        out = np.empty(n, np.int32), np.empty((ints, n), np.int64), np.empty((floats, n), np.float64)
        offsets, ends = np.ascontiguousarray(offsets, np.int64), np.ascontiguousarray(ends, np.int64)
        places = _address(data), U(data.size), _address(offsets), _address(ends)
        recognised, near_end = _scan(*places, *self._layouts, *self.table.arrays, *out)
        return Scan(*out, recognised=recognised), near_end


def _address(array: NDArray[Any]) -> np.uint64:
    """Where an array's memory begins; handed over as a number, arrays that may and may not be written compile to one kernel."""
    return U(array.__array_interface__["data"][0])


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
    "text": r'([^"\\\x00-\x1f\x80-\xff]+)',
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
        value = _READ.get(name, str)(text)
        values |= dict.fromkeys(where.split(",") if where else [], value)
        if name == "symbol":
            values[name] = text
    return values


def _microseconds(text: str) -> int:
    return int(text) * (1000 if len(text) == 13 else 1)


_READ: dict[str, Callable[[str], Any]] = {"int": int, "time": _microseconds, "decimal": float}
