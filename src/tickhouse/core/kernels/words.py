"""Eight bytes of text at a time: loads, digits and searches inside a 64-bit word, the first byte lowest.

Positions and words are uint64 throughout: mixed with a signed number they would become floats.
"""

from typing import Any, cast

import numpy as np
from numba import njit

from tickhouse.core.kernels import F, kernel

U = np.uint64
ZERO, ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN, EIGHT = (U(i) for i in range(9))
ONES, TOPS = U(0x0101010101010101), U(0x8080808080808080)
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


def piece(function: F) -> F:
    """A part of a kernel, put into its caller's body: handing arrays to a function costs more than what these do."""
    return cast(F, njit(inline="always", error_model="numpy")(function))


@piece
def load(data: Any, at: Any) -> Any:
    """The eight bytes of `data` from `at` on; the compiler makes one load of it."""
    return (
        U(data[at])
        | U(data[at + ONE]) << EIGHT
        | U(data[at + TWO]) << BITS_16
        | U(data[at + THREE]) << BITS_24
        | U(data[at + FOUR]) << BITS_32
        | U(data[at + FIVE]) << BITS_40
        | U(data[at + SIX]) << BITS_48
        | U(data[at + SEVEN]) << BITS_56
    )


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


@piece
def number(data: Any, at: Any) -> Any:
    """The digits from `at` on as (value, count); count 20 stands for more than 19, and then the value means nothing."""
    word = load(data, at)
    count = leading_digits(word)
    if count == ZERO:
        return ZERO, ZERO
    value = digits_value(word, count)
    while count & SEVEN == ZERO:
        word = load(data, at + count)
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
