"""Which parts of a range of time a house lacks: where its market was open and no bar is, and nobody has asked yet."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from tickhouse.core import sessions
from tickhouse.core.batches import I64

Range = tuple[int, int]
"""From a moment to another, the second not included (us)."""

SHORTEST = 2 * 3600 * 1_000_000
"""A day or more in which a market was open for less is none of its days: no session is so short, but zones differ."""


def lacking(span: Range, starts: I64, length: int, market: str) -> list[Range]:
    """The parts of a range in which bars of a length should be and are not.

    `starts` are those of the bars there are, in ascending order. A part belongs to it when the market was open in it for as
    long as a bar, or for two hours.

    >>> lacking((0, 300), np.array([0, 100]), 100, "crypto"), lacking((0, 300), np.array([100]), 100, "crypto")
    ([(200, 300)], [(0, 100), (200, 300)])
    """
    begins = np.concatenate(([span[0]], starts + length))
    ends = np.concatenate((starts, [span[1]]))
    open_ = min(length, SHORTEST)
    wide = np.flatnonzero(ends - begins >= open_)
    parts = zip(begins[wide].tolist(), ends[wide].tolist(), strict=True)
    return [(a, b) for a, b in parts if b - a - sessions.expected_silence(market, a, b) >= open_]


def united(ranges: Iterable[Range], near: int = 0) -> list[Range]:
    """The same time as few ranges in order; those with at most `near` between them become one.

    >>> united([(5, 7), (0, 2), (2, 3)]), united([(0, 2), (5, 7)], near=3)
    ([(0, 3), (5, 7)], [(0, 7)])
    """
    found: list[Range] = []
    for start, end in sorted(ranges):
        if found and start - found[-1][1] <= near:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def without(ranges: Sequence[Range], others: Iterable[Range]) -> list[Range]:
    """The parts of ranges that lie in none of the others.

    >>> without([(0, 10)], [(2, 4), (9, 20)])
    [(0, 2), (4, 9)]
    """
    cuts = united(others)
    found = []
    for start, end in ranges:
        inside = [(max(a, start), min(b, end)) for a, b in cuts if a < end and b > start]
        edges = [start, *(moment for part in inside for moment in part), end]
        found += [(a, b) for a, b in list(pairwise(edges))[::2] if a < b]
    return found


def split(ranges: Iterable[Range], length: int) -> list[Range]:
    """Ranges cut at every multiple of a length.

    >>> split([(5, 25)], 10)
    [(5, 10), (10, 20), (20, 25)]
    """
    found = []
    for start, end in ranges:
        cuts = [start, *range(start - start % length + length, end, length), end]
        found += [(a, b) for a, b in pairwise(cuts) if a < b]
    return found
