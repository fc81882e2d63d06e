"""The newest ticks of many series in one set of arrays of bounded size."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]

COLUMNS: Mapping[str, type[np.generic]] = {
    "event_time": np.int64, "received_at": np.int64, "price": np.float64, "size": np.float64,
    "first_id": np.int64, "last_id": np.int64, "condition": np.int32, "raw": np.int64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows of a batch by series: `order` sorts them by series and keeps their order, group g is `series[g]`, begins at
    `first[g]` of that order and has `sizes[g]` rows."""

    order: NDArray[np.intp]
    series: I64
    first: NDArray[np.intp]
    sizes: NDArray[np.intp]

    @classmethod
    def of(cls, series: I64) -> "Groups":
        """The groups of n rows, given the series of each (n at least 1)."""
        small = series.astype(np.uint16) if int(series.max()) < 1 << 16 else series
        order = np.argsort(small, kind="stable")
        grouped = series[order]
        first = np.flatnonzero(np.concatenate(([True], grouped[1:] != grouped[:-1])))
        return cls(order, grouped[first], first, np.diff(np.append(first, len(grouped))))

    def newest(self, time: I64) -> NDArray[np.intp]:
        """For each group the row with the greatest time; of equal ones the last.

        >>> Groups.of(np.array([7, 8, 7])).newest(np.array([5, 1, 4])).tolist()
        [0, 1]
        """
        grouped = time[self.order]
        greatest = np.repeat(np.maximum.reduceat(grouped, self.first), self.sizes)
        group = np.repeat(np.arange(len(self.first)), self.sizes)
        at = np.flatnonzero(grouped == greatest)
        last = np.zeros(len(self.first), np.intp)
        last[group[at]] = at
        return self.order[last]


class Rings:
    """One ring of ticks a series (numbered 0, 1, ...), filled by numpy.

    Each holds `depth` ticks, fewer once there are so many series that all together would hold more than `total`.
    """

    def __init__(self, depth: int, total: int) -> None:
        self._wanted, self._total = depth, total
        self.depth = depth
        self._count = np.zeros(0, np.int64)
        self._rings = {name: np.zeros((0, depth), kind) for name, kind in COLUMNS.items()}

    def add(self, groups: Groups, ticks: Mapping[str, NDArray[Any]]) -> None:
        """Take in ticks in order of arrival; `ticks` are the columns, each of shape (n,)."""
        self._reserve(int(groups.series[-1]) + 1)
        sizes = np.repeat(groups.sizes, groups.sizes)
        rank = np.arange(len(groups.order)) - np.repeat(groups.first, groups.sizes)
        rows, order = np.repeat(groups.series, groups.sizes), groups.order
        if int(groups.sizes.max()) > self.depth:
            kept = rank >= sizes - self.depth
            rows, order, rank = rows[kept], order[kept], rank[kept]
        place = rows * self.depth + (self._count[rows] + rank) % self.depth
        for name, ring in self._rings.items():
            ring.reshape(-1)[place] = ticks[name][order]
        self._count[groups.series] += groups.sizes

    def newest(self, series: int) -> dict[str, NDArray[Any]]:
        """The ticks of one series in order of arrival, as copied columns."""
        if series >= len(self._count):
            return {name: np.zeros(0, kind) for name, kind in COLUMNS.items()}
        places = self._places(int(self._count[series]))
        return {name: ring[series, places] for name, ring in self._rings.items()}

    def _places(self, count: int) -> I64:
        return np.arange(max(0, count - self.depth), count) % self.depth

    def _reserve(self, series: int) -> None:
        """Make room for so many series."""
        have = len(self._count)
        if series <= have:
            return
        room = max(16, series, have + have // 4)
        depth = max(1, min(self._wanted, self._total // room))
        if depth != self.depth:
            self._shrink(depth)
        self._count = np.concatenate((self._count, np.zeros(room - have, np.int64)))
        for name, ring in self._rings.items():
            more = np.zeros((room - have, self.depth), ring.dtype)
            self._rings[name] = np.concatenate((ring, more))

    def _shrink(self, depth: int) -> None:
        """Keep only the newest `depth` ticks of each series."""
        filled = np.minimum(self._count, depth)
        back = np.arange(depth)[None, :]
        places = (self._count - filled)[:, None] + back
        rows = np.arange(len(self._count))[:, None]
        for name, ring in self._rings.items():
            self._rings[name] = np.ascontiguousarray(ring[rows, places % self.depth])
        self._count, self.depth = filled, depth
