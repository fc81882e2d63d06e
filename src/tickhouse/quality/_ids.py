"""Trade ids of a batch in order, symbol by symbol."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import NO_ID, TickBatch

I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sorted:
    """The ticks that have ids, by symbol and last id, equal ones in order of arrival.

    `rows` are their rows in the batch; `same` says of each but the first whether it has the symbol of the one before.
    """

    rows: I64
    first: I64
    last: I64
    same: NDArray[np.bool_]

    @property
    def repeats(self) -> I64:
        """The rows whose symbol and last id came before in the batch."""
        found: I64 = self.rows[1:][self.same & (self.last[1:] == self.last[:-1])]
        return found

    @property
    def jumps(self) -> I64:
        """The rows before which ids of their symbol are missing."""
        found: I64 = self.rows[1:][self.same & (self.first[1:] > self.last[:-1] + 1)]
        return found


def in_order(batch: TickBatch) -> Sorted | None:
    """The ids of a batch in order; None where there are none to compare.

    >>> batch = TickBatch.of("binance", [{"symbol": "A", "event_time": 0, "price": 1.0, "last_id": i} for i in (7, 9, 7)])
    >>> in_order(batch).repeats.tolist(), in_order(batch).jumps.tolist()
    ([2], [1])
    """
    if len(batch) < 2 or int(batch.last_id.max()) == NO_ID:
        return None
    has = batch.last_id != NO_ID
    rows = np.arange(len(batch)) if has.all() else np.flatnonzero(has)
    symbol, last = batch.symbol[rows], batch.last_id[rows]
    small = symbol.astype(np.uint16) if len(batch.symbols) < 1 << 16 else symbol
    order = np.argsort(small, kind="stable")
    symbol, last = symbol[order], last[order]
    same = symbol[1:] == symbol[:-1]
    if (same & (last[1:] < last[:-1])).any():
        order = np.lexsort((batch.last_id[rows], small))
        last = batch.last_id[rows[order]]
    rows = rows[order]
    return Sorted(rows, batch.first_id[rows], last, same)
