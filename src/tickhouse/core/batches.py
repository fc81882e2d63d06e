"""Columnar batches: many messages, ticks or bars as a few arrays. One batch speaks of one source and one lane.

A *lane* is the progress domain of a batch: `live` for what arrives now, `refill` for what fills holes of the live
lane, `load:<name>` for a file, a replay or a backfill. Each load has a watermark of its own, so its old data is not
late data.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tickhouse.core.marks import Mark
from tickhouse.core.model import BAR, TICK, TIME, Kind, Reject, State, interval_text

I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

LIVE = "live"
REFILL = "refill"
NO_ID = -1
"""The trade id of a provider that has none."""


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Messages exactly as received, in one buffer.

    Message i is `data[offsets[i]:ends[i]]`. `data` is uint8, `offsets` and `ends` are int64 of shape (n,) (so lines of a
    file can be used in place, without their line ends), `received_at` int64 microseconds of shape (n,). `first` is the
    journal position of message 0, or -1 before the batch is journaled. `lines` are the numbers of the lines that the messages
    are in their file, from 1 on, where they are known; they are not kept.
    """

    source: str
    channel: str
    lane: str
    data: U8
    offsets: I64
    ends: I64
    received_at: I64
    first: int = -1
    lines: I64 | None = None

    @classmethod
    def of(
        cls,
        source: str,
        channel: str,
        payloads: Sequence[bytes],
        received_at: int | Sequence[int] | I64,
        lane: str = LIVE,
    ) -> "RawBatch":
        """A batch of whole messages; one receive time for all, or one each.

        >>> RawBatch.of("binance", "trade", [b"{}", b"[]"], 5).payload(1)
        b'[]'
        """
        ends = np.cumsum(np.fromiter((len(p) for p in payloads), np.int64, len(payloads)))
        offsets = np.concatenate(([0], ends[:-1])).astype(np.int64) if len(payloads) else ends
        times = np.broadcast_to(np.asarray(received_at, np.int64), ends.shape)
        return cls(source, channel, lane, np.frombuffer(b"".join(payloads), np.uint8), offsets, ends, times)

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def size(self) -> int:
        """Payload bytes."""
        return int((self.ends - self.offsets).sum())

    def payload(self, index: int) -> bytes:
        """The bytes of message `index`."""
        return self.data[self.offsets[index] : self.ends[index]].tobytes()

    def payloads(self) -> Iterator[bytes]:
        """Every message's bytes, in order."""
        whole = self.data.tobytes()
        for start, end in zip(self.offsets.tolist(), self.ends.tolist(), strict=True):
            yield whole[start:end]

    def take(self, start: int, stop: int) -> "RawBatch":
        """Messages start to stop, sharing the buffer; `first` moves along."""
        part = slice(start, stop)
        first = self.first + start if self.first >= 0 else -1
        lines = None if self.lines is None else self.lines[part]
        offsets, ends, received = self.offsets[part], self.ends[part], self.received_at[part]
        return replace(self, offsets=offsets, ends=ends, received_at=received, first=first, lines=lines)

    def packed(self) -> "RawBatch":
        """The same messages with no unused bytes in the buffer."""
        if (
            len(self)
            and self.offsets[0] == 0
            and self.ends[-1] == len(self.data)
            and (self.ends[:-1] == self.offsets[1:]).all()
        ):
            return self
        payloads = list(self.payloads())
        return replace(self.of(self.source, self.channel, payloads, self.received_at, self.lane), first=self.first)


