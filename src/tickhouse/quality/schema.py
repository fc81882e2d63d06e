"""What a row must have: a symbol, a price, and ids in order."""

import numpy as np

from tickhouse.core.batches import BarBatch, TickBatch
from tickhouse.quality import Verdict
from tickhouse.quality._verdicts import Mask, rejected, values

NAME = "schema"


def open() -> "Schema":
    """The check; it has no options."""
    return Schema()


class Schema:
    """Refuses rows without a price, without a symbol, or with ids in the wrong order."""

    name = NAME

    def ticks(self, batch: TickBatch) -> list[Verdict]:
        """Reasons `missing`, `symbol` and `ids`."""
        ids = values(first=batch.first_id, last=batch.last_id)
        return [
            *rejected(NAME, "missing", "there is no price", np.isnan(batch.price)),
            *_nameless(batch),
            *rejected(NAME, "ids", "the first trade id is above the last", batch.first_id > batch.last_id, ids),
        ]

    def bars(self, batch: BarBatch) -> list[Verdict]:
        """Reasons `missing` and `symbol`."""
        missing = np.isnan(batch.open + batch.high + batch.low + batch.close)
        return [*rejected(NAME, "missing", "an open, high, low or close is missing", missing), *_nameless(batch)]


def _nameless(batch: TickBatch | BarBatch) -> list[Verdict]:
    if "" not in batch.symbols and batch.symbol.min(initial=0) >= 0:
        return []
    empty = np.array([not symbol for symbol in batch.symbols] + [True])
    wrong: Mask = empty[np.where(batch.symbol < 0, len(batch.symbols), batch.symbol)]
    return rejected(NAME, "symbol", "there is no symbol", wrong)
