"""Values that wander like prices and can be told of any moment at once, so that years of a past need not be kept.

A walk is a sum of waves of chance, each twice as long as the one before: from a minute to some years. Over a day it moves
by about 1 (a standard deviation), over four days by about 2, and it never strays far.

>>> path(7, 0, np.array([0.0, 1440.0])).shape
(2,)
"""

from collections.abc import Callable

import numpy as np

from tickhouse.exchange import F64, I64
from tickhouse.exchange.faults import mixed

LEVELS = 22
"""The longest wave takes 2^21 minutes, about four years, from one turn to the next."""
DAY = 1440.0
STRENGTH = 0.5
"""Makes a day's move have a standard deviation of 1."""
DENSE = 4
"""Where moments lie so close together, turns are made once for all of them."""
COARSE = 8
"""Waves from here on are added up at the turns of this one where that is less work, for between them they are straight."""


def path(seed: int, walk: int | I64, minutes: F64) -> F64:
    """The value of a walk at moments in minutes since 1970, shape (n,); `walk` is its number, or one for each moment."""
    step = 2.0**COARSE
    if not isinstance(walk, int) or not len(minutes) or (minutes.max() - minutes.min()) / step > len(minutes):
        return _waves(seed, walk, minutes, 0, LEVELS)
    turns = step * np.arange(np.floor(minutes.min() / step), np.floor(minutes.max() / step) + 2)
    slow = np.interp(minutes, turns, _waves(seed, walk, turns, COARSE, LEVELS))
    return _waves(seed, walk, minutes, 0, COARSE) + slow


def _waves(seed: int, walk: int | I64, minutes: F64, first: int, last: int) -> F64:
    """The sum of the waves [first, last)."""
    found = np.zeros(len(minutes))
    for level in range(first, last):
        length = 2.0**level
        exact = minutes / length
        turn = np.floor(exact)
        before, after = _turns(seed, walk, level, turn.astype(np.int64))
        found += STRENGTH * np.sqrt(length / DAY) * (before + (after - before) * (exact - turn))
    return found


def opens_and_closes(price: Callable[[I64], I64], starts: I64, length: int) -> tuple[I64, I64]:
    """Prices at the beginnings of stretches of a length and at their ends, each moment asked for once."""
    opened = price(starts)
    closed = np.empty_like(opened)
    follows = np.append(starts[1:] == starts[:-1] + length, False)
    closed[:-1] = opened[1:]
    closed[~follows] = price(starts[~follows] + length)
    return opened, closed


def chance(seed: int, walk: int | I64, place: I64) -> F64:
    """A number from 0 to 1 for each place of a walk, always the same."""
    bits = mixed(np.broadcast_to(np.asarray(walk, np.int64), place.shape), place, seed)
    uniform: F64 = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return uniform


def _turns(seed: int, walk: int | I64, level: int, turn: I64) -> tuple[F64, F64]:
    """The values at the turns before and after."""
    first, last = (int(turn.min()), int(turn.max())) if len(turn) else (0, 0)
    if isinstance(walk, int) and last - first < DENSE * len(turn):
        values = _normal(seed, walk, level, np.arange(first, last + 2, dtype=np.int64))
        return values[turn - first], values[turn - first + 1]
    return _normal(seed, walk, level, turn), _normal(seed, walk, level, turn + 1)


def _normal(seed: int, walk: int | I64, level: int, place: I64) -> F64:
    """About normal with a deviation of 1: four uniform numbers of 16 bits together."""
    bits = mixed(np.broadcast_to(np.asarray(walk, np.int64) * 64 + level, place.shape), place, seed)
    total = np.zeros(len(place))
    for part in range(4):
        total += ((bits >> np.uint64(16 * part)) & np.uint64(0xFFFF)).astype(np.float64)
    return np.asarray((total / 65_535.0 - 2.0) * np.sqrt(3.0), np.float64)
