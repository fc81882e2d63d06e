"""Symbols as dictionary codes: an open-addressing hash table from the bytes of a symbol to a small integer."""

from typing import Any

import numpy as np

from tickhouse.core.batches import I64
from tickhouse.core.kernels import kernel
from tickhouse.core.kernels.words import EIGHT, LOW_BITS, LOWEST, ONE, QUOTES, TOPS, ZERO, U, before, equal_to, load

WORDS = 4
"""A symbol is at most 31 bytes: four words, zeros behind its end."""
LONGEST_SYMBOL = 31
MOST_SYMBOLS = 1 << 16
SLOTS = 1 << 18
MIX, SHIFT, SLOT_MASK = U(0x9E3779B97F4A7C15), U(29), U(SLOTS - 1)
NOT_DIGIT_LOW, NOT_DIGIT_HIGH = U(0x5050505050505050), U(0x4646464646464646)
NOT_LETTER_LOW, NOT_LETTER_HIGH = U(0x3F3F3F3F3F3F3F3F), U(0x2525252525252525)
NO_SYMBOL = -1


@kernel
def _plain(word: Any, count: Any) -> Any:
    """Whether the first `count` bytes of a word are all of A-Z and 0-9."""
    low = word & LOW_BITS
    digit = (low + NOT_DIGIT_LOW) & ~(low + NOT_DIGIT_HIGH)
    letter = (low + NOT_LETTER_LOW) & ~(low + NOT_LETTER_HIGH)
    good = (digit | letter) & ~word & TOPS
    return (~good & TOPS & LOWEST[count]) == ZERO


@kernel
def read_symbol(at: Any, stop: Any) -> Any:
    """The text from the address `at` to the next quote as (four words, length, whether it is all of A-Z and 0-9).

    The length is zero when the text is empty, longer than 31 bytes, or does not end before `stop`.
    """
    words = (ZERO, ZERO, ZERO, ZERO)
    w0, w1, w2, w3 = words
    size, plain = ZERO, True
    for i in range(WORDS):
        if at + size >= stop:
            break
        word = load(at + size)
        count = before(equal_to(word, QUOTES))
        plain = plain and _plain(word, count)
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
            return (w0, w1, w2, w3), size, plain
    return words, ZERO, False


@kernel
def first_slot(words: Any, size: Any) -> Any:
    """Where the search for a symbol begins."""
    mixed = (((words[0] * MIX ^ words[1]) * MIX ^ words[2]) * MIX ^ words[3] ^ size) * MIX
    return (mixed ^ (mixed >> SHIFT)) & SLOT_MASK


@kernel
def code_of(words: Any, size: Any, add: bool, slots: Any, known: Any, sizes: Any, used: Any) -> Any:
    """The code of a symbol; a new one when it is not known, `add` is true and there is room, else -1."""
    slot = first_slot(words, size)
    while slots[slot] >= 0:
        code = slots[slot]
        same = known[code, 0] == words[0] and known[code, 1] == words[1] and sizes[code] == size
        if same and known[code, 2] == words[2] and known[code, 3] == words[3]:
            return code
        slot = (slot + ONE) & SLOT_MASK
    if not add or used[0] >= sizes.size:
        return np.int32(NO_SYMBOL)
    code = np.int32(used[0])
    used[0] += 1
    slots[slot] = code
    for i in range(WORDS):
        known[code, i] = words[i]
    sizes[code] = size
    return code


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
        """The bytes of a symbol."""
        return bytes(self._words[code].tobytes()[: int(self._sizes[code])])
