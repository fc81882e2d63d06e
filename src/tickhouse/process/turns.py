"""The rows of a record in the order of their messages, so that it does not matter which messages are in one record."""

from collections.abc import Iterator

import numpy as np

from tickhouse.core.batches import BarBatch, Record, TickBatch

Turn = tuple[TickBatch | None, BarBatch | None]
"""Ticks, and then bars."""


def of(record: Record) -> Iterator[Turn]:
    """The ticks and bars of a record; where it has both, those of one message after the other. Ticks of a message come first."""
    ticks, bars = record.ticks, record.bars
    if not ticks or not bars:
        yield ticks, bars
        return
    cuts = np.flatnonzero(np.diff(bars.first_raw)) + 1
    begins, ends = [0, *cuts.tolist()], [*cuts.tolist(), len(bars)]
    until = np.searchsorted(ticks.raw, bars.first_raw[begins], side="right").tolist()
    since = 0
    for begin, end, place in zip(begins, ends, until, strict=True):
        yield ticks.take(slice(since, place)), bars.take(slice(begin, end))
        since = place
    yield ticks.take(slice(since, len(ticks))), None
