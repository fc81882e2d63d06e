"""From messages that each hold a few rows, such as the answers of polled providers, to one `Parsed`.

A feed that is not hot says with one function what a single message means, and gets batches, rejects and control for
nothing:

    def parse(self, raw):
        return each(raw, self._reader(raw.channel))
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from tickhouse.core.batches import F64, I64, BarBatch, Parsed, RawBatch, TickBatch
from tickhouse.core.model import ACTION, OBSERVATION, QUOTE, Kind, Reject, State, interval_us

Row = Mapping[str, Any]


class NotUnderstood(Exception):
    """A message that is not what its channel carries: `reason` is a short stable word, `detail` one sentence for a person."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


@dataclass(frozen=True, slots=True)
class Found:
    """What one message holds. Rows leave out `source` and `raw`; `refused` are (reason, detail) of single rows that cannot be used.

    Rows of `quotes` need symbol, event_time (us) and price, the rest is null where absent; `received_at` is filled in. `ticks`
    have the names of `model.TICK`. A message with nothing at all is control.
    """

    quotes: Sequence[Row] = ()
    ticks: Sequence[Row] = ()
    bars: Sequence[BarBatch] = ()
    observations: Sequence[Row] = ()
    actions: Sequence[Row] = ()
    refused: Sequence[tuple[str, str]] = ()

    def __bool__(self) -> bool:
        return any((self.quotes, self.ticks, any(map(len, self.bars)), self.observations, self.actions))


NOTHING = Found()
Read = Callable[[bytes, int], Found]
"""Takes a message and its receive time (us). Raises `NotUnderstood`."""


def each(raw: RawBatch, read: Read) -> Parsed:
    """Every message of a batch, read one by one; rows in the order of their messages."""
    kinds, rejects, all_found = np.zeros(len(raw), np.uint8), [], []
    for index, payload in enumerate(raw.payloads()):
        try:
            found = read(payload, int(raw.received_at[index]))
        except NotUnderstood as bad:
            found, kinds[index] = NOTHING, Kind.REJECTED
            rejects.append(Reject(index, bad.reason, bad.detail))
        else:
            rejects += [Reject(index, reason, detail) for reason, detail in found.refused]
            kinds[index] = Kind.PARSED if found else Kind.REJECTED if found.refused else Kind.CONTROL
        all_found.append((index, found))
    source, received = raw.source, raw.received_at
    quotes = [
        {"received_at": int(received[i]), **row, "source": source, "raw": i} for i, f in all_found for row in f.quotes
    ]
    ticks = [{"received_at": int(received[i]), **row, "raw": i} for i, f in all_found for row in f.ticks]
    observations = [{**row, "source": source, "raw": i} for i, f in all_found for row in f.observations]
    actions = [{**row, "source": source, "raw": i} for i, f in all_found for row in f.actions]
    bars = [_placed(bars, i, int(received[i])) for i, f in all_found for bars in f.bars if len(bars)]
    return Parsed(
        kinds, TickBatch.of(source, ticks, raw.lane) if ticks else None, _joined(source, bars) if bars else None,
        tuple(rejects), _table(quotes, QUOTE), _table(observations, OBSERVATION), _table(actions, ACTION),
    )  # fmt: skip


def bars_of(
    symbol: str, interval: str, start: Sequence[int] | I64, prices: Sequence[Sequence[float] | F64], volume: Any = None
) -> BarBatch:
    """Closed bars of one symbol as a provider states them: `prices` are the columns open, high, low, close; `start` in us.

    A provider says neither how many trades a bar has nor its vwap: 0 and NaN. Volume is 0 where there is none.

    >>> bars_of("AAPL", "1d", [0], [[1.0], [2.0], [0.5], [1.5]]).close.tolist()
    [1.5]
    """
    n = len(start)
    of_no_message = np.zeros(n, np.int64)
    opens, highs, lows, closes = (np.asarray(column, np.float64) for column in prices)
    return BarBatch(
        source="", symbols=[symbol], symbol=np.zeros(n, np.int32), interval=np.full(n, interval_us(interval)),
        start=np.asarray(start, np.int64), open=opens, high=highs, low=lows, close=closes,
        volume=np.zeros(n) if volume is None else np.nan_to_num(np.asarray(volume, np.float64), nan=0.0),
        vwap=np.full(n, np.nan), trades=np.zeros(n, np.int64), completeness=np.ones(n),
        state=np.full(n, State.FINAL, np.uint8), version=np.zeros(n, np.int32),
        first_raw=of_no_message, last_raw=of_no_message, known_at=of_no_message,
    )  # fmt: skip


def _placed(bars: BarBatch, index: int, received_at: int) -> BarBatch:
    """Bars with the message that they came from."""
    at = np.full(len(bars), index, np.int64)
    return replace(bars, first_raw=at, last_raw=at, known_at=np.full(len(bars), received_at, np.int64))


def _joined(source: str, parts: Sequence[BarBatch]) -> BarBatch:
    """All bars as one batch with one dictionary of symbols."""
    symbols: dict[str, int] = {}
    codes = [
        np.array([symbols.setdefault(name, len(symbols)) for name in part.symbols], np.int32)[part.symbol]
        for part in parts
    ]
    names = [name for name in BarBatch.__slots__ if name not in ("source", "symbols", "symbol")]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return BarBatch(source=source, symbols=list(symbols), symbol=np.concatenate(codes), **columns)


def _table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table | None:
    return pa.Table.from_pylist(list(rows), schema=schema) if rows else None
