"""Tumbling windows: ticks folded into one record of state per series and window.

The state of n series is one array of shape (n, slots). Each interval has a few neighbouring slots, used as a ring:
the window that begins at `start` lives in slot `first + (start // interval) % width`, until the window `width` intervals
later takes its place. Slots are named by one integer, row * slots + slot.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tickhouse.core.kernels import kernel
from tickhouse.core.kernels.exact import add
from tickhouse.core.kernels.identity import DENIED, ELSEWHERE, NEW, REPEAT, tells

SLOT = np.dtype(
    [
        ("start", "i8"), ("open", "f8"), ("high", "f8"), ("low", "f8"), ("close", "f8"),
        ("open_time", "i8"), ("open_id", "i8"), ("close_time", "i8"), ("close_id", "i8"),
        ("volume", "f8"), ("volume_low", "f8"), ("value", "f8"), ("value_low", "f8"),
        ("trades", "i8"), ("first_raw", "i8"), ("last_raw", "i8"), ("known_at", "i8"), ("completeness", "f8"),
        ("version", "i4"), ("ticks", "i4"), ("delayed", "i4"),
        ("touched", "u1"), ("state", "u1"), ("priced", "u1"), ("dirty", "u1"),
    ],
    align=True,
)  # fmt: skip
"""One window of one series. `volume` and `value` (price times size) are double-double sums; `version` is the newest that
was made public, -1 for none; `ticks` counts rows and `delayed` those that came later than the allowed lag; `touched` is whether it
is in the list of slots that changed since that was asked for last."""

EMPTY, OPEN, CLOSED, STALE = 0, 1, 2, 3
"""The states of a slot; a stale one is known to differ from the newest version of its bar and is not used any more."""

CLEAN, DIRTY, VOID = 0, 1, 2
"""Whether a closed slot changed since its bar was made public; a void one is still in the list of dirty ones."""

TOP, WATERMARK, DUE, LOW = 0, 1, 2, 3
"""Places in a clock: the newest event time, the watermark, where it stops next, and the oldest event time."""

NEVER = np.iinfo(np.int64).min
NO_PRICE, NO_VOLUME = np.uint8(1), np.uint8(2)
"""Bits of a sale condition."""

SECOND = 1_000_000
ACCEPTED, DUPLICATE, LATE, TOUCHED, OPENED, DIRTIED, MISSED = 0, 1, 2, 3, 4, 5, 6
"""Places in the counts that `fold` keeps."""


@kernel
def advance(
    event_time: Any, received_at: Any, new: Any, first_id: Any, last_id: Any, row: Any, known: Any,
    begin: int, clock: Any, lateness: int, most_ahead: int, closed: int,
) -> Any:  # fmt: skip
    """Move a clock over ticks in order of arrival until the watermark reaches `clock[DUE]`; those that are DENIED do not move it.

    Returns the index of the tick that would take it there (its move is not made), or the number of ticks, and how many before it
    are older than `closed` or newer than their receive time by more than `most_ahead` (which move nothing; -1: no limit).
    A tick that may correct a closed window makes the next whole second due, so that the correction comes out then: one older than
    `closed`, or one whose ids tell something of what is `known` of ids, (ids, gaps, the place there of each row).
    """
    ids, gaps, rows = known
    odd = 0
    for i in range(begin, event_time.size):
        t, mine = event_time[i], new[i] != ELSEWHERE
        late = new[i] == DENIED or (mine and t < closed)
        if mine and not late and rows.size and last_id[i] >= 0:
            late = tells(ids, gaps, rows[row[i]], first_id[i], last_id[i])
        if late:
            clock[DUE] = min(clock[DUE], (clock[WATERMARK] // SECOND + 1) * SECOND)
        if new[i] == DENIED:
            continue
        odd += t < closed
        if most_ahead >= 0 and t > received_at[i] + most_ahead:
            odd += 1
        elif t > clock[TOP]:
            if t - lateness >= clock[DUE]:
                return i, odd
            clock[TOP] = t
            clock[WATERMARK] = max(clock[WATERMARK], t - lateness)
        clock[LOW] = min(clock[LOW], t)
    return event_time.size, odd


@kernel
def put(
    slot: Any, t: int, received: int, price: float, size: float, first: int, last: int, raw: int, flags: int
) -> None:
    """One tick into its window. Open and close go by event time, then trade id, then order of arrival."""
    slot.trades += last - first + 1 if first >= 0 else 1
    slot.ticks += 1
    slot.first_raw = min(slot.first_raw, raw)
    slot.last_raw = max(slot.last_raw, raw)
    slot.known_at = max(slot.known_at, received)
    if np.isnan(price):
        return
    if not np.isnan(size) and not flags & NO_VOLUME:
        slot.volume, slot.volume_low = add(slot.volume, slot.volume_low, size)
        slot.value, slot.value_low = add(slot.value, slot.value_low, price * size)
    if flags & NO_PRICE:
        return
    if slot.priced == 0:
        slot.priced = 1
        slot.open = slot.high = slot.low = slot.close = price
        slot.open_time = slot.close_time = t
        slot.open_id, slot.close_id = first, last
        return
    slot.high = max(slot.high, price)
    slot.low = min(slot.low, price)
    if t < slot.open_time or (t == slot.open_time and first < slot.open_id):
        slot.open, slot.open_time, slot.open_id = price, t, first
    if t > slot.close_time or (t == slot.close_time and last >= slot.close_id):
        slot.close, slot.close_time, slot.close_id = price, t, last


@kernel
def clear(slot: Any, start: int, state: int) -> None:
    """Make a slot the empty window that begins at `start`."""
    slot.start = start
    slot.volume = slot.volume_low = slot.value = slot.value_low = 0.0
    slot.trades = slot.ticks = slot.delayed = slot.priced = 0
    slot.dirty = CLEAN if slot.dirty == CLEAN else VOID
    slot.first_raw, slot.last_raw, slot.known_at = np.iinfo(np.int64).max, -1, NEVER
    slot.completeness = 0.0
    slot.version = -1
    slot.state = state


@kernel
def miss(missed: Any, counts: Any, row: int, k: int, start: int) -> None:
    """Note a window that must be computed again."""
    n = counts[MISSED]
    if n == len(missed):
        raise IndexError("more windows are missed than there is room for")
    missed[n, 0], missed[n, 1], missed[n, 2] = row, k, start
    counts[MISSED] = n + 1


@kernel
def fold(
    slots: Any, plan: Any, row: Any, new: Any, event_time: Any, received_at: Any, price: Any, size: Any,
    first_id: Any, last_id: Any, raw: Any, condition: Any, meaning: Any, begin: int, end: int,
    most_ahead: int, lag: int, accepts_late: bool,
    touched: Any, opened: Any, dirtied: Any, missed: Any, counts: Any,
) -> None:  # fmt: skip
    """Fold the ticks begin to end that are `new` into the windows of every interval; the watermark stands still meanwhile.

    `plan` has a row for each interval, the shortest first: its length, first slot, number of slots, and the time up to which its
    windows are closed. `touched`, `opened` and `dirtied` are filled with slots; `missed` with (row, interval, start) of windows
    that must be computed again from the past, because their slot was given away or is stale, or the tick is ahead of its time.
    `counts` holds how full these lists are, and the totals of ticks.
    """
    per_row = slots.shape[1]
    for i in range(begin, end):
        if new[i] != NEW:
            counts[DUPLICATE] += new[i] == REPEAT
            continue
        t, r = event_time[i], row[i]
        flags = meaning[condition[i]]
        ahead = most_ahead >= 0 and t > received_at[i] + most_ahead
        late = t < plan[0, 3] and not accepts_late
        counts[LATE if late else ACCEPTED] += 1
        for k in range(plan.shape[0]):
            length, closed = plan[k, 0], plan[k, 3]
            start = t - t % length
            place = plan[k, 1] + (start // length) % plan[k, 2]
            slot = slots[r, place]
            other = slot.state == EMPTY or slot.start != start
            if ahead or (slot.state != EMPTY and (slot.start > start or (slot.state == STALE and not other))):
                miss(missed, counts, r, k, start)
                continue
            if other:
                waiting = slot.state == OPEN
                if waiting or slot.dirty == DIRTY:
                    miss(missed, counts, r, k, slot.start)
                clear(slot, start, CLOSED if start + length <= closed else OPEN)
                if slot.state == OPEN and not waiting:
                    opened[counts[OPENED]] = r * per_row + place
                    counts[OPENED] += 1
            put(slot, t, received_at[i], price[i], size[i], first_id[i], last_id[i], raw[i], flags)
            if received_at[i] - t > lag:
                slot.delayed += 1
            if slot.touched == 0:
                slot.touched = 1
                touched[counts[TOUCHED]] = r * per_row + place
                counts[TOUCHED] += 1
            if slot.state == CLOSED and slot.dirty != DIRTY:
                if slot.dirty == CLEAN:
                    dirtied[counts[DIRTIED]] = r * per_row + place
                    counts[DIRTIED] += 1
                slot.dirty = DIRTY


@kernel
def take_due(slots: Any, plan: Any, opened: Any, count: int, due: Any, starts: Any) -> Any:
    """Close the open windows that end at or before the closed time of their interval in `plan`.

    Their slots go to `due` and their starts to `starts`, the others stay in `opened`. Returns how many are due and how many stay.
    """
    per_row = slots.shape[1]
    flat = slots.reshape(-1)
    n = stay = 0
    for i in range(count):
        name = opened[i]
        place = name % per_row
        k = 0
        while k + 1 < plan.shape[0] and place >= plan[k + 1, 1]:
            k += 1
        slot = flat[name]
        if slot.start + plan[k, 0] <= plan[k, 3]:
            due[n] = name
            starts[n] = slot.start
            n += 1
            if slot.state == OPEN:
                slot.state = CLOSED
        else:
            opened[stay] = name
            stay += 1
    return n, stay


@kernel
def forming(slots: Any, plan: Any, touched: Any, count: int, code: Any, integers: Any, floats: Any) -> int:
    """The open windows among `touched` as columns; returns how many. From now on none is touched.

    `integers` has the rows symbol code, interval, start, trades, first_raw, last_raw, known_at; `floats` has open, high, low,
    close, volume, vwap. `code` maps rows to symbol codes.
    """
    per_row = slots.shape[1]
    flat = slots.reshape(-1)
    n = 0
    for i in range(count):
        name = touched[i]
        slot = flat[name]
        slot.touched = 0
        if slot.state != OPEN or slot.priced == 0:
            continue
        place, k = name % per_row, 0
        while k + 1 < plan.shape[0] and place >= plan[k + 1, 1]:
            k += 1
        integers[0, n], integers[1, n], integers[2, n] = code[name // per_row], plan[k, 0], slot.start
        integers[3, n], integers[4, n] = slot.trades, slot.first_raw
        integers[5, n], integers[6, n] = slot.last_raw, slot.known_at
        floats[0, n], floats[1, n], floats[2, n], floats[3, n] = slot.open, slot.high, slot.low, slot.close
        floats[4, n] = slot.volume
        floats[5, n] = slot.value / slot.volume if slot.volume > 0 else np.nan
        n += 1
    return n


def advance_reference(event_times: Iterable[int], lateness: int, due: int) -> int:
    """How many ticks come before the one that takes the watermark (the newest event time less the lateness) to `due`."""
    count = 0
    for t in event_times:
        if t - lateness >= due:
            break
        count += 1
    return count


def bar_reference(ticks: Iterable[tuple[int, int, int, float, float, int]]) -> dict[str, float]:
    """The bar of the ticks of one window, each (event_time, first_id, last_id, price, size, flags) in order of arrival."""
    rows = list(ticks)
    sizes = [(p, s) for _, _, _, p, s, flags in rows if not math.isnan(s) and not flags & 2]
    priced = [(t, first, last, n, p) for n, (t, first, last, p, _, flags) in enumerate(rows) if not flags & 1]
    volume = math.fsum(s for _, s in sizes)
    bar = {"volume": volume, "trades": sum(last - first + 1 if first >= 0 else 1 for _, first, last, *_ in rows)}
    bar["vwap"] = math.fsum(p * s for p, s in sizes) / volume if volume > 0 else math.nan
    if priced:
        prices = [p for *_, p in priced]
        bar |= {"open": min(priced, key=lambda x: (x[0], x[1], x[3]))[4], "high": max(prices), "low": min(prices)}
        bar["close"] = max(priced, key=lambda x: (x[0], x[2], x[3]))[4]
    return bar
