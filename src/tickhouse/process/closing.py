"""What comes out of a lane at one moment: bars that closed, bars that are corrected, losses, coverage.

A moment is a place in the order of arrival: the tick that takes the watermark over the end of a window (or over a
whole second, when corrections wait), or a mark. Everything here depends on the ticks before it and on nothing else, so
the way records are cut changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import F64, I64
from tickhouse.core.kernels import bars as kernels
from tickhouse.core.kernels.bars import BARS, END, INTERVAL, ROW, START
from tickhouse.core.kernels.tumbling import CLOSED, STALE
from tickhouse.core.model import Hole
from tickhouse.process.again import Again
from tickhouse.process.coverage import BLIND, LIVE, QUIET
from tickhouse.process.emitted import NO_BARS, Emitted, Key, Run, succeeding
from tickhouse.process.lane import Lane
from tickhouse.process.painting import paint, repaint_blind
from tickhouse.process.source import Source

HELD = 50_000
"""So many bars older than their series are analysed together."""


@dataclass
class Moment:
    """One moment of a lane, which came at `now` (us).

    Stored bars count up to the position `past`, ticks below the position `before`.
    """

    source: Source
    lane: Lane
    emitted: Emitted
    again: Again
    past: int
    before: int
    now: int
    holes: list[Hole] = field(default_factory=list)

    def cross(self, watermark: int | None, complete: bool = False) -> None:
        """Let the lane's watermark come to a time (None: where it is), and everything that waits come out."""
        windows, lane = self.lane.windows, self.lane
        since = windows.closed
        if complete:
            windows.close_all()
        crossed = complete or (watermark is not None and windows.move(watermark))
        if crossed:
            lane.freeze()
            self._settle(since)
            if lane.unique is not None and not complete:
                lane.unique.turn(windows.closed, lane.rules.horizon_us)
        rows, again = self._due_again()
        dirty = windows.take_dirtied()
        changed = self._changed_slots(rows)
        due = windows.take_due() if crossed else dirty[:0]
        bars = [self._from_slots(np.concatenate((due, dirty)), changed, again)]
        bars += self._made_again(again)
        bars += self._adjusted(rows, bars)
        bars = [part for part in bars if len(part)]
        if bars:
            self.emit(np.concatenate(bars) if len(bars) > 1 else bars[0])
        if crossed:
            paint(lane, self.source, since, due)
        self._recover(rows, dirty)
        if not complete:
            windows.set_due()

    def emit(self, bars: NDArray[Any]) -> None:
        """Make bars of ticks public. The analysis of those of a load that are older than their series waits, in `Lane.held`."""
        group = self.emitted.add(bars)
        newer = self.source.newer(group)
        if newer or self.lane.live:
            self.emitted.analyse(group, Run.NEWER if newer else Run.LATE)
        else:
            self.emitted.analyse(group, Run.HELD)
            self.lane.held.append(group)
            self.release(HELD)

    def release(self, least: int) -> None:
        """Hand on held bars to the analysis, in portions of `HELD`, as long as there are `least`."""
        held = self.lane.held
        while sum(map(len, held)) >= max(least, 1):
            rows = np.concatenate(held)
            self.emitted.analyse(rows[:HELD], Run.LATE)
            held[:] = [rows[HELD:]] if len(rows) > HELD else []

    def _settle(self, since: int) -> None:
        """Report ids that are now known to be lost; those older than what was closed before correct it."""
        lane = self.lane
        if lane.dense is None:
            return
        base, closed = lane.rules.base_us, lane.windows.closed
        for row, first, last, begin, end in lane.dense.settle(lane.ids[: lane.rows], closed):
            if lane.live:
                symbol = self.source.symbols[int(lane.code[row])]
                self.holes.append(Hole(self.source.name, symbol, first, last, begin, end))
            if begin < since:
                lane.changed.append((row, begin, since))
                lane.coverage.repaint(row, begin - begin % base, since, BLIND)

    def _due_again(self) -> tuple[list[tuple[int, int, int]], set[tuple[int, int, int]]]:
        """The stretches (row, from, to) whose completeness changed, and the windows (row, interval, start) to make again."""
        lane, plan = self.lane, self.lane.windows.plan
        rows, lane.changed = lane.changed, []
        if lane.dense is not None:
            rows = rows + lane.dense.take_changes(lane.ids[: lane.rows])
        due = {window for window in lane.pending if window[2] + int(plan[window[1], 0]) <= plan[window[1], 3]}
        for window in due:
            del lane.pending[window]
            lane.windows.skip(*window)
        return sorted(rows), due

    def _changed_slots(self, stretches: Sequence[tuple[int, int, int]]) -> NDArray[np.int32]:
        """The closed slots in stretches whose completeness changed."""
        windows, names = self.lane.windows, []
        for row, since, until in stretches:
            slots = windows.slots[row]
            ends = slots["start"] + np.repeat(windows.plan[:, 0], windows.plan[:, 2])
            inside = (slots["state"] == CLOSED) & (slots["version"] >= 0) & (slots["start"] <= until) & (ends > since)
            names.append(np.flatnonzero(inside) + row * windows.per_row)
        return np.unique(np.concatenate(names)).astype(np.int32) if names else np.zeros(0, np.int32)

    def _from_slots(
        self, due: NDArray[np.int32], checked: NDArray[np.int32], again: set[tuple[int, int, int]]
    ) -> NDArray[Any]:
        """The bars of slots that closed or changed (`due`) and of those whose completeness did (`checked`).

        Windows that someone else may have made a bar of are added to `again` instead.
        """
        lane, windows = self.lane, self.lane.windows
        names = np.union1d(due, checked).astype(np.int32) if len(checked) else due
        found, fresh = np.empty((5, len(names)), np.int64), np.empty(len(names), np.bool_)
        n = kernels.pick(windows.slots, windows.plan, names, found, chosen := np.empty_like(names), fresh)
        if not n:
            return NO_BARS
        names, found = chosen[:n], found[:, :n]
        elsewhere = self._elsewhere(found, fresh[:n])
        if elsewhere.any():
            again |= set(zip(*found[[ROW, INTERVAL, START]][:, elsewhere].tolist(), strict=True))
            names, found = names[~elsewhere], found[:, ~elsewhere]
        told = ~np.isin(names, due) if len(checked) else np.zeros(len(names), np.bool_)
        code, length = lane.code[found[ROW]], found[END] - found[START]
        bars = np.zeros(len(names), BARS)
        n = kernels.publish(windows.slots, names, code, length, self._completeness(found), told, self.now, bars)
        return bars[:n]

    def _completeness(self, found: I64) -> F64:
        """How complete windows are, as far as is known now."""
        lane, (row, _, start, end, trades) = self.lane, found
        watched, unproven = lane.watched(row, start, end)
        if unproven.any():
            lane.await_proof(row[unproven], start[unproven])
        completeness: F64 = trades / (trades + lane.lacking(row, start, end)) * watched
        return completeness

    def _elsewhere(self, found: I64, fresh: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which windows that come out for the first time have a bar already, from another lane or an earlier run."""
        lane, (row, _, start, end, _) = self.lane, found
        may = fresh & self.source.others(lane, lane.code[row], start, end) if fresh.any() else fresh
        if not may.any():
            return may
        keys = list(zip(*(column[may].tolist() for column in (lane.code[row], end - start, start)), strict=True))
        known = self.emitted.newest(keys, self.past)
        may[may] = [key in known for key in keys]
        return may

    def _made_again(self, windows: set[tuple[int, int, int]]) -> list[NDArray[Any]]:
        """Bars of windows made from all ticks of the past, as next versions."""
        lane, lengths, bars = self.lane, self.lane.rules.intervals_us, []
        if not windows:
            return []
        by_code: dict[int, list[tuple[int, int]]] = {}
        for row, k, start in sorted(windows):
            by_code.setdefault(int(lane.code[row]), []).append((k, start))
        old = self.emitted.newest(
            [(code, lengths[k], start) for code, wanted in by_code.items() for k, start in wanted], self.past
        )
        for code, wanted in by_code.items():
            for bar in self.again.bars(self.source, code, wanted, self.before):
                interval, start = int(bar["interval"]), int(bar["start"])
                bar["completeness"] = self.source.completeness(code, start, start + interval, int(bar["trades"]))
                self.source.spoil(code, lengths.index(interval), start)
                after = succeeding(bar, old.get((code, interval, start)))
                if after is not None:
                    bars.append(np.array([after], bar.dtype))
        return bars

    def _adjusted(self, stretches: Sequence[tuple[int, int, int]], made: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Next versions of stored bars of which only the completeness changed."""
        if not stretches:
            return []
        done: set[Key] = {key for bars in made for key in bars[["code", "interval", "start"]].tolist()}
        bars = []
        for row, since, until in stretches:
            for k, length in enumerate(self.lane.rules.intervals_us):
                if self._kept(row, k, since, until):
                    continue
                code, closed = int(self.lane.code[row]), int(self.lane.windows.plan[k, 3])
                for key, old in self.emitted.between(
                    code, length, since - since % length, until + 1, self.past
                ).items():
                    slot = self.lane.windows.place(row, k, key[2])
                    ours = slot["state"] == CLOSED and slot["start"] == key[2]
                    if key in done or ours or key[2] + length > closed:
                        continue
                    done.add(key)
                    bars += self._readjusted(key, old, k)
        return bars

    def _readjusted(self, key: Key, old: Any, k: int) -> list[NDArray[Any]]:
        code, length, start = key
        bar = np.array([old], old.dtype)
        bar["completeness"] = self.source.completeness(code, start, start + length, int(old["trades"]))
        bar["known_at"] = max(int(old["known_at"]), self.now)
        if succeeding(bar[0], old) is None:
            return []
        self.source.spoil(code, k, start)
        return [bar]

    def _kept(self, row: int, k: int, since: int, until: int) -> bool:
        """Whether the slots hold every window of an interval in a stretch."""
        windows = self.lane.windows
        length, first, width, _ = windows.plan[k].tolist()
        slots = windows.slots[row, first : first + width]
        near = (slots["start"] <= until) & (slots["start"] + length > since)
        stale = bool((near & (slots["state"] == STALE)).any())
        newest = int(slots["start"].max())
        return since >= max(newest - (width - 1) * length, self.lane.memory) and not stale and not self._shared(row)

    def _shared(self, row: int) -> bool:
        code = int(self.lane.code[row])
        others = any(lane is not self.lane and lane.has(code) for lane in self.source.lanes.values())
        return others or code in self.lane.bar_codes or any(code in codes for *_, codes in self.source.past)

    def _recover(self, stretches: Sequence[tuple[int, int, int]], dirty: NDArray[np.int32]) -> None:
        """Correct coverage where more is known of losses, or a late trade came into a quiet window."""
        coverage, windows, base = self.lane.coverage, self.lane.windows, self.lane.rules.base_us
        for row, since, until in stretches:
            coverage.recheck(row, since, until)
            repaint_blind(self.lane, row, since, min(until, windows.closed))
        flat = windows.slots.reshape(-1)
        for name in dirty[dirty % windows.per_row < windows.plan[0, 2]].tolist():
            row, start = name // windows.per_row, int(flat["start"][name])
            if coverage.now["state"][row] == QUIET or coverage.past["state"][row] == QUIET:
                coverage.repaint(row, start, start + base, LIVE)
