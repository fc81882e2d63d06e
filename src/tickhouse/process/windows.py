"""The windows of one lane: when they open and close, and what is in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import F64, I32, I64, U8, TickBatch
from tickhouse.core.kernels import tumbling
from tickhouse.core.kernels.tumbling import CLEAN, CLOSED, DIRTY, EMPTY, NEVER, OPEN, SECOND, SLOT, STALE, VOID
from tickhouse.process.growth import longer, room
from tickhouse.process.rules import Rules

FAR = np.iinfo(np.int64).max
Known = tuple[NDArray[Any], NDArray[Any], I32]
"""What is known of ids: the ids of series, their gaps, and the place among the ids of each row; without places where ids prove
nothing."""


@dataclass(frozen=True, slots=True)
class Columns:
    """A tick batch as the kernels want it: plain arrays, rows of the lane instead of symbols."""

    row: I32
    event_time: I64
    received_at: I64
    price: F64
    size: F64
    first_id: I64
    last_id: I64
    raw: I64
    condition: I32
    meaning: U8
    new: U8

    @classmethod
    def of(cls, batch: TickBatch, row: I32, meaning: U8, new: U8 | None = None) -> "Columns":
        """The columns of a batch; `row` is the lane's row of each tick, `new` tells those that were refused."""
        i64, f64 = np.int64, np.float64
        return cls(
            row, plain(batch.event_time, i64), plain(batch.received_at, i64), plain(batch.price, f64),
            plain(batch.size, f64), plain(batch.first_id, i64), plain(batch.last_id, i64), plain(batch.raw, i64),
            plain(batch.condition, np.int32), meaning, np.ones(len(row), np.uint8) if new is None else new.copy(),
        )  # fmt: skip


