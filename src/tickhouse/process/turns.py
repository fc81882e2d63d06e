"""The rows of a record in the order of their messages, so that it does not matter which messages are in one record."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import U8, BarBatch, Record, TickBatch
from tickhouse.core.kernels.identity import DENIED, NEW
from tickhouse.core.marks import Event, Mark


@dataclass(frozen=True, slots=True)
class Turn:
    """Ticks, and then bars. `new` says of each tick whether it counts or is DENIED: one that quality refused, here for its ids."""

    ticks: TickBatch | None
    bars: BarBatch | None
    new: U8 | None = None


def of(record: Record) -> Iterator[Turn]:
    """The ticks and bars of a record; where it has both, those of one message after the other. Ticks of a message come first."""
    bars = record.bars
    refused = [mark for mark in record.marks if mark.event is Event.REFUSED]
    ticks, new = _with(record, refused) if refused else (record.ticks, None)
    if not ticks or not bars:
        yield Turn(ticks, bars, new)
        return
    cuts = np.flatnonzero(np.diff(bars.first_raw)) + 1
    begins, ends = [0, *cuts.tolist()], [*cuts.tolist(), len(bars)]
    until = np.searchsorted(ticks.raw, bars.first_raw[begins], side="right").tolist()
    since = 0
    for begin, end, place in zip([*begins, len(bars)], [*ends, len(bars)], [*until, len(ticks)], strict=True):
        here = slice(since, place)
        yield Turn(ticks.take(here), bars.take(slice(begin, end)), None if new is None else new[here])
        since = place


def _with(record: Record, refused: Sequence[Mark]) -> tuple[TickBatch, U8]:
    """The ticks of a record with the refused ones where they were, and which is which."""
    rows = [
        {"symbol": mark.symbols[0], "event_time": mark.at, "price": np.nan, "received_at": record.received_at,
         "first_id": int(mark.detail["first_id"]), "last_id": int(mark.detail["last_id"]),
         "raw": record.first + int(mark.detail["message"])}
        for mark in refused
    ]  # fmt: skip
    places = [int(mark.detail["row"]) for mark in refused]
    gone = TickBatch.of(record.source, rows, record.lane)
    ticks = record.ticks
    new = np.full(len(gone) + len(ticks or ()), NEW, np.uint8)
    new[places] = DENIED
    if not ticks:
        return gone, new
    symbols = list(dict.fromkeys([*ticks.symbols, *gone.symbols]))
    codes = np.array([symbols.index(symbol) for symbol in gone.symbols], np.int32)[gone.symbol]
    names = ("event_time", "received_at", "price", "size", "first_id", "last_id", "raw")
    columns: dict[str, Any] = {name: _merged(getattr(ticks, name), getattr(gone, name), new) for name in names}
    symbol, condition = _merged(ticks.symbol, codes, new), _merged(ticks.condition, 0, new)
    return replace(ticks, symbols=symbols, symbol=symbol, condition=condition, **columns), new


def _merged(kept: NDArray[Any], gone: NDArray[Any] | int, new: U8) -> NDArray[Any]:
    """A column of both."""
    column = np.empty(len(new), kept.dtype)
    column[new == NEW], column[new == DENIED] = kept, gone
    return column
