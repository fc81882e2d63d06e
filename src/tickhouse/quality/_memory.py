"""What stateful checks remember: one row of arrays for each source, lane and symbol."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]

LANES = 32
"""Lanes remembered; a load's lane is forgotten when so many newer ones were used."""


@dataclass(slots=True)
class Lane:
    """The series of one source and lane: `values` has a row for each symbol, filled with `empty` at first."""

    empty: float | int
    rows: dict[str, int] = field(default_factory=dict)
    values: NDArray[np.float64] | I64 = field(default_factory=lambda: np.zeros(0))
    _symbols: Sequence[str] = ()
    _codes: I64 = field(default_factory=lambda: np.zeros(0, np.int64))

    def codes(self, symbols: Sequence[str]) -> I64:
        """The row of each symbol of a batch's dictionary."""
        if symbols is self._symbols and len(symbols) == len(self._codes):
            return self._codes
        for symbol in symbols:
            self.rows.setdefault(symbol, len(self.rows))
        if len(self.rows) > len(self.values):
            room = max(64, 2 * len(self.rows)) - len(self.values)
            self.values = np.concatenate((self.values, np.full(room, self.empty)))
        self._symbols = symbols
        self._codes = np.fromiter(map(self.rows.__getitem__, symbols), np.int64, len(symbols))
        return self._codes

    def known(self) -> dict[str, float]:
        """The value of each symbol."""
        return dict(zip(self.rows, self.values.tolist(), strict=False))


class Memory:
    """The lanes a check has seen, the least recently used forgotten."""

    def __init__(self, empty: float | int) -> None:
        self.empty = empty
        self.lanes: OrderedDict[tuple[str, str], Lane] = OrderedDict()

    def lane(self, source: str, lane: str) -> Lane:
        """The memory of one source and lane."""
        key = (source, lane)
        if key not in self.lanes:
            self.lanes[key] = Lane(self.empty, values=np.full(0, self.empty))
            if len(self.lanes) > LANES:
                self.lanes.popitem(last=False)
        self.lanes.move_to_end(key)
        return self.lanes[key]
