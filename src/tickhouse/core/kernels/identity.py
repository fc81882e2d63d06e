"""Which trade ids have been seen, exactly, in little memory.

Dense ids rise by one per symbol, so what was seen is one range with few gaps in it: most gaps are trades that are a
moment late, the others are losses. A gap keeps the event times of its neighbours, and so says between which times
its trades took place. Unique ids (no order) are kept in a hash set of two generations.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tickhouse.core.kernels import kernel

SEEN = np.dtype(
    [
        ("start", "i8"), ("top", "i8"), ("start_time", "i8"), ("top_time", "i8"),
        ("unproven", "i8"), ("changed_from", "i8"), ("changed_to", "i8"),
        ("gaps", "i4"), ("count", "i4"), ("room", "i4"), ("peer", "i4"),
    ],
    align=True,
)  # fmt: skip
"""The ids one series has seen: `start` to `top` but for `count` gaps, which begin at `gaps` of the pool and have `room`.

`peer` is the next row of the same symbol in a ring over all lanes (itself when alone). `unproven` is the start of the oldest
window that waits for the next id to prove that nothing was lost, else LATER. What changed in closed windows lies between the
times `changed_from` and `changed_to`."""

GAP = np.dtype([("first", "i8"), ("last", "i8"), ("begin", "i8"), ("end", "i8"), ("settled", "i8")])
"""Ids first to last, not there; `begin` and `end` are the event times of the ids beside them, or of a refused trade itself.
`settled` says what became of them."""

OPEN, LOST, REFUSED = 0, 1, 2
"""What is known of ids that are not there: they may still come; they are lost; they came and were refused."""

NEW, REPEAT, DENIED, ELSEWHERE = 1, 0, 2, 3
"""What a tick is: new, a repeat, refused by quality and here only for its ids, or of another shard and here only for its times."""

MOST_GAPS = 1 << 14
"""So many gaps of a series are remembered."""

LATER = np.iinfo(np.int64).max
NO_ID = -1
FREE = -1
MIX_ID, MIX_ROW, SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(31)


@kernel
def find_gap(seen: Any, gaps: Any, id_: int) -> Any:
    """The place of the first gap of a series that ends at or after an id, between `gaps` and `gaps + count`."""
    low, high = seen.gaps, seen.gaps + seen.count
    while low < high:
        middle = (low + high) // 2
        if gaps[middle].last < id_:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def has(seen: Any, gaps: Any, first: int, last: int) -> bool:
    """Whether any id of first to last was seen."""
    if last < seen.start or first > seen.top:
        return False
    if first < seen.start or last > seen.top or seen.count == 0:
        return True
    place = find_gap(seen, gaps, first)
    return not (place < seen.gaps + seen.count and gaps[place].first <= first and last <= gaps[place].last)


@kernel
def insert_gap(seen: Any, gaps: Any, pool: Any, place: int, first: int, last: int, begin: int, end: int) -> None:
    """Insert an unsettled gap before `place` (relative to the series' first); there must be room in the pool."""
    if seen.count == seen.room:
        room = max(4, 2 * seen.room)
        for j in range(seen.count):
            gaps[pool[0] + j] = gaps[seen.gaps + j]
        seen.gaps, seen.room = pool[0], room
        pool[0] += room
    for j in range(seen.gaps + seen.count, seen.gaps + place, -1):
        gaps[j] = gaps[j - 1]
    gap = gaps[seen.gaps + place]
    gap.first, gap.last, gap.begin, gap.end, gap.settled = first, last, min(begin, end), max(begin, end), OPEN
    seen.count += 1


@kernel
def changed(seen: Any, row: int, since: int, until: int, changes: Any, pool: Any) -> None:
    """Note that completeness changed between two times; the row is listed once in `changes`, `pool[1]` counts them."""
    if seen.changed_from == LATER:
        changes[pool[1]] = row
        pool[1] += 1
        seen.changed_to = until
    seen.changed_from = min(seen.changed_from, since)
    seen.changed_to = max(seen.changed_to, until)


@kernel
def fill(seen: Any, gaps: Any, pool: Any, first: int, last: int, t: int) -> Any:
    """Take ids first to last out of the gap that holds them; returns the gap's times if it counted, else (LATER, LATER)."""
    place = find_gap(seen, gaps, first)
    gap = gaps[place]
    begin, end, settled = gap.begin, gap.end, gap.settled
    if gap.first == first and gap.last == last:
        seen.count -= 1
        for j in range(place, seen.gaps + seen.count):
            gaps[j] = gaps[j + 1]
    elif gap.first == first:
        gap.first, gap.begin = last + 1, min(t, gap.end)
    elif gap.last == last:
        gap.last, gap.end = first - 1, max(t, gap.begin)
    else:
        rest = gap.last
        gap.last, gap.end = first - 1, max(t, gap.begin)
        insert_gap(seen, gaps, pool, place - seen.gaps + 1, last + 1, rest, t, end)
        gaps[find_gap(seen, gaps, rest)].settled = settled
    if settled == OPEN:
        begin = end = LATER
    return begin, end


@kernel
def deny(seen: Any, gaps: Any, pool: Any, first: int, last: int, t: int) -> Any:
    """Note that ids first to last, which are in one gap, were refused at time t (NO_ID: not known).

    Returns the times between which completeness changes, (LATER, LATER) when they were known to be refused.
    """
    gap = gaps[find_gap(seen, gaps, first)]
    if gap.settled == REFUSED:
        return LATER, LATER
    when = t if t >= 0 else gap.begin
    since, until = fill(seen, gaps, pool, first, last, when)
    place = find_gap(seen, gaps, first)
    insert_gap(seen, gaps, pool, place - seen.gaps, first, last, when, when)
    gaps[find_gap(seen, gaps, first)].settled = REFUSED
    if since == LATER:
        return when, when
    return min(since, when), max(until, when)


@kernel
def refuse(
    ids: Any, gaps: Any, pool: Any, changes: Any, r: int, first: int, last: int, t: int, patience: int
) -> None:  # fmt: skip
    """Note that ids first to last came and were refused: nobody need ask for them, and their bars lack them.

    Left alone are ids of which one was taken, those before the first that was taken, those beyond the next one at a time
    that nobody knows, and those of a new count of the venue.
    """
    seen = ids[r]
    if seen.top < seen.start or last < seen.start or (first <= seen.top and t > seen.top_time + patience):
        return
    if first > seen.top + 1 and t < 0:
        return
    p = r
    while True:
        if t <= ids[p].top_time + patience and has(ids[p], gaps, first, last):
            return
        p = ids[p].peer
        if p == r:
            break
    if first > seen.top:
        when = t if t >= 0 else seen.top_time
        if seen.unproven != LATER:
            if first == seen.top + 1:
                changed(seen, r, seen.unproven, when, changes, pool)
            seen.unproven = LATER
        if first > seen.top + 1:
            insert_gap(seen, gaps, pool, seen.count, seen.top + 1, first - 1, seen.top_time, when)
        insert_gap(seen, gaps, pool, seen.count, first, last, when, when)
        gaps[seen.gaps + seen.count - 1].settled = REFUSED
        seen.top, seen.top_time = last, max(seen.top_time, when)
        changed(seen, r, when, when, changes, pool)
    else:
        since, until = deny(seen, gaps, pool, first, last, t)
        if since != LATER:
            changed(seen, r, since, until, changes, pool)
    p = seen.peer
    while p != r:
        other = ids[p]
        if other.start < first and last <= other.top and t <= other.top_time + patience:
            since, until = deny(other, gaps, pool, first, last, t)
            if since != LATER:
                changed(seen, r, since, until, changes, pool)
        p = other.peer


@kernel
def tells(ids: Any, gaps: Any, r: int, first: int, last: int) -> bool:
    """Whether ids may change what is known of closed windows: they are proof that is waited for, or fill a gap of any lane."""
    if ids[r].unproven != LATER or (first <= ids[r].top and not has(ids[r], gaps, first, last)):
        return True
    p = ids[r].peer
    while p != r:
        other = ids[p]
        if other.start < first and last <= other.top and not has(other, gaps, first, last):
            return True
        p = other.peer
    return False


@kernel
def take(seen: Any, gaps: Any, pool: Any, first: int, last: int, t: int) -> Any:
    """Note ids first to last, none of which was seen; returns the times of the gap that they were taken out of, as `fill`."""
    if seen.top < seen.start:
        seen.start, seen.top, seen.start_time, seen.top_time = first, last, t, t
    elif first > seen.top:
        if first > seen.top + 1:
            insert_gap(seen, gaps, pool, seen.count, seen.top + 1, first - 1, seen.top_time, t)
        seen.top, seen.top_time = last, t
    elif last < seen.start:
        if last < seen.start - 1:
            insert_gap(seen, gaps, pool, 0, last + 1, seen.start - 1, t, seen.start_time)
        seen.start, seen.start_time = first, t
    else:
        return fill(seen, gaps, pool, first, last, t)
    return LATER, LATER


@kernel
def dense(
    ids: Any, gaps: Any, pool: Any, changes: Any, rows: Any, row: Any,
    first_id: Any, last_id: Any, event_time: Any, begin: int, end: int, patience: int, new: Any,
) -> int:  # fmt: skip
    """Say of ticks begin to end whether they are `new` (1) or repeat an id that any lane has seen (0), and note their ids.

    `rows[row[i]]` is the tick's place in `ids`. A repeat has the time of the original, so an old id that comes more than
    `patience` after the time of the highest one means that the venue began to count anew: then so do we. Of ticks that are
    DENIED only the ids are noted, of those that are ELSEWHERE nothing. `pool` holds how much of `gaps` is in use and the number
    of `changes`. Stops, and returns where, when the pool is nearly full: make it larger and call again from there.
    """
    for i in range(begin, end):
        if new[i] == ELSEWHERE:
            continue
        first, last, t, r = first_id[i], last_id[i], event_time[i], rows[row[i]]
        seen = ids[r]
        if new[i] == DENIED:
            if pool[0] + _need(ids, r) > gaps.size:
                return i
            refuse(ids, gaps, pool, changes, r, first, last, t, patience)
            continue
        new[i] = NEW
        if last < 0:
            continue
        if seen.peer == r and first == seen.top + 1 and seen.unproven == LATER and seen.top >= seen.start:
            seen.top, seen.top_time = last, t
            continue
        if first <= seen.top and t > seen.top_time + patience:
            seen.start, seen.top, seen.count = LATER, -1, 0
        repeated = has(seen, gaps, first, last)
        p = seen.peer
        while p != r and not repeated:
            repeated = t <= ids[p].top_time + patience and has(ids[p], gaps, first, last)
            p = ids[p].peer
        if repeated:
            new[i] = REPEAT
            continue
        if pool[0] + _need(ids, r) > gaps.size:
            return i
        if seen.unproven != LATER and first > seen.top:
            if first == seen.top + 1:
                changed(seen, r, seen.unproven, t, changes, pool)
            seen.unproven = LATER
        since, until = take(seen, gaps, pool, first, last, t)
        if since != LATER:
            changed(seen, r, since, until, changes, pool)
        p = seen.peer
        while p != r:
            other = ids[p]
            if other.start < first and last <= other.top and t <= other.top_time + patience:
                since, until = fill(other, gaps, pool, first, last, t)
                if since != LATER:
                    changed(seen, r, since, until, changes, pool)
            p = other.peer
    return end


@kernel
def _need(ids: Any, r: int) -> Any:
    """The most of the pool that one tick of a series can use."""
    need = max(4, 2 * ids[r].room)
    p = ids[r].peer
    while p != r:
        need += max(4, 2 * ids[p].room)
        p = ids[p].peer
    return need


@kernel
def settle(ids: Any, gaps: Any, rows: Any, before: int, found: Any) -> int:
    """Call the gaps of some series whose trades are all older than `before` losses.

    Fills `found` with (index into rows, place of the gap) and returns how many; when that is more than it has room for, nothing
    was changed. Of the losses of a series only the newest MOST_GAPS are kept; older ids then count as seen.
    """
    for dry in range(2):
        n = 0
        for i in range(rows.size):
            seen = ids[rows[i]]
            if dry == 1 and seen.count > MOST_GAPS:
                seen.gaps, seen.room = seen.gaps + seen.count - MOST_GAPS, seen.room - seen.count + MOST_GAPS
                seen.count = MOST_GAPS
            for j in range(seen.gaps, seen.gaps + seen.count):
                gap = gaps[j]
                if gap.settled == OPEN and gap.end < before:
                    if dry == 1:
                        gap.settled = LOST
                        found[n, 0], found[n, 1] = i, j
                    n += 1
        if n == 0 or n > len(found):
            return n
    return n


@kernel
def missing(ids: Any, gaps: Any, rows: Any, start: Any, end: Any, upto: int, count: Any) -> None:
    """For each (row, window) how many ids are known to be LOST in it, and with `upto` REFUSED those refused too: all of every gap
    whose times overlap the window.

    Where several lanes have the symbol, the lane that misses most counts.
    """
    for i in range(rows.size):
        p = rows[i]
        most = 0
        while True:
            seen, n = ids[p], 0
            for j in range(seen.gaps, seen.gaps + seen.count):
                gap = gaps[j]
                if OPEN < gap.settled <= upto and gap.begin < end[i] and gap.end >= start[i]:
                    n += gap.last - gap.first + 1
            most = max(most, n)
            p = seen.peer
            if p == rows[i]:
                break
        count[i] = most


@kernel
def compact(ids: Any, gaps: Any, into: Any, used: int) -> int:
    """Copy all gaps to a new pool without the unused parts; returns how much of it is in use."""
    at = 0
    for r in range(used):
        seen = ids[r]
        for j in range(seen.count):
            into[at + j] = gaps[seen.gaps + j]
        seen.gaps, seen.room = at, seen.count
        at += seen.count
    return at


@kernel
def unite(ids: Any, gaps: Any, one: int, other: int, out: Any) -> int:
    """The gaps that two series have in common, between the lowest and the highest id of both, into `out`; returns how many.

    Series `one` gets the range of both; its gaps are not replaced.
    """
    a, b = ids[one], ids[other]
    n = i = j = 0
    low, high = min(a.start, b.start), max(a.top, b.top)
    while i < a.count + 2 and j < b.count + 2:
        first_a, last_a, place_a = _unseen(a, gaps, i, low, high)
        first_b, last_b, place_b = _unseen(b, gaps, j, low, high)
        first, last = max(first_a, first_b), min(last_a, last_b)
        if first <= last:
            gap = out[n]
            gap.first, gap.last, gap.settled = first, last, LOST
            gap.begin, gap.end = a.top_time, b.start_time
            if b.top < a.start:
                gap.begin, gap.end = b.top_time, a.start_time
            if place_b >= 0:
                gap.begin, gap.end, gap.settled = gaps[place_b].begin, gaps[place_b].end, gaps[place_b].settled
            if place_a >= 0:
                gap.begin, gap.end, gap.settled = gaps[place_a].begin, gaps[place_a].end, gaps[place_a].settled
            if place_a < 0 and place_b < 0:
                gap.settled = OPEN
            n += 1
        if last_a < last_b:
            i += 1
        else:
            j += 1
    if b.start < a.start:
        a.start, a.start_time = b.start, b.start_time
    if b.top > a.top:
        a.top, a.top_time = b.top, b.top_time
    return n


@kernel
def _unseen(seen: Any, gaps: Any, i: int, low: int, high: int) -> Any:
    """The unseen range number i of a series within low to high: what is before it, its gaps, what is after it."""
    if i == 0:
        return low, seen.start - 1, -1
    if i <= seen.count:
        place = seen.gaps + i - 1
        return gaps[place].first, gaps[place].last, place
    return seen.top + 1, high, -1


@kernel
def _home(id_: int, row: int, mask: Any) -> Any:
    mixed = np.uint64(id_) * MIX_ID ^ np.uint64(row) * MIX_ROW
    return np.int64((mixed ^ mixed >> SHIFT) & mask)


@kernel
def find(table: Any, id_: int, row: int) -> Any:
    """Where (id, row) is in a table of shape (2, power of two), or the free place where it would be; and whether it is there."""
    mask = np.uint64(table.shape[1] - 1)
    place = _home(id_, row, mask)
    while table[0, place] != FREE:
        if table[0, place] == id_ and table[1, place] == row:
            return place, True
        place = np.int64(np.uint64(place + 1) & mask)
    return place, False


@kernel
def unique(now: Any, past: Any, used: Any, row: Any, last_id: Any, begin: int, end: int, new: Any) -> int:
    """Say of ticks begin to end whether (row, id) is `new` or in one of two generations of a set, and put it in the newer;
    those DENIED or ELSEWHERE stay so.

    Stops, and returns where, when `now` is more than half full; `used` counts its members.
    """
    for i in range(begin, end):
        if new[i] == DENIED or new[i] == ELSEWHERE:
            continue
        new[i] = NEW
        if last_id[i] < 0:
            continue
        if 2 * used[0] >= now.shape[1]:
            return i
        place, known = find(now, last_id[i], row[i])
        if not known:
            known = find(past, last_id[i], row[i])[1]
            now[0, place], now[1, place] = last_id[i], row[i]
            used[0] += 1
        new[i] = REPEAT if known else NEW
    return end


@kernel
def rehash(table: Any, into: Any) -> None:
    """Put all members of a table into a larger, empty one."""
    for i in range(table.shape[1]):
        if table[0, i] != FREE:
            place, _ = find(into, table[0, i], table[1, i])
            into[0, place], into[1, place] = table[0, i], table[1, i]


def new_reference(ticks: Iterable[tuple[int, int, int]]) -> list[bool]:
    """For each (series, first_id, last_id) in order whether none of its ids was there before; without id always."""
    seen: set[tuple[int, int]] = set()
    answers = []
    for series, first, last in ticks:
        ids = {(series, id_) for id_ in range(first, last + 1)} if last >= 0 else set()
        answers.append(not ids & seen)
        if answers[-1]:
            seen |= ids
    return answers
