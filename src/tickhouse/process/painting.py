"""Coverage of the windows that a moment closes."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tickhouse.core import batches
from tickhouse.core.batches import I64, U8
from tickhouse.core.kernels.tumbling import NEVER
from tickhouse.process.coverage import BLIND, DELAYED, LIVE, NOTHING, QUIET
from tickhouse.process.evidence import FAR
from tickhouse.process.lane import Lane
from tickhouse.process.source import Source


def paint(lane: Lane, source: Source, since: int, due: NDArray[np.int32]) -> None:
    """Say how the time from `since` to the lane's closed time was, where `due` are the slots that closed."""
    windows, base = lane.windows, lane.rules.base_us
    shortest = due[due % windows.per_row < windows.plan[0, 2]]
    flat = windows.slots.reshape(-1)
    starts = np.unique(flat["start"][shortest])
    if not lane.live:
        live = source.lanes.get(batches.LIVE)
        for start in starts.tolist():
            _paint_loaded(lane, live, start, shortest)
        return
    if since == NEVER:
        first = min(starts.min(initial=FAR), lane.edge[: lane.rows].min(initial=FAR))
        since = int(first - first % base)
    for start, end in pieces(lane, starts, since, windows.closed):
        _paint_live(lane, start, end)


def pieces(lane: Lane, starts: I64, since: int, until: int) -> list[tuple[int, int]]:
    """The stretches between two times in which nothing changes but at their ends, in whole windows of the shortest interval."""
    base = lane.rules.base_us
    cuts = {since, until, *starts.tolist(), *(starts + base).tolist()}
    for moment in lane.evidence.edges(since, until):
        cuts |= {moment - moment % base, moment - moment % base + base}
    ordered = sorted(cut for cut in cuts if since <= cut <= until)
    return list(pairwise(ordered))


def _paint_live(lane: Lane, start: int, end: int) -> None:
    """One stretch of every series of a live lane that has begun."""
    n, base = lane.rows, lane.rules.base_us
    _, _, width, _ = lane.windows.plan[0].tolist()
    slots = lane.windows.slots[:n, start // base % width]
    traded = (slots["start"] == start) & (slots["ticks"] > 0) & (slots["state"] > 0)
    edge = lane.edge[:n]
    begun = traded | (lane.coverage.now["state"][:n] != NOTHING) | (edge < end)
    rows = np.flatnonzero(begun)
    if not len(rows):
        return
    starts, ends = np.full(len(rows), start), np.full(len(rows), end)
    fresh = np.flatnonzero(lane.coverage.now["state"][rows] == NOTHING)
    since = lane.since_each(rows[fresh])
    starts[fresh] = np.where((since > start) & (since < end), since, start)
    state = _states(lane, rows, starts, ends, traded[rows])
    late = (state == LIVE) & (2 * slots["delayed"][rows] > slots["ticks"][rows])
    lane.coverage.paint(rows, starts, ends, np.where(late, DELAYED, state).astype(np.uint8), traded[rows])


def _states(lane: Lane, rows: I64, start: I64, end: I64, traded: NDArray[np.bool_]) -> U8:
    """LIVE, QUIET or BLIND for a stretch of each of some series."""
    state = np.where(traded, LIVE, QUIET)
    if lane.evidence.lines:
        unproven = lane.is_blind(rows, start, end)
        lane.await_proof(rows[unproven], start[unproven])
        state[unproven] = BLIND
    if lane.dense is not None:
        state[lane.lost(rows, start, end) > 0] = BLIND
    return state.astype(np.uint8)


def _paint_loaded(lane: Lane, live: Lane | None, start: int, due: NDArray[np.int32]) -> None:
    """One window of the series of a load that traded in it, and the quiet time before it."""
    base, slots = lane.rules.base_us, lane.windows.slots.reshape(-1)
    rows = (due[slots["start"][due] == start] // lane.windows.per_row).astype(np.int64)
    if live is not None:
        rows = np.array(
            [row for row in rows.tolist() if not _watched(live, int(lane.code[row]), start + base)], np.int64
        )
    since = lane.coverage.now["end"][rows]
    quiet = (since < start) & (lane.coverage.now["state"][rows] != NOTHING)
    starts, traded = np.full(len(rows), start), np.ones(len(rows), np.bool_)
    if quiet.any():
        _paint(lane, rows[quiet], since[quiet], starts[quiet], ~traded[quiet])
    if len(rows):
        _paint(lane, rows, starts, starts + base, traded)


def repaint_blind(lane: Lane, row: int, since: int, until: int) -> None:
    """Say of the closed windows between two times in which a series was blind, as is known now, that it was."""
    if not lane.evidence.lines or since >= until:
        return
    rows, base = np.array([row]), lane.rules.base_us
    for start, end in pieces(lane, rows[:0], since - since % base, until - until % base):
        starts = np.array([start])
        if lane.is_blind(rows, starts, np.array([end])).any():
            lane.await_proof(rows, starts)
            lane.coverage.repaint(row, start, end, BLIND)


def _paint(lane: Lane, rows: I64, start: I64, end: I64, traded: NDArray[np.bool_]) -> None:
    lane.coverage.paint(rows, start, end, _states(lane, rows, start, end, traded), traded)


def _watched(live: Lane, code: int, end: int) -> bool:
    """Whether the live lane watches a symbol at a time, and so says itself how it was."""
    return code < len(live.row_of) and live.row_of[code] >= 0 and end > live.since(int(live.row_of[code]))