@dataclass(frozen=True, slots=True)
class TickBatch:
    """Ticks of one source and lane as arrays of shape (n,), in order of arrival.

    `symbol` are int32 codes into `symbols`; `event_time` and `received_at` int64 microseconds; `price` and `size`
    float64, size NaN where there is none; `first_id` and `last_id` int64, -1 where the provider has none; `condition`
    int32 codes into `conditions` (code 0 is always "no condition", the empty text); `raw` int64: the journal position of
    the message, or its index in the raw batch before that is journaled.
    """

    source: str
    lane: str
    symbols: Sequence[str]
    symbol: I32
    event_time: I64
    received_at: I64
    price: F64
    size: F64
    first_id: I64
    last_id: I64
    raw: I64
    conditions: Sequence[str] = ("",)
    condition: I32 = field(default_factory=lambda: np.empty(0, np.int32))

    def __post_init__(self) -> None:
        if len(self.condition) != len(self.symbol):
            object.__setattr__(self, "condition", np.zeros(len(self.symbol), np.int32))

    def __len__(self) -> int:
        return len(self.symbol)

    @classmethod
    def of(cls, source: str, rows: Sequence[dict[str, Any]], lane: str = LIVE) -> "TickBatch":
        """A batch from plain rows with the names of `model.TICK`; missing ids, sizes and conditions are allowed.

        >>> batch = TickBatch.of("binance", [{"symbol": "BTC-USDT", "event_time": 5, "price": 2.0, "size": 1.0}])
        >>> batch.symbols, batch.last_id.tolist()
        (['BTC-USDT'], [-1])
        """
        symbols = list(dict.fromkeys(r["symbol"] for r in rows))
        conditions = list(dict.fromkeys(["", *(r.get("conditions") or "" for r in rows)]))

        def ints(name: str, default: str | int) -> I64:
            values = (r.get(name, r.get(default, NO_ID) if isinstance(default, str) else default) for r in rows)
            return np.fromiter((NO_ID if v is None else v for v in values), np.int64, len(rows))

        return cls(
            source=source, lane=lane, symbols=symbols, conditions=conditions,
            symbol=np.fromiter((symbols.index(r["symbol"]) for r in rows), np.int32, len(rows)),
            event_time=ints("event_time", 0), received_at=ints("received_at", "event_time"),
            price=np.fromiter((r["price"] for r in rows), np.float64, len(rows)),
            size=np.fromiter((np.nan if r.get("size") is None else r["size"] for r in rows), np.float64, len(rows)),
            first_id=ints("first_id", "last_id"), last_id=ints("last_id", "first_id"), raw=ints("raw", 0),
            condition=np.fromiter((conditions.index(r.get("conditions") or "") for r in rows), np.int32, len(rows)),
        )  # fmt: skip

    def take(self, rows: Any) -> "TickBatch":
        """The rows of a slice, mask or index array."""
        columns = ("symbol", "event_time", "received_at", "price", "size", "first_id", "last_id", "raw", "condition")
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})

    def journaled(self, first: int) -> "TickBatch":
        """The same ticks with `raw` as journal positions, where the raw batch begins at `first`."""
        return replace(self, raw=self.raw + first)

    def compact(self) -> "TickBatch":
        """The same ticks with a dictionary of only the symbols that occur, in order of their codes."""
        used, codes = np.unique(self.symbol, return_inverse=True)
        if len(used) == len(self.symbols):
            return self
        return replace(self, symbols=[self.symbols[i] for i in used.tolist()], symbol=codes.astype(np.int32))

    def to_arrow(self) -> pa.Table:
        """The ticks as a table of schema `model.TICK`; symbol and conditions are dictionaries of text."""
        n = len(self)
        none = self.first_id == NO_ID
        columns = [
            pa.DictionaryArray.from_arrays(self.symbol, pa.array(list(self.symbols), pa.string())),
            pa.repeat(pa.scalar(self.source), n),
            pa.array(self.event_time).cast(TIME),
            pa.array(self.received_at).cast(TIME),
            pa.array(self.price),
            pa.array(self.size, from_pandas=True),
            pa.array(self.first_id, mask=none),
            pa.array(self.last_id, mask=none),
            pa.DictionaryArray.from_arrays(self.condition, pa.array([c or None for c in self.conditions], pa.string())),
            pa.array(self.raw),
        ]
        return pa.table(columns, names=TICK.names)

    @classmethod
    def from_arrow(cls, table: pa.Table, lane: str = LIVE) -> "TickBatch":
        """The ticks of a table of schema `model.TICK` (one source), dictionary-coded or not."""
        table = table.combine_chunks()

        def coded(name: str) -> tuple[list[Any], I32]:
            column = table[name].combine_chunks() if table.num_rows else table[name].cast(pa.string()).combine_chunks()
            if isinstance(column, pa.ChunkedArray):
                column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())
            if not pa.types.is_dictionary(column.type):
                column = column.cast(pa.string()).dictionary_encode()
            return column.dictionary.to_pylist(), column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(
                np.int32
            )

        def ints(name: str) -> I64:
            return np.asarray(table[name].cast(pa.int64()).fill_null(NO_ID).to_numpy(), np.int64)

        symbols, symbol = coded("symbol")
        texts, condition = coded("conditions")
        conditions = list(dict.fromkeys(["", *(t or "" for t in texts)]))
        remap = np.array([conditions.index(t or "") for t in texts] + [0], np.int32)
        source = table["source"][0].as_py() if table.num_rows else ""
        return cls(
            source=source, lane=lane, symbols=symbols, symbol=symbol, event_time=ints("event_time"),
            received_at=ints("received_at"), price=np.asarray(table["price"].to_numpy(), np.float64),
            size=np.asarray(table["size"].fill_null(np.nan).to_numpy(), np.float64),
            first_id=ints("first_id"), last_id=ints("last_id"), raw=ints("raw"),
            conditions=conditions, condition=remap[condition],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class BarBatch:
    """Bars of one source as arrays of shape (n,); see `model.BAR` for the meaning of each.

    `symbol` are int32 codes into `symbols`; `interval`, `start` and `known_at` int64 microseconds; `state` uint8 of
    `model.State`; `version` int32; `trades`, `first_raw`, `last_raw` int64; the rest float64.
    """

    source: str
    symbols: Sequence[str]
    symbol: I32
    interval: I64
    start: I64
    open: F64
    high: F64
    low: F64
    close: F64
    volume: F64
    vwap: F64
    trades: I64
    completeness: F64
    state: U8
    version: I32
    first_raw: I64
    last_raw: I64
    known_at: I64

    def __len__(self) -> int:
        return len(self.symbol)

    def take(self, rows: Any) -> "BarBatch":
        """The rows of a slice, mask or index array."""
        columns = [name for name in self.__slots__ if name not in ("source", "symbols")]
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})

    def to_arrow(self) -> pa.Table:
        """The bars as a table of schema `model.BAR`; text columns are dictionaries."""
        lengths, codes = np.unique(self.interval, return_inverse=True)
        interval = pa.DictionaryArray.from_arrays(
            codes.astype(np.int32), pa.array([interval_text(i) for i in lengths.tolist()])
        )
        state = pa.DictionaryArray.from_arrays(self.state.astype(np.int32), pa.array([s.name.lower() for s in State]))
        special = {
            "symbol": pa.DictionaryArray.from_arrays(self.symbol, pa.array(list(self.symbols), pa.string())),
            "source": pa.repeat(pa.scalar(self.source), len(self)),
            "interval": interval,
            "state": state,
        }
        times = {name: pa.array(getattr(self, name)).cast(TIME) for name in ("start", "known_at")}
        return pa.table(
            [
                special.get(n, times.get(n)) if n in special or n in times else pa.array(getattr(self, n))
                for n in BAR.names
            ],
            names=BAR.names,
        )

    def columns(self) -> dict[str, list[Any]]:
        """The bars as lists with the names of `model.BAR`, times in microseconds."""
        texts = {length: interval_text(length) for length in set(self.interval.tolist())}
        states = [state.name.lower() for state in State]
        special = {
            "symbol": [self.symbols[code] for code in self.symbol.tolist()],
            "source": [self.source] * len(self),
            "interval": [texts[length] for length in self.interval.tolist()],
            "state": [states[state] for state in self.state.tolist()],
        }
        return {name: special[name] if name in special else getattr(self, name).tolist() for name in BAR.names}


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a feed made of a raw batch of n messages.

    `kinds` is uint8 of shape (n,), one `model.Kind` a message. A message that was rejected, or one row of a message that
    was, has its `Reject`. `ticks.raw`, `bars.first_raw` and the column `raw` of the tables are indexes into the raw batch.
    The tables have the schemas `model.QUOTE`, `OBSERVATION` and `ACTION`; None stands for no rows.
    """

    kinds: U8
    ticks: TickBatch | None = None
    bars: BarBatch | None = None
    rejects: tuple[Reject, ...] = ()
    quotes: pa.Table | None = None
    observations: pa.Table | None = None
    actions: pa.Table | None = None

    @classmethod
    def refused(cls, raw: RawBatch, reason: str, detail: str) -> "Parsed":
        """Every message of a batch is rejected for the same reason."""
        rejects = tuple(Reject(index, reason, detail) for index in range(len(raw)))
        return cls(every_kind(len(raw), Kind.REJECTED), rejects=rejects)

    def count(self, kind: Kind) -> int:
        """How many messages are of that kind."""
        return int((self.kinds == kind).sum())


@dataclass(frozen=True, slots=True)
class Entry:
    """One step of ingest, to be journaled whole or not at all: the raw messages and what they mean.

    `raw.first` and the positions in `ticks` and `bars` are still relative. `invalid` are rows that parsed but were refused
    by quality. `resume` is the (key, value) that a load restarts from, `notes` are further ones that ingest needs when it goes
    on after a restart; both are kept in the same transaction.
    """

    raw: RawBatch
    kinds: U8
    ticks: TickBatch | None = None
    bars: BarBatch | None = None
    marks: tuple[Mark, ...] = ()
    rejects: tuple[Reject, ...] = ()
    invalid: int = 0
    resume: tuple[str, str] | None = None
    notes: tuple[tuple[str, str], ...] = ()
    observations: pa.Table | None = None
    actions: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class Passing:
    """Beside the ticks of one shard: how they lay among all ticks of a record, and landmarks of other shards.

    `total` is how many ticks the record has, `at` where among them those of the shard are, `places` where the landmarks are, with
    their times (us) and journal positions. `refused` are the places of ticks that quality did not take, counted with them.
    """

    total: int
    at: NDArray[np.intp]
    places: NDArray[np.intp]
    event_time: I64
    received_at: I64
    raw: I64
    refused: I64 = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Record:
    """One journaled entry as a consumer reads it back. It covers raw positions `first` to `first + count - 1`.

    A reader of the topic `raw` gets `raw` and `kinds`; a reader of `ticks` gets `ticks`, `bars`, `observations`, `actions` and
    `marks` with journal positions. `received_at` is the receive time (us) of the entry's last message. `passing` is there where
    the rows are those of one shard.
    """

    first: int
    count: int
    source: str
    channel: str
    lane: str
    received_at: int
    raw: RawBatch | None = None
    kinds: U8 | None = None
    ticks: TickBatch | None = None
    bars: BarBatch | None = None
    marks: tuple[Mark, ...] = ()
    observations: pa.Table | None = None
    actions: pa.Table | None = None
    passing: Passing | None = None

    @property
    def end(self) -> int:
        """The position after the last message: where the next record begins."""
        return self.first + self.count


@dataclass(frozen=True, slots=True)
class Output:
    """What the engine makes of one or more records, up to (not including) raw position `position`.

    `bars` are closed or corrected ones and are kept; `forming` are the open windows that changed and only shown. The
    tables have the schemas of `core.model`; None stands for no rows. `ledger` has the running totals of ticks and ready-made
    bars, by (source, name), where name is accepted, duplicate or late. `ticks` are those that are no repeats, where somebody
    wants them: a store that keeps them.
    """

    position: int
    bars: tuple[BarBatch, ...] = ()
    forming: tuple[BarBatch, ...] = ()
    indicators: pa.Table | None = None
    anomalies: pa.Table | None = None
    findings: pa.Table | None = None
    coverage: pa.Table | None = None
    holes: tuple[Any, ...] = ()
    ledger: dict[tuple[str, str], int] = field(default_factory=dict)
    observations: pa.Table | None = None
    actions: pa.Table | None = None
    switches: pa.Table | None = None
    ticks: tuple[TickBatch, ...] = ()


def moved(table: pa.Table | None, first: int) -> pa.Table | None:
    """The rows with `raw` as journal positions, where the raw batch begins at `first`; None stays None."""
    if table is None:
        return None
    return table.set_column(table.schema.get_field_index("raw"), "raw", pc.add(table["raw"], first))


def every_kind(n: int, kind: Kind) -> U8:
    """An array of one kind for n messages."""
    return np.full(n, kind, np.uint8)
