"""The last N values of a series inside one row of state, oldest first, and what is computed from them.

A window takes N + 1 floats from `at` on: how many values there are (N at most), then the values. Nothing is carried
along but the values themselves, so a mean never drifts, and the state says the same whatever came before the window.
"""

import math
from collections.abc import Sequence
from typing import Any

from tickhouse.core.kernels import kernel


@kernel
def push(state: Any, at: int, size: int, value: float) -> Any:
    """Put a value at the end of the window, the oldest falls out; true when the window is full."""
    count = int(state[at])
    if count < size:
        state[at + 1 + count] = value
        state[at] = count + 1
        return count + 1 == size
    for i in range(at + 1, at + size):
        state[i] = state[i + 1]
    state[at + size] = value
    return True


@kernel
def mean(state: Any, at: int, size: int) -> Any:
    """The mean of a full window, in two passes: the second adds what rounding took."""
    total = 0.0
    for i in range(at + 1, at + 1 + size):
        total += state[i]
    middle = total / size
    rest = 0.0
    for i in range(at + 1, at + 1 + size):
        rest += state[i] - middle
    return middle + rest / size


@kernel
def deviation(state: Any, at: int, size: int, middle: float, freedom: int) -> Any:
    """The standard deviation of a full window around its mean: the squares' sum over size - freedom."""
    total = 0.0
    for i in range(at + 1, at + 1 + size):
        total += (state[i] - middle) ** 2
    return math.sqrt(total / (size - freedom))


def mean_reference(values: Sequence[float]) -> float:
    """The mean with an exact sum."""
    return math.fsum(values) / len(values)


def deviation_reference(values: Sequence[float], freedom: int) -> float:
    """The standard deviation with exact sums."""
    middle = mean_reference(values)
    return math.sqrt(math.fsum((x - middle) ** 2 for x in values) / (len(values) - freedom))
