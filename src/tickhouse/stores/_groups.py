"""Rows of a batch by series, so that the newest of each is found with array operations."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]


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
