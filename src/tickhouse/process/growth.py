"""Arrays with one row for each series, and how much room they have for more."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST = 16
"""So many rows are added at least, where they come one at a time."""


def room(have: int, needed: int) -> int:
    """For how many rows to make room where there is room for `have` and `needed` are too many.

    What comes at once gets what it takes and no more. One row at a time leaves at most a sixteenth unused (or `LEAST` rows) and
    copies each row about seventeen times in all.

    >>> room(0, 1000), room(1000, 1001), room(0, 1)
    (1000, 1062, 16)
    """
    return max(needed, have + max(have // 16, LEAST))


def longer(old: NDArray[Any], length: int, blank: Any = 0) -> NDArray[Any]:
    """The array with `length` rows, the new ones filled with `blank`.

    >>> longer(np.array([1, 2]), 4, -1).tolist()
    [1, 2, -1, -1]
    """
    new = np.zeros((length, *old.shape[1:]), old.dtype)
    new[: len(old)] = old
    if blank != 0:
        new[len(old) :] = blank
    return new
