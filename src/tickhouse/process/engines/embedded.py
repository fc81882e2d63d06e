"""The embedded engine: compiled, in this process, and a pure function of the journal.

**One tick.** A batch of ticks is cut into *segments*. Within a segment no window closes and no correction comes out, so
its ticks only run through three kernels: `advance` moves the watermark tick by tick, in order of arrival, and stops where
it would cross the end of a window; the identity kernel says which ticks are repeats; `fold` puts the others into the slot
of their window, one for each interval. The tick at which the watermark crosses begins the next segment, and between
the two lies a *moment*.

**One moment** (`process/closing.py`). What comes out comes out here: losses of ids become holes, windows whose end the
watermark has passed become bars, corrections of older bars get their next version, coverage gets its next stretch.
A moment is a place in the order of arrival, and what it makes depends on the ticks before that place only. So the way
records are cut into calls, and ticks into records, changes nothing: this is what makes live, replay and restart equal.
Moments come from ticks (the end of a window; the next whole second, when a late tick was seen), and from marks.

**Lanes.** Live ticks, and each load, have a watermark and windows of their own (`process/lane.py`); what refills holes goes
into the live lane and moves nothing. The ids that a symbol has shown are known over all lanes (`process/source.py`).
When a window comes out that another lane, an earlier run or a file may have made a bar of, the stores are asked for it;
if there is one, the bar is made again from the ticks of all lanes, as its next version (`process/again.py`). So is
a bar whose slot is gone. The past is read as it was at the start of the call for bars, and up to the tick of the
moment for ticks, so a second run over the same records sees the same past.

**Completeness** is the product of what ids prove (trades there / trades there should be) and of the part of the window that was
watched; blind time after the last id counts until the next id proves that nothing was lost.

**Sums** are double-double, so bars do not depend on the order of arrival, bit for bit.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tickhouse.core.batches import I32, LIVE, REFILL, U8, BarBatch, Output, Record, TickBatch
from tickhouse.core.errors import SettingsError
from tickhouse.core.kernels.bars import BARS
from tickhouse.core.kernels.identity import ELSEWHERE, NEW
from tickhouse.core.kernels.tumbling import NEVER, TOP
from tickhouse.core.marks import HEARD, LINK, Event, Mark
from tickhouse.core.model import SNAPSHOT, Hole
from tickhouse.process import History, given, state, turns
from tickhouse.process.again import Again
from tickhouse.process.closing import Moment
from tickhouse.process.emitted import Emitted, Run
from tickhouse.process.evidence import FAR
from tickhouse.process.lane import Lane
from tickhouse.process.rules import Rules
from tickhouse.process.source import Source
from tickhouse.process.windows import Columns


class Analyses(Protocol):
    """What makes indicators and anomalies of closed bars."""

    def closed(self, bars: BarBatch, before: int) -> tuple[pa.Table | None, pa.Table | None]:
        """Indicator and anomaly rows that follow from closed or corrected bars."""

    def known(self, bars: BarBatch, before: int) -> None:
        """Hear of bars that are public and come to `closed` later: a correction until then sees them, stored or not."""

    def up_to(self, before: int) -> None:
        """Let go of rows: by the next call everything is stored that was said of the journal up to the position `before`."""

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """All state as arrays."""

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Go on from a snapshot."""


