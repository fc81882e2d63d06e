"""What is known of each stretch of time: live, quiet, blind, delayed or backfilled, for every series of a lane."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tickhouse.core.batches import I32, I64, U8
from tickhouse.core.kernels import stretches
from tickhouse.core.kernels.stretches import RUN
from tickhouse.core.model import COVERAGE, TIME, Cover
from tickhouse.process.growth import longer, room

COVERS = (Cover.LIVE, Cover.QUIET, Cover.BLIND, Cover.DELAYED, Cover.BACKFILLED)
LIVE, QUIET, BLIND, DELAYED, BACKFILLED = range(5)
NOTHING = 255
Lost = Callable[[I64, I64, I64], I64]
"""For each (row, start, end) how many trades are known to be lost."""

Blind = Callable[[I64, I64, I64], NDArray[np.bool_]]
"""For each (row, start, end) whether nothing was heard in a part of it and no id says what happened."""

Say = Callable[[I64, I64, I64, U8, I64], None]
"""Takes (row, start, end, state, missing) of stretches that changed."""

Run = tuple[int, int, int, int, int]
MOST_BLIND = 1000
"""So many blind stretches of a series are watched for what fills them."""


class Coverage:
    """The newest stretch of each series, the one before it, and the blind ones that may still be filled.

    A change of an older stretch than these two is left out: coverage is then as it was first seen.
    """

    def __init__(self, lost: Lost, blind: Blind, say: Say) -> None:
        self.lost, self.is_blind, self.say = lost, blind, say
        self.now, self.past = np.zeros(0, RUN), np.zeros(0, RUN)
        self.blind: dict[int, list[Run]] = {}

    def grow(self, rows: int) -> None:
        """Make room for `rows` series."""
        if rows > len(self.now):
            had, more = len(self.now), room(len(self.now), rows)
            self.now, self.past = longer(self.now, more), longer(self.past, more)
            self.now["state"][had:] = self.past["state"][had:] = NOTHING

    def paint(self, rows: I64, start: I64, end: I64, state: U8, traded: NDArray[np.bool_]) -> None:
        """Say of some series, each once, that [start, end) has a state; it follows on what was painted before."""
        before = self.now["state"][rows] == BLIND
        if before.any():
            for row in rows[before & ((state != BLIND) | (self.now["end"][rows] != start))].tolist():
                self._watch(row, self.now[row].tolist())
        start, missing = start.copy(), np.zeros(len(rows), np.int64)
        stretches.paint(self.now, self.past, rows, start, end, state, traded)
        blind = state == BLIND
        if blind.any():
            missing[blind] = self.lost(rows[blind], start[blind], end[blind])
            self.now["missing"][rows[blind]] = missing[blind]
        self.say(rows, start, end, state, missing)

    def repaint(self, row: int, start: int, end: int, state: int) -> None:
        """Say that a part of the last two stretches of a series has another state: BLIND, or LIVE where it was quiet."""
        runs = [self.past[row].tolist(), self.now[row].tolist()]
        pieces: list[Run] = []
        for run in runs:
            pieces += self._cut(row, run, start, end, state)
        kept = [piece for piece in pieces if piece[3] != NOTHING]
        if pieces == runs or not kept:
            return
        for piece in kept[:-1]:
            if piece[3] == BLIND:
                self._watch(row, piece)
        self.now[row] = kept[-1]
        if len(kept) > 1:
            self.past[row] = kept[-2]
        for piece in kept:
            self._say(row, piece)

    def recheck(self, row: int, since: int, until: int) -> None:
        """Look again at the blind stretches of a series between two times: more is known of what is missing."""
        run: Run = self.now[row].tolist()
        if run[3] == BLIND and run[0] < until and run[1] > since:
            self.now[row] = self._judged(row, run)
        kept = []
        for old in self.blind.get(row, ()):
            again = self._judged(row, old) if old[0] < until and old[1] > since else old
            if again[3] == BLIND:
                kept.append(again)
        self.blind[row] = kept

    def _cut(self, row: int, run: Run, start: int, end: int, state: int) -> list[Run]:
        """A run without the part in [start, end), and that part in its new state."""
        a, b = max(run[0], start), min(run[1], end)
        keeps = run[3] in (NOTHING, BLIND, state) or (state == LIVE and run[3] != QUIET)
        if keeps or a >= b:
            return [run]
        missing = self._missing(row, a, b) if state == BLIND else 0
        middle = (a, b, missing, state, 1 if state == LIVE else run[4])
        parts = ((run[0], a, *run[2:]), middle, (b, run[1], *run[2:]))
        return [part for part in parts if part[0] < part[1]]

    def _judged(self, row: int, run: Run) -> Run:
        start, end, before, state, traded = run
        missing = self._missing(row, start, end)
        if not missing and not self.is_blind(*_one(row, start, end))[0]:
            state = BACKFILLED if before else (LIVE if traded else QUIET)
        again = (start, end, missing, state, traded)
        if again != run:
            self._say(row, again)
        return again

    def _missing(self, row: int, start: int, end: int) -> int:
        return int(self.lost(*_one(row, start, end))[0])

    def _watch(self, row: int, run: Run) -> None:
        runs = self.blind.setdefault(row, [])
        runs[:] = [*(old for old in runs if old[0] != run[0]), run][-MOST_BLIND:]

    def _say(self, row: int, run: Run) -> None:
        start, end, missing, state, _ = run
        self.say(*_one(row, start, end), np.array([state], np.uint8), np.array([missing], np.int64))

    def snapshot(self, rows: int) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """All state as arrays, and what is not an array."""
        return {"now": self.now[:rows], "past": self.past[:rows]}, {"blind": self.blind}

    def restore(self, arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        self.grow(len(arrays["now"]))
        self.now[: len(arrays["now"])], self.past[: len(arrays["past"])] = arrays["now"], arrays["past"]
        self.blind = {int(row): [tuple(run) for run in runs] for row, runs in values["blind"].items()}


def _one(row: int, start: int, end: int) -> tuple[I64, I64, I64]:
    return np.array([row], np.int64), np.array([start], np.int64), np.array([end], np.int64)


class Stretches:
    """The stretches of all lanes of a source on their way out, in the order in which they were said."""

    def __init__(self) -> None:
        self.channels: dict[str, int] = {}
        self._out: list[tuple[NDArray[Any], ...]] = []

    def channel(self, name: str) -> int:
        """The number of a channel."""
        return self.channels.setdefault(name, len(self.channels))

    def say(self, code: I32, channel: I32, *stretch: NDArray[Any]) -> None:
        """Note (start, end, state, missing) of symbols on channels."""
        self._out.append((code, channel, *stretch))

    def take(self, symbols: Sequence[str], source: str) -> pa.Table | None:
        """What was said since the last call, the newest of each key, as rows of `model.COVERAGE`; None when nothing was."""
        if not self._out:
            return None
        columns = [np.concatenate(column) for column in zip(*self._out, strict=True)]
        self._out = []
        order = np.lexsort((np.arange(len(columns[0])), columns[2], columns[1], columns[0]))
        columns = [column[order] for column in columns]
        differs = np.any([column[1:] != column[:-1] for column in columns[:3]], axis=0)
        code, channel, start, end, state, missing = (column[np.append(differs, True)] for column in columns)
        arrays = [
            pa.repeat(pa.scalar(source), len(code)),
            pa.array(symbols, pa.string()).take(pa.array(code)),
            pa.array(list(self.channels), pa.string()).take(pa.array(channel)),
            pa.array(start).cast(TIME), pa.array(end).cast(TIME),
            pa.array(COVERS, pa.string()).take(pa.array(state)), pa.array(missing),
        ]  # fmt: skip
        return pa.table(arrays, schema=COVERAGE)
