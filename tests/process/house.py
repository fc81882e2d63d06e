"""A little house for engine tests: a journal and a store in memory, and the engine that runs between them."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from tickhouse.core.batches import LIVE, BarBatch, Output, Record, TickBatch
from tickhouse.core.kernels.tumbling import bar_reference
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.model import ANOMALY, BAR, INDICATOR, TIME, Hole, Ids, Query, State, interval_text
from tickhouse.process.engines.embedded import Embedded
from tickhouse.process.rules import Rules
from tickhouse.quality import Verdict
from tickhouse.steps.refusals import noted

SECOND = 1_000_000
MINUTE = 60 * SECOND
T0 = (1_767_225_600 - 300) * SECOND
"""Five minutes before a UTC midnight, so that scenes go over it."""
VALUES = ("open", "high", "low", "close", "volume", "vwap", "trades", "completeness")
Row = dict[str, Any]


def tick(at: float, price: float = 1.0, size: float | None = 1.0, symbol: str = "A", **more: Any) -> Row:
    """A tick `at` seconds after T0; `id` stands for first and last id, `received` is in seconds after T0 too, `refused` says that
    quality does not take it."""
    row = {"symbol": symbol, "event_time": T0 + round(at * SECOND), "price": price, "size": size}
    row["received_at"] = T0 + round(more.pop("received", at) * SECOND)
    if "id" in more:
        row["first_id"] = row["last_id"] = more.pop("id")
    return row | more


@dataclass
class Feeder:
    """Makes records with journal positions."""

    source: str = "s"
    position: int = 0

    def ticks(self, rows: Sequence[Row], lane: str = LIVE, channel: str = "trade", page: int = 1) -> Record:
        """A record of ticks; a message holds `page` of them."""
        batch = replace(TickBatch.of(self.source, rows, lane), raw=np.arange(len(rows)) // page)
        bad = np.array([bool(row.get("refused")) for row in rows])
        marks = tuple(noted(batch, [Verdict("ranges", "price", "", np.flatnonzero(bad), reject=True)]))
        count, received, good = -(-len(rows) // page), int(batch.received_at[-1]), batch.journaled(self.position)
        return self._record(count, channel, lane, received, ticks=good.take(~bad), marks=marks)

    def mark(self, event: Event, at: float, lane: str = LIVE, symbols: tuple[str, ...] = (), **more: Any) -> Record:
        us, received = T0 + round(at * SECOND), T0 + round(more.pop("received", at) * SECOND)
        mark = Mark(event, us, more.pop("line", "one"), "trade" if symbols else "", symbols)
        return self._record(1, LINK, lane, received, marks=(mark,))

    def bars(self, batch: BarBatch, lane: str = "load:bars", channel: str = "bars", page: int = 1) -> Record:
        """A record of bars; a message holds `page` of them."""
        raw = self.position + np.arange(len(batch)) // page
        batch = replace(batch, source=self.source, first_raw=raw, last_raw=raw)
        return self._record(-(-len(batch) // page), channel, lane, int(batch.known_at.max()), bars=batch)

    def _record(self, count: int, channel: str, lane: str, received: int, **what: Any) -> Record:
        self.position += count
        return Record(self.position - count, count, self.source, channel, lane, received, **what)


def given(rows: Sequence[tuple[str, float, float]], at: float = 0.0, interval: int = MINUTE) -> BarBatch:
    """Ready-made bars from (symbol, start in seconds after T0, close), known `at` seconds after T0."""
    n, symbols = len(rows), sorted({symbol for symbol, _, _ in rows})
    price = np.array([close for _, _, close in rows])
    start = np.array([T0 + round(start * SECOND) for _, start, _ in rows], np.int64)
    no = np.zeros(n, np.int64)
    return BarBatch(
        "s", symbols, np.array([symbols.index(symbol) for symbol, _, _ in rows], np.int32), np.full(n, interval), start,
        price, price, price, price, price, price, no + 1, np.ones(n), np.full(n, State.FINAL, np.uint8),
        np.zeros(n, np.int32), no, no, no + T0 + round(at * SECOND),
    )  # fmt: skip


@dataclass
class House:
    """Runs an engine over records and keeps what it says, as the pipeline does."""

    rules: Rules = field(default_factory=lambda: Rules(ids={"s": Ids.DENSE}))
    analysis: Callable[["House"], Any] | None = None
    records: list[Record] = field(default_factory=list)
    made: list[Row] = field(default_factory=list)
    said: list[Row] = field(default_factory=list)
    odd: list[Row] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        self.engine = self._engine()

    def _engine(self) -> Embedded:
        return Embedded(self.rules, self.analysis(self) if self.analysis else None, self)

    def run(self, *records: Record) -> Output:
        """One call of the engine."""
        self.records += records
        output = self.engine.process(records)
        self.outputs.append(output)
        for batch in output.bars:
            self.made += [row | {"position": output.position} for row in rows_of(batch)]
        for kept, table in ((self.said, output.indicators), (self.odd, output.anomalies)):
            kept += [row | {"position": output.position} for row in plain(table)]
        return output

    def restart(self) -> None:
        """Go on with a new engine from a snapshot of the old one."""
        state = self.engine.snapshot()
        self.engine = self._engine()
        self.engine.restore(state)

    def newest(self, interval: str = "1m") -> dict[tuple[str, int], Row]:
        """The newest version of every bar, by symbol and start in seconds after T0."""
        found: dict[tuple[str, int], Row] = {}
        for row in self.made:
            if row["interval"] == interval:
                key = row["symbol"], (row["start"] - T0) // SECOND
                assert row["version"] == found.get(key, {"version": -1})["version"] + 1, (key, row)
                found[key] = row
        return found

    def versions(self, symbol: str = "A", at: int = 0, interval: str = "1m") -> list[Row]:
        """Every version of one bar."""
        rows = (row for row in self.made if (row["symbol"], row["interval"]) == (symbol, interval))
        return [row for row in rows if row["start"] == T0 + at * SECOND]

    @property
    def holes(self) -> list[Hole]:
        return [hole for output in self.outputs for hole in output.holes]

    def coverage(self, channel: str | None = None) -> dict[tuple[str, int], tuple[int, str, int]]:
        """The newest row of each key (symbol, start), of one channel or all: end, state, missing; seconds after T0."""
        found = {}
        for table in (output.coverage for output in self.outputs if output.coverage is not None):
            for row in plain(table):
                key = row["symbol"], (row["start"] - T0) // SECOND
                if channel in (None, row["channel"]):
                    found[key] = ((row["end"] - T0) // SECOND, row["state"], row["missing"])
        return found

    def ticks(self, source: str, symbol: str, start: int, end: int, before: int) -> Sequence[TickBatch]:
        self.asked += 1
        found = []
        for batch in (record.ticks for record in self.records if record.ticks is not None and record.source == source):
            code = list(batch.symbols).index(symbol) if symbol in batch.symbols else -1
            inside = (
                (batch.symbol == code) & (batch.event_time >= start) & (batch.event_time < end) & (batch.raw < before)
            )
            found.append(batch.take(inside))
        return [batch for batch in found if len(batch)]

    def bars(self, query: Query) -> pa.Table:
        return self._answer(self.made, BAR, query, ("symbol", "start"))

    def indicators(self, query: Query) -> pa.Table:
        return self._answer(self.said, INDICATOR, query, ("symbol", "start"))

    def anomalies(self, query: Query) -> pa.Table:
        return self._answer(self.odd, ANOMALY, query, ("symbol", "start", "detector", "version"))

    def _answer(self, rows: Iterable[Row], schema: pa.Schema, query: Query, key: tuple[str, ...]) -> pa.Table:
        """The rows asked for that were stored at or before the position, the last of each key."""
        self.asked += 1
        assert query.before is not None
        found: dict[tuple[Any, ...], Row] = {}
        begin, end = query.start or 0, query.end or 1 << 62
        for row in rows:
            fits = (not query.symbols or row["symbol"] in query.symbols) and row["interval"] == query.interval
            stored = row["source"] == query.source and row["position"] <= query.before
            if fits and stored and begin <= row["start"] < end:
                found[tuple(row[name] for name in key)] = row
        ordered = sorted(found.values(), key=lambda row: (row["symbol"], row["start"], row["version"]))
        if query.last is not None:
            series = [[row for row in ordered if row["symbol"] == symbol] for symbol in query.symbols]
            ordered = [row for rows in series for row in rows[max(0, len(rows) - query.last) :]]
        return pa.Table.from_pylist(
            [{n: row[n] for n in schema.names} for row in ordered], schema=untimed(schema)
        ).cast(schema)


def untimed(schema: pa.Schema) -> pa.Schema:
    """The schema with integers for times."""
    return pa.schema([field.with_type(pa.int64()) if field.type == TIME else field for field in schema])


def plain(table: pa.Table | None) -> list[Row]:
    """The rows of a table as plain values, times as integers."""
    return table.cast(untimed(table.schema)).to_pylist() if table is not None else []


def rows_of(batch: BarBatch) -> list[Row]:
    """The bars of a batch as plain values."""
    names = [name for name in BarBatch.__slots__ if name not in ("source", "symbols", "symbol")]
    columns = [getattr(batch, name).tolist() for name in names]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    for row, code in zip(rows, batch.symbol.tolist(), strict=True):
        row |= {"symbol": batch.symbols[code], "source": batch.source, "interval": interval_text(row["interval"])}
        row["state"] = State(row["state"]).name.lower()
    return rows


def cut(records: Iterable[Record], random: Any) -> list[list[Record]]:
    """The same records cut anew: rows into smaller records, records into calls."""
    pieces: list[Record] = []
    for record in records:
        first = record.first
        while (record.ticks or record.bars) and record.end - first > 1 and random.random() < 0.8:
            end = random.randint(first + 1, record.end)
            pieces.append(between(record, first, end))
            first = end
        if first < record.end:
            pieces.append(between(record, first, record.end))
    calls: list[list[Record]] = []
    for piece in pieces:
        if calls and random.random() < 0.6:
            calls[-1].append(piece)
        else:
            calls.append([piece])
    return calls


def between(record: Record, first: int, end: int) -> Record:
    """The messages of a record with positions from first to before end."""
    if (first, end) == (record.first, record.end):
        return record
    ticks, bars, received = record.ticks, record.bars, record.received_at
    marks = _refused_between(record, first, end)
    if bars is not None:
        bars = bars.take((bars.first_raw >= first) & (bars.first_raw < end))
        received = int(bars.known_at[-1]) if len(bars) else received
    if ticks is not None:
        ticks = ticks.take((ticks.raw >= first) & (ticks.raw < end))
        received = int(ticks.received_at[-1]) if len(ticks) else received
    return replace(record, first=first, count=end - first, ticks=ticks, bars=bars, received_at=received, marks=marks)


def _refused_between(record: Record, first: int, end: int) -> tuple[Mark, ...]:
    """The marks of refused ticks in a part of a record, with their places there."""
    places = [record.first + int(mark.detail["message"]) for mark in record.marks]
    before = sum(place < first for place in places)
    before += 0 if record.ticks is None else int((record.ticks.raw < first).sum())
    moved = []
    for mark, place in zip(record.marks, places, strict=True):
        if first <= place < end:
            here = {"message": str(place - first), "row": str(int(mark.detail["row"]) - before)}
            moved.append(replace(mark, detail={**mark.detail, **here}))
    return tuple(moved)


def truth(
    records: Iterable[Record], ids: bool, interval: int = MINUTE, flags: dict[str, int] | None = None
) -> dict[tuple[str, int], Row]:
    """What a plain loop over all ticks of all records says of every window."""
    seen: set[tuple[str, int]] = set()
    windows: dict[tuple[str, int], list[Any]] = {}
    for batch in (record.ticks for record in records if record.ticks is not None):
        for i in range(len(batch)):
            symbol, t = batch.symbols[batch.symbol[i]], int(batch.event_time[i])
            first, last = int(batch.first_id[i]), int(batch.last_id[i])
            own = {(symbol, id_) for id_ in range(first, last + 1)} if ids and last >= 0 else set()
            if own & seen:
                continue
            seen |= own
            key = symbol, (t - t % interval - T0) // SECOND
            bits = (flags or {}).get(batch.conditions[batch.condition[i]], 0)
            windows.setdefault(key, []).append((t, first, last, float(batch.price[i]), float(batch.size[i]), bits))
    bars = {key: bar_reference(ticks) for key, ticks in windows.items()}
    return {key: bar for key, bar in bars.items() if "open" in bar}


def same(got: Row, expected: Row) -> bool:
    """Whether a bar has exactly the expected values."""
    return all(got[name] == value or (math.isnan(value) and math.isnan(got[name])) for name, value in expected.items())