def plain(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """The array itself if it is contiguous, writable and of the type, else a copy: kernels are compiled for one layout."""
    if array.flags.c_contiguous and array.flags.writeable and array.dtype == dtype:
        return array
    return np.array(array, dtype)


class Windows:
    """The slots of every series of a lane, its watermark, and lists of the slots that are open, corrected or touched."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.rows = 0
        self.clock: I64 = np.array([NEVER, NEVER, NEVER, FAR], np.int64)
        widths = [rules.width(interval) for interval in rules.intervals_us]
        firsts = np.cumsum([0, *widths[:-1]])
        self.plan: I64 = np.array(
            [(i, f, w, NEVER) for i, f, w in zip(rules.intervals_us, firsts, widths, strict=True)], np.int64
        )
        self.per_row = sum(widths)
        self.slots: NDArray[Any] = np.zeros((0, self.per_row), SLOT)
        self.touched, self.opened, self.dirtied = (np.zeros(0, np.int32) for _ in range(3))
        self.counts: I64 = np.zeros(7, np.int64)

    @property
    def watermark(self) -> int:
        """No window that ends at or before it is open; NEVER before the first tick."""
        return int(self.clock[tumbling.WATERMARK])

    @property
    def closed(self) -> int:
        """Up to which time the windows of the shortest interval are closed."""
        return int(self.plan[0, 3])

    def grow(self, rows: int) -> None:
        """Make room for `rows` series."""
        if rows > len(self.slots):
            more = room(len(self.slots), rows)
            self.slots = longer(self.slots, more)
            self.touched, self.opened, self.dirtied = (
                longer(old, more * self.per_row) for old in (self.touched, self.opened, self.dirtied)
            )
        self.rows = rows

    def advance(self, c: Columns, begin: int, most_ahead: int, known: Known) -> tuple[int, int]:
        """Move the clock over ticks; see `tumbling.advance`."""
        closed = int(self.plan[:, 3].max())
        stop, odd = tumbling.advance(
            c.event_time, c.received_at, c.new, c.first_id, c.last_id, c.row, known,
            begin, self.clock, self.rules.lateness_us, most_ahead, closed,
        )  # fmt: skip
        return int(stop), int(odd)

    def fold(self, c: Columns, begin: int, end: int, how: tuple[int, bool], odd: int) -> NDArray[np.int64]:
        """Fold ticks in; `how` is `most_ahead`, and whether late ticks are accepted.

        Returns (row, interval index, start) of windows that must be computed again from the past. At most `odd` ticks are
        outside the open windows.
        """
        if self.watermark == NEVER:
            odd = end - begin
        most = 2 * odd * len(self.plan) + int(self.counts[tumbling.DIRTIED])
        missed = np.empty((most, 3), np.int64)
        self.counts[tumbling.MISSED] = 0
        most_ahead, accepts_late = how
        tumbling.fold(
            self.slots, self.plan, c.row, c.new, c.event_time, c.received_at, c.price, c.size, c.first_id, c.last_id, c.raw,
            c.condition, c.meaning, begin, end, most_ahead, self.rules.lag_us, accepts_late,
            self.touched, self.opened, self.dirtied, missed, self.counts,
        )  # fmt: skip
        return missed[: self.counts[tumbling.MISSED]]

    def move(self, watermark: int) -> bool:
        """Set the watermark; returns whether windows of some interval close. Call `take_due` before the next tick."""
        self.clock[tumbling.WATERMARK] = max(watermark, self.watermark)
        lengths = self.plan[:, 0]
        closed = self.watermark // lengths * lengths
        crossed = bool((closed > self.plan[:, 3]).any())
        self.plan[:, 3] = np.maximum(closed, self.plan[:, 3])
        return crossed

    def close_all(self) -> None:
        """Close every window, as after the last tick of a lane that is complete."""
        self.clock[tumbling.WATERMARK] = FAR
        self.plan[:, 3] = FAR

    def take_due(self) -> NDArray[np.int32]:
        """Close the windows that the watermark has passed and return their slots."""
        count = int(self.counts[tumbling.OPENED])
        if not count:
            return np.zeros(0, np.int32)
        due, starts = np.empty(count, np.int32), np.empty(count, np.int64)
        n, stay = tumbling.take_due(self.slots, self.plan, self.opened, count, due, starts)
        self.counts[tumbling.OPENED] = stay
        return np.array(due[:n])

    def take_dirtied(self) -> NDArray[np.int32]:
        """The closed slots that changed since they were asked for last."""
        if not self.counts[tumbling.DIRTIED]:
            return np.zeros(0, np.int32)
        names: NDArray[np.int32] = self.dirtied[: self.counts[tumbling.DIRTIED]].copy()
        self.counts[tumbling.DIRTIED] = 0
        flat = self.slots.reshape(-1)
        kept = (flat["dirty"][names] == DIRTY) & (flat["state"][names] == CLOSED)
        flat["dirty"][names] = CLEAN
        return np.array(names[kept])

    def set_due(self) -> None:
        """Have the watermark stop next where a window ends."""
        if self.watermark not in (NEVER, FAR):
            self.clock[tumbling.DUE] = int((self.plan[:, 3] + self.plan[:, 0]).min())

    def hurry(self) -> None:
        """Have the watermark stop at the next whole second, because corrections wait."""
        if self.watermark not in (NEVER, FAR):
            self.clock[tumbling.DUE] = min(int(self.clock[tumbling.DUE]), (self.watermark // SECOND + 1) * SECOND)

    def place(self, row: int, k: int, start: int) -> Any:
        """The slot where a window is, or was, or would be."""
        length, first, width, _ = self.plan[k].tolist()
        return self.slots[row, first + start // length % width]

    def spoil(self, row: int, k: int, start: int) -> int | None:
        """Mark a closed window as out of date: a newer version of its bar was made from the past.

        Returns the start of a window of this row and interval whose correction has not come out and is lost now, if there is one.
        """
        slot = self.place(row, k, start)
        length, _, _, closed = self.plan[k].tolist()
        never = (slot["state"] == EMPTY or slot["start"] < start) and start + length <= closed
        if not never and (slot["start"] != start or slot["state"] != CLOSED):
            return None
        lost = int(slot["start"]) if slot["dirty"] == DIRTY else None
        if never:
            tumbling.clear(slot, start, STALE)
        slot["state"], slot["dirty"] = STALE, CLEAN if slot["dirty"] == CLEAN else VOID
        return lost

    def skip(self, row: int, k: int, start: int) -> None:
        """Mark an open window so that it does not come out when it closes: it will be made from the past."""
        slot = self.place(row, k, start)
        if slot["start"] == start and slot["state"] == OPEN:
            slot["state"] = STALE

    def forming(self, code: I32) -> tuple[I64, F64] | None:
        """The open windows touched since the last call, as columns of `tumbling.forming`; `code` is the symbol of each row."""
        count = int(self.counts[tumbling.TOUCHED])
        self.counts[tumbling.TOUCHED] = 0
        if not count:
            return None
        integers, floats = np.empty((7, count), np.int64), np.empty((6, count), np.float64)
        n = tumbling.forming(self.slots, self.plan, self.touched, count, code, integers, floats)
        return (integers[:, :n], floats[:, :n]) if n else None

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """All state as arrays."""
        n = self.counts
        return {
            "clock": self.clock, "plan": self.plan, "slots": self.slots[: self.rows],
            "opened": self.opened[: n[tumbling.OPENED]], "dirtied": self.dirtied[: n[tumbling.DIRTIED]],
        }  # fmt: skip

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a snapshot of the same rules."""
        self.clock, self.plan = arrays["clock"].copy(), arrays["plan"].copy()
        self.grow(len(arrays["slots"]))
        for name in SLOT.names or ():
            self.slots[name][: self.rows] = arrays["slots"][name]
        self.slots["touched"] = 0
        for name, place in (("opened", tumbling.OPENED), ("dirtied", tumbling.DIRTIED)):
            self.counts[place] = len(arrays[name])
            getattr(self, name)[: len(arrays[name])] = arrays[name]

    @property
    def oldest(self) -> int:
        """No event time seen is before it."""
        return int(self.clock[tumbling.LOW])

    @property
    def newest(self) -> int:
        """No event time that moved the watermark is after it."""
        return int(self.clock[tumbling.TOP])
