"""The rows of a record in the order of their messages, so that it does not matter which messages are in one record."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tickhouse.core.batches import NO_ID, U8, BarBatch, Passing, Record, TickBatch
from tickhouse.core.kernels.identity import DENIED, ELSEWHERE, NEW
from tickhouse.core.marks import Event, Mark

COLUMNS = ("event_time", "received_at", "price", "size", "first_id", "last_id", "raw", "condition")


@dataclass(frozen=True, slots=True)
class Turn:
    """Ticks, and then bars. `new` says of each tick whether it counts, is DENIED (one that quality refused, here for its ids), or
    ELSEWHERE (one of another shard, here for its times)."""

    ticks: TickBatch | None
    bars: BarBatch | None
    new: U8 | None = None


def of(record: Record) -> Iterator[Turn]:
    """The ticks and bars of a record; where it has both, those of one message after the other. Ticks of a message come first."""
    bars = record.bars
    refused = [mark for mark in record.marks if mark.event is Event.REFUSED]
    ticks, new = _with(record, refused) if refused or record.passing else (record.ticks, None)
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


def _with(record: Record, refused: Sequence[Mark]) -> tuple[TickBatch | None, U8 | None]:
    """The ticks of a record with the refused ones and the landmarks where they were, and which is which."""
    parts = [(record.ticks, NEW)] if record.ticks else []
    places, passing = [], record.passing
    denied = np.array([int(mark.detail["row"]) for mark in refused], np.int64)
    if passing is None:
        kept = np.delete(np.arange(len(denied) + len(record.ticks or ())), denied)
        places = [kept] if record.ticks else []
    else:
        kept = np.delete(np.arange(passing.total + len(passing.refused)), passing.refused)
        places = [kept[passing.at]] if record.ticks else []
    if refused:
        parts.append((_refused(record, refused), DENIED))
        places.append(denied)
    if passing is not None and len(passing.places):
        parts.append((_landmarks(record, passing), ELSEWHERE))
        places.append(kept[passing.places])
    if not parts:
        return None, None
    order = np.argsort(np.concatenate(places))
    new = np.concatenate([np.full(len(batch), kind, np.uint8) for batch, kind in parts])
    return _joined([batch for batch, _ in parts]).take(order), new[order]


def _refused(record: Record, marks: Sequence[Mark]) -> TickBatch:
    """Ticks that quality did not take."""
    rows = [
        {"symbol": mark.symbols[0], "event_time": mark.at, "price": np.nan, "received_at": record.received_at,
         "first_id": int(mark.detail["first_id"]), "last_id": int(mark.detail["last_id"]),
         "raw": record.first + int(mark.detail["message"])}
        for mark in marks
    ]  # fmt: skip
    return TickBatch.of(record.source, rows, record.lane)


def _landmarks(record: Record, passing: Passing) -> TickBatch:
    """Ticks of other shards, of which nobody asks the symbol."""
    n = len(passing.places)
    empty, none = np.full(n, np.nan), np.full(n, NO_ID)
    times = passing.event_time, passing.received_at
    return TickBatch(
        record.source, record.lane, ("",), np.zeros(n, np.int32), *times, empty, empty, none, none, passing.raw
    )


def _joined(parts: Sequence[TickBatch]) -> TickBatch:
    """Batches of one source and lane one after the other; the first knows all conditions."""
    symbols = {symbol: code for code, symbol in enumerate(dict.fromkeys(s for part in parts for s in part.symbols))}
    codes = [np.array([symbols[s] for s in part.symbols], np.int32)[part.symbol] for part in parts]
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
    return replace(parts[0], symbols=list(symbols), symbol=np.concatenate(codes), **columns)
