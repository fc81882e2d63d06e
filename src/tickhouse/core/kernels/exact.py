"""Sums that do not depend on the order of what is summed.

A float sum changes with the order of its terms, so a bar built live, late or in a batch would differ in its
last bits. A sum kept as two floats (106 bits) is exact for the sizes and prices of markets, and so is the same
in any order. Source: Dekker (1971); Knuth, The Art of Computer Programming 2, 4.2.2, theorem C.
"""

import math

from tickhouse.core.kernels import kernel


@kernel
def add(high: float, low: float, x: float) -> tuple[float, float]:
    """`(high + low) + x` as a pair: `high` is the sum rounded to a float, `low` what the rounding left."""
    s = high + x
    b = s - high
    rest = (high - (s - b)) + (x - b)
    rest += low
    total = s + rest
    return total, rest - (total - s)


def add_reference(terms: list[float]) -> float:
    """The correctly rounded sum of all terms."""
    return math.fsum(terms)
