"""Symbols as dictionary codes: an open-addressing hash table from the bytes of a symbol to a small integer."""

from typing import Any

import numpy as np

from tickhouse.core.batches import I64
from tickhouse.core.kernels import kernel
from tickhouse.core.kernels.words import EIGHT, LOWEST, ONE, QUOTES, TOPS, ZERO, U, before, equal_to, load, piece

WORDS = 4
"""A symbol is at most 31 bytes: four words, zeros behind its end."""
LONGEST_SYMBOL = 31
MOST_SYMBOLS = 1 << 16
SLOTS = 1 << 18
MIX, SHIFT, SLOT_MASK = U(0x9E3779B97F4A7C15), U(29), U(SLOTS - 1)
NOT_DIGIT_LOW, NOT_DIGIT_HIGH = U(0x5050505050505050), U(0x4646464646464646)
NOT_LETTER_LOW, NOT_LETTER_HIGH = U(0x3F3F3F3F3F3F3F3F), U(0x2525252525252525)
LOW_BITS = U(0x7F7F7F7F7F7F7F7F)
NO_SYMBOL = -1


@kernel
def _plain(word: Any, count: Any) -> Any:
    """Whether the first `count` bytes of a word are all of A-Z and 0-9."""
    low = word & LOW_BITS
    digit = (low + NOT_DIGIT_LOW) & ~(low + NOT_DIGIT_HIGH)
    letter = (low + NOT_LETTER_LOW) & ~(low + NOT_LETTER_HIGH)
    good = (digit | letter) & ~word & TOPS
    return (~good & TOPS & LOWEST[count]) == ZERO


@piece
def _code(
    w0: Any, w1: Any, w2: Any, w3: Any, size: Any, slots: Any, words: Any, sizes: Any, used: Any, add: bool
) -> Any:
    """The code of a symbol; a new one when it is not known and `add` is true and there is room, else -1."""
    mixed = (((w0 * MIX ^ w1) * MIX ^ w2) * MIX ^ w3 ^ size) * MIX
    slot = (mixed ^ (mixed >> SHIFT)) & SLOT_MASK
    while slots[slot] >= 0:
        code = slots[slot]
        if (
            words[code, 0] == w0
            and words[code, 1] == w1
            and words[code, 2] == w2
            and words[code, 3] == w3
            and sizes[code] == size
        ):
            return code
        slot = (slot + ONE) & SLOT_MASK
    if not add or used[0] >= sizes.size:
        return np.int32(NO_SYMBOL)
    code = np.int32(used[0])
    used[0] += 1
    slots[slot] = code
    words[code, 0], words[code, 1], words[code, 2], words[code, 3] = w0, w1, w2, w3
    sizes[code] = size
    return code


@piece
def find(data: Any, at: Any, stop: Any, slots: Any, words: Any, sizes: Any, used: Any) -> Any:
    """The symbol from `at` to the next quote as (code, end). A new one is added when it is made of A-Z and 0-9 alone.

    The code is -1 when the symbol is empty, too long, or new and of other letters.
    """
    w0, w1, w2, w3 = ZERO, ZERO, ZERO, ZERO
    size, add = ZERO, True
    for i in range(WORDS):
        if at + size >= stop:
            return np.int32(NO_SYMBOL), at
        word = load(data, at + size)
        count = before(equal_to(word, QUOTES))
        add = add and _plain(word, count)
        word &= LOWEST[count]
        if i == 0:
            w0 = word
        elif i == 1:
            w1 = word
        elif i == 2:
            w2 = word
        else:
            w3 = word
        size += count
        if count < EIGHT:
            if size == ZERO:
                return np.int32(NO_SYMBOL), at
            return _code(w0, w1, w2, w3, size, slots, words, sizes, used, add), at + size
    return np.int32(NO_SYMBOL), at


@kernel
def _add(w0: Any, w1: Any, w2: Any, w3: Any, size: Any, slots: Any, words: Any, sizes: Any, used: Any) -> Any:
    return _code(w0, w1, w2, w3, size, slots, words, sizes, used, True)


class SymbolTable:
    """The symbols seen so far and their codes. What is in the table is bounded: when it is full, it starts anew."""

    def __init__(self, most: int = MOST_SYMBOLS) -> None:
        self.most = most
        self.local = np.full(most, -1, np.int32)
        self._clear()

    def _clear(self) -> None:
        self._slots = np.full(SLOTS, -1, np.int32)
        self._words = np.zeros((self.most, WORDS), np.uint64)
        self._sizes = np.zeros(self.most, np.uint64)
        self._used: I64 = np.zeros(1, np.int64)
        self.generation = getattr(self, "generation", -1) + 1
        self.arrays = self._slots, self._words, self._sizes, self._used

    def __len__(self) -> int:
        return int(self._used[0])

    def make_room(self) -> None:
        """Forget all symbols when the table is full; `generation` says how often that happened."""
        if len(self) >= self.most:
            self._clear()

    def text(self, code: int) -> bytes:
        """The bytes of a symbol.

        >>> table = SymbolTable()
        >>> table.text(table.add(b"BTCUSDT"))
        b'BTCUSDT'
        """
        return self._words[code].tobytes()[: int(self._sizes[code])]

    def add(self, symbol: bytes) -> int:
        """The code of a symbol of any letters, or -1 when it is longer than 31 bytes, empty, or there is no room."""
        if not 0 < len(symbol) <= LONGEST_SYMBOL:
            return NO_SYMBOL
        words = np.frombuffer(symbol.ljust(8 * WORDS, b"\0"), np.uint64)
        return int(_add(words[0], words[1], words[2], words[3], U(len(symbol)), *self.arrays))
