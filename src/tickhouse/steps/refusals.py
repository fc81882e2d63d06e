"""Trades that came and were refused for good are noted by their ids, so that nobody takes them for lost and goes on asking."""

from collections.abc import Iterator, Sequence

import numpy as np

from tickhouse.core.batches import TickBatch
from tickhouse.core.clock import SECOND
from tickhouse.core.marks import NO_TIME, Event, Mark
from tickhouse.quality import Verdict

FIRST = 365 * 86_400 * SECOND
"""1971: an event time before it says nothing of when the trade was."""

AHEAD = 86_400 * SECOND
"""Nor does one that is a day after the trade was received; clocks of machines differ by less."""


def noted(batch: TickBatch, verdicts: Sequence[Verdict]) -> Iterator[Mark]:
    """A mark for each refused row of a batch that has ids in order."""
    refused = [verdict.rows for verdict in verdicts if verdict.reject]
    for row in np.unique(np.concatenate(refused)).tolist() if refused else ():
        first, last, symbol = int(batch.first_id[row]), int(batch.last_id[row]), int(batch.symbol[row])
        if not 0 <= first <= last or symbol < 0 or not batch.symbols[symbol]:
            continue
        time = int(batch.event_time[row])
        believed = FIRST <= time <= int(batch.received_at[row]) + AHEAD
        place = {"row": row, "message": int(batch.raw[row]), "first_id": first, "last_id": last}
        detail = {name: str(value) for name, value in place.items()}
        yield Mark(Event.REFUSED, time if believed else NO_TIME, symbols=(batch.symbols[symbol],), detail=detail)
