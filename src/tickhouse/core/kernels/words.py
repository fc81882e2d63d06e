"""Eight bytes of text at a time: loads, digits and searches inside a 64-bit word, the first byte lowest.

Positions and words are uint64 throughout: mixed with a signed number they would become floats.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from tickhouse.core.kernels import kernel

U = np.uint64
ZERO, ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN, EIGHT = (U(i) for i in range(9))
ONES, TOPS = U(0x0101010101010101), U(0x8080808080808080)
LOW_BITS = U(0x7F7F7F7F7F7F7F7F)
FULL = U(0xFFFFFFFFFFFFFFFF)
TEN = U(10)
TEXT_ZEROS, BEYOND_NINE = U(0x3030303030303030), U(0x7676767676767676)
QUOTES, BACKSLASHES, SPACES = U(0x2222222222222222), U(0x5C5C5C5C5C5C5C5C), U(0x2020202020202020)
PAIRS, QUADS, OCTETS = U(0x0F0F0F0F0F0F0F0F), U(0x00FF00FF00FF00FF), U(0x0000FFFF0000FFFF)
TIMES_PAIR, TIMES_QUAD, TIMES_OCTET = U(2561), U(6553601), U(42949672960001)
BITS_7, BITS_16, BITS_24, BITS_32, BITS_40, BITS_48, BITS_56 = (U(i) for i in (7, 16, 24, 32, 40, 48, 56))
POWERS = np.array([10**i for i in range(20)], np.uint64)
"""10**0 to 10**19 as uint64."""
LOWEST = np.array([(1 << 8 * i) - 1 for i in range(9)], np.uint64)
"""Masks of the lowest 0 to 8 bytes of a word."""


def _load(typing: Any, address: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1)

    return types.uint64(types.uint64), code


load: Any = intrinsic(_load)
"""The eight bytes at an address as a word.

Texts are handed about as addresses (`data.ctypes.data`), since every array that goes into a function costs two atomic
counts. Whoever calls sees to it that the bytes are there.
"""


def _store(typing: Any, address: Any, word: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        builder.store(arguments[1], pointer, align=1)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), code


store: Any = intrinsic(_store)
"""Put a word at an address; whoever calls sees to it that there is room for eight bytes."""


def load_reference(data: bytes, at: int) -> int:
    """The same from bytes."""
    return int.from_bytes(data[at : at + 8], "little")


@kernel
def before(marks: Any) -> Any:
    """How many bytes of a word come before its first marked one (top bit set), 8 when none is."""
    below = (marks - ONE) & ~marks
    return (((below & TOPS) >> BITS_7) * ONES) >> BITS_56


@kernel
def equal_to(word: Any, repeated: Any) -> Any:
    """Marks of the bytes equal to one, given eight times; right up to and with the first mark."""
    rest = word ^ repeated
    return (rest - ONES) & ~rest & TOPS


@kernel
def all_equal_to(word: Any, repeated: Any) -> Any:
    """Marks of all bytes equal to one, given eight times; a little slower than `equal_to`."""
    rest = word ^ repeated
    return ~(((rest & LOW_BITS) + LOW_BITS) | rest) & TOPS


@kernel
def leading_digits(word: Any) -> Any:
    """How many of the first bytes are decimal digits, 0 to 8."""
    rest = word ^ TEXT_ZEROS
    return before(((rest + BEYOND_NINE) | rest) & TOPS)


@kernel
def digits_value(word: Any, count: Any) -> Any:
    """The number that the first `count` (1 to 8) digits of a word spell."""
    value = (word << ((EIGHT - count) * EIGHT)) & PAIRS
    value = (value * TIMES_PAIR) >> EIGHT
    value = ((value & QUADS) * TIMES_QUAD) >> BITS_16
    return ((value & OCTETS) * TIMES_OCTET) >> BITS_32


@kernel
def number(at: Any) -> Any:
    """The digits from the address `at` on as (value, count); count 20 stands for more than 19, and then the value means nothing."""
    word = load(at)
    count = leading_digits(word)
    if count == ZERO:
        return ZERO, ZERO
    value = digits_value(word, count)
    while count & SEVEN == ZERO:
        word = load(at + count)
        more = leading_digits(word)
        if more == ZERO:
            break
        if count + more > U(19):
            return ZERO, U(20)
        value = value * POWERS[more] + digits_value(word, more)
        count += more
    return value, count


def number_reference(data: bytes, at: int) -> tuple[int, int]:
    """The same, one byte at a time."""
    end = at
    while end < len(data) and data[end : end + 1].isdigit() and data[end] < 128:
        end += 1
    return (0, 20) if end - at > 19 else (int(data[at:end] or b"0"), end - at)