class Embedded:
    """The `Engine` of one process. Not for two threads at once."""

    def __init__(self, rules: Rules, analysis: Analyses | None, history: History) -> None:
        self.rules, self.position = rules, 0
        self.tells_ticks = False
        """Whether outputs have the ticks that are no repeats."""
        self._analysis, self._history = analysis, history
        self._again = Again(rules, history)
        self._sources: dict[str, Source] = {}

    def process(self, records: Sequence[Record]) -> Output:
        """Take records in and say what follows. The caller stores each output before it calls again."""
        call = _Call(self.position)
        for record in records:
            if record.end > self.position:
                self._take(record, call)
                self.position = record.end
        output = self._output(call)
        if self._analysis is not None:
            self._analysis.up_to(self.position)
        return output

    def open_holes(self) -> tuple[Hole, ...]:
        """The losses of the live lanes that nothing has filled yet."""
        holes = []
        for source in self._sources.values():
            lane = source.lanes.get(LIVE)
            if lane is not None and lane.dense is not None:
                for row, first, last, begin, end in lane.dense.losses(lane.ids[: lane.rows]):
                    holes.append(Hole(source.name, source.symbols[int(lane.code[row])], first, last, begin, end))
        return tuple(holes)

    def watermarks(self) -> Mapping[str, int]:
        """Up to which event time the live lane of each source is complete, once it has begun."""
        marks = (
            (name, source.lanes[LIVE].windows.watermark)
            for name, source in self._sources.items()
            if LIVE in source.lanes
        )
        return {name: mark for name, mark in marks if mark not in (NEVER, FAR)}

    def snapshot(self) -> bytes:
        """All state, with the position."""
        names = tuple(self._sources)
        arrays: dict[str, NDArray[Any]] = {}
        values: dict[str, Any] = {"position": self.position, "rules": self.rules.fingerprint(names), "sources": {}}
        for number, (name, source) in enumerate(self._sources.items()):
            made, values["sources"][name] = source.snapshot()
            arrays |= {f"source.{number}.{key}": array for key, array in made.items()}
        if self._analysis is not None:
            arrays |= {f"analysis.{key}": array for key, array in self._analysis.snapshot().items()}
        return state.packed(arrays, values)

    def restore(self, state_: bytes) -> None:
        """Go on from a snapshot. Raises `SettingsError` when it was made with other rules."""
        arrays, values = state.unpacked(state_)
        rules = self.rules.fingerprint(tuple(values["sources"]))
        for key, given_ in rules.items():
            if values["rules"].get(key) != given_:
                raise SettingsError(
                    f"the stored state was made with {key} = {values['rules'].get(key)}, the settings say {given_}; "
                    f"put the setting back, or {state.ANEW}"
                )
        self._sources = {}
        for number, (name, value) in enumerate(values["sources"].items()):
            self._source(name).restore(state.part(arrays, f"source.{number}."), value)
        if self._analysis is not None:
            self._analysis.restore(state.part(arrays, "analysis."))
        self.position = values["position"]

    def _source(self, name: str) -> Source:
        if name not in self._sources:
            self._sources[name] = Source(name, self.rules)
        return self._sources[name]

    def _take(self, record: Record, call: "_Call") -> None:
        for turn in turns.of(record):
            if turn.ticks:
                self._ticks(turn.ticks, turn.new, record.channel, call)
            if turn.bars:
                source = self._source(turn.bars.source)
                moment = self._moment(call, source, source.lane(record.lane), record.end, record.received_at)
                given.take(moment, turn.bars, record.channel)
        for number, mark in enumerate(record.marks if record.channel == LINK else ()):
            last = number == len(record.marks) - 1
            self._mark(record, mark, record.received_at if last else mark.at, call)

    def _moment(self, call: "_Call", source: Source, lane: Lane, before: int, now: int) -> Moment:
        emitted = call.emitted.get(source.name)
        if emitted is None:
            emitted = call.emitted[source.name] = Emitted(source, self._history)
        return Moment(source, lane, emitted, self._again, call.past, before, now, call.holes)

    def _ticks(self, batch: TickBatch, new: U8 | None, channel: str, call: "_Call") -> None:
        """Segments and the moments between them."""
        source, refill = self._source(batch.source), batch.lane == REFILL
        lane = source.lane(batch.lane)
        columns = Columns.of(batch, _rows(source, lane, batch, (channel, new)), source.meaning(batch.conditions), new)
        ahead = self.rules.max_ahead_us if lane.live and not refill else -1
        how, windows, begin, n = (ahead, refill), lane.windows, 0, len(batch)
        snapshot = _snapshots(batch) if lane.live and not refill else None
        while begin < n:
            stop, odd = (n, n) if refill else windows.advance(columns, begin, ahead, lane.known)
            if stop > begin:
                lane.judge(columns, begin, stop)
                missed = windows.fold(columns, begin, stop, how, odd)
                lane.pending.update((window, None) for window in map(tuple, missed.tolist()))
                if snapshot is not None:
                    lane.follow(columns, begin, stop, snapshot)
            if stop < n:
                time, position = int(columns.event_time[stop]), int(columns.raw[stop]) + 1
                windows.clock[TOP] = time
                moment = self._moment(call, source, lane, position, int(columns.received_at[stop]))
                moment.cross(time - self.rules.lateness_us)
            begin = stop
        if self.tells_ticks:
            call.ticks.append(batch.take(columns.new == NEW))
        if refill:
            windows.hurry()
        call.touched[source.name, lane.name] = lane

    def _mark(self, record: Record, mark: Mark, now: int, call: "_Call") -> None:
        """Evidence of a lane: it begins, it ends, its lines hear or do not, time goes on."""
        source = self._source(record.source)
        lane = source.lane(record.lane)
        moment = self._moment(call, source, lane, record.end, now)
        if mark.event in (Event.BEGIN, Event.SWITCHED):
            return
        if mark.event is Event.END:
            moment.cross(None, complete=not lane.live)
            if not lane.live:
                given.finish(moment)
                moment.release(1)
                call.touched.pop((source.name, lane.name), None)
                source.end(lane)
        elif record.lane == LIVE:
            self._evidence(source, lane, mark)
            watermark = max(mark.at, now) - self.rules.lateness_us - self.rules.grace_us
            moment.cross(watermark)
            given.tell(moment, watermark)

    def _evidence(self, source: Source, lane: Lane, mark: Mark) -> None:
        windows, began = lane.windows, lane.rows
        if mark.event is Event.CONNECTED and lane.connected == FAR and windows.watermark == NEVER:
            lane.connected = mark.at
        blind_from = lane.evidence.take(mark)
        number, hears = lane.evidence.number(mark.line), mark.event in HEARD
        for symbol in mark.symbols:
            row = lane.row(source.code(symbol), mark.channel)
            moved = lane.move(row, number, mark.at)
            if row >= began:
                lane.edge[row] = mark.at
            if moved and not hears and mark.at < min(windows.closed, blind_from):
                lane.changed.append((row, mark.at, windows.closed))
        if blind_from < windows.closed:
            mine = lane.line[: lane.rows] == number if mark.line else np.ones(lane.rows, np.bool_)
            lane.changed += [(row, blind_from, windows.closed) for row in np.flatnonzero(mine).tolist()]

    def _output(self, call: "_Call") -> Output:
        bars, indicators, anomalies = [], [], []
        for emitted in call.emitted.values():
            batch = emitted.batch(emitted.groups)
            if batch is not None:
                bars.append(batch)
            if self._analysis is not None:
                for run, groups in emitted.runs:
                    part = emitted.batch(groups)
                    if part is not None and run is Run.HELD:
                        self._analysis.known(part, call.past)
                    elif part is not None:
                        said, odd = self._analysis.closed(part, call.past)
                        indicators.append(said)
                        anomalies.append(odd)
        coverage = [source.stretches.take(source.symbols, source.name) for source in self._sources.values()]
        ledger = {key: count for source in self._sources.values() for key, count in source.ledger().items()}
        return Output(
            self.position, tuple(bars), tuple(self._forming(call)), _joined(indicators), _joined(anomalies),
            None, _joined(coverage), tuple(call.holes), ledger, ticks=tuple(call.ticks),
        )  # fmt: skip

    def _forming(self, call: "_Call") -> Iterable[BarBatch]:
        """The open windows of live lanes that changed in a call, and given bars that are not over."""
        for emitted in call.emitted.values():
            batch = emitted.batch([np.array([row], BARS) for row in emitted.forming.values()])
            if batch is not None:
                yield batch
        for (name, _), lane in call.touched.items():
            found = lane.windows.forming(lane.code)
            if found is None or not lane.live:
                continue
            (code, interval, start, trades, first_raw, last_raw, known_at), floats = found
            symbol = code.astype(np.int32)
            complete = np.ones(len(code))
            if lane.dense is not None:
                complete = trades / (trades + lane.lacking(lane.row_of[symbol], start, start + interval))
            open_, high, low, close, volume, vwap = floats
            yield BarBatch(
                name, self._sources[name].symbols, symbol, interval, start, open_, high, low, close, volume, vwap,
                trades, complete, np.zeros(len(code), np.uint8), np.zeros(len(code), np.int32),
                first_raw, last_raw, known_at,
            )  # fmt: skip


class _Call:
    """What one call of `process` gathers. `past` is the position at its start: what is stored of it counts."""

    def __init__(self, past: int) -> None:
        self.past = past
        self.emitted: dict[str, Emitted] = {}
        self.touched: dict[tuple[str, str], Lane] = {}
        self.holes: list[Hole] = []
        self.ticks: list[TickBatch] = []


def _rows(source: Source, lane: Lane, batch: TickBatch, how: tuple[str, U8 | None]) -> I32:
    """The lane's row of each tick; those of another shard have none, and say 0. `how` is the channel, and what each tick is."""
    channel, new = how
    mine = new != ELSEWHERE if new is not None else np.True_
    if np.all(mine):
        return source.rows(lane, batch, channel)
    rows = np.zeros(len(batch), np.int32)
    if mine.any():
        rows[mine] = source.rows(lane, batch.take(mine), channel)
    return rows


def _snapshots(batch: TickBatch) -> NDArray[np.bool_] | None:
    """Which ticks were made of quotes; None where none was."""
    if SNAPSHOT not in batch.conditions:
        return None
    found: NDArray[np.bool_] = batch.condition == list(batch.conditions).index(SNAPSHOT)
    return found


def _joined(tables: Iterable[pa.Table | None]) -> pa.Table | None:
    present = [table for table in tables if table is not None and table.num_rows]
    return pa.concat_tables(present) if present else None
