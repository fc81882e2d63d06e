"""Which ticks are repeats: the trade ids a source has shown so far."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import I32, I64
from tickhouse.core.kernels import identity
from tickhouse.core.kernels.identity import FREE, GAP, LATER, LOST, REFUSED, SEEN
from tickhouse.process.growth import longer, room
from tickhouse.process.windows import Columns

MOST_PAST = 4
"""So many ended lanes of a symbol are kept apart; with more, their ids are united."""

BLANK = np.array([(LATER, -1, 0, 0, LATER, LATER, 0, 0, 0, 0, 0)], SEEN)
"""A series that has shown no id."""


class DenseIds:
    """The ids of every series of a source, over all lanes, where they rise by one per symbol.

    A row is one series; the rows of a symbol know each other, so a repeat is known whichever lane saw the id first. When a
    lane ends, its rows stay as *past* ones. An old id that comes more than `patience` (us) after the time of the highest one
    begins a new count.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.ids: NDArray[Any] = np.zeros(0, SEEN)
        self.gaps: NDArray[Any] = np.zeros(256, GAP)
        self.pool: I64 = np.zeros(2, np.int64)
        self._changes: I64 = np.zeros(0, np.int64)
        self._heads: dict[int, int] = {}
        self._past: dict[int, list[int]] = {}
        self._free: list[int] = []
        self._used = 0

    def add(self, codes: Sequence[int]) -> I32:
        """Rows for new series of some symbols."""
        rows = [self._free.pop() for _ in range(min(len(codes), len(self._free)))]
        fresh = len(codes) - len(rows)
        rows += range(self._used, self._used + fresh)
        self._used += fresh
        if self._used > len(self.ids):
            more = room(len(self.ids), self._used)
            self.ids, self._changes = longer(self.ids, more), longer(self._changes, more)
        self.ids[rows] = BLANK
        self.ids["peer"][rows] = rows
        peers = self.ids["peer"]
        for row, code in zip(rows, codes, strict=True):
            head = self._heads.setdefault(code, row)
            if head != row:
                peers[row], peers[head] = peers[head], row
        return np.array(rows, np.int32)

    def judge(self, rows: I32, c: Columns, begin: int, end: int) -> None:
        """Say of ticks which are new; `rows` are the rows of the lane's series."""
        while begin < end:
            begin = identity.dense(
                self.ids, self.gaps, self.pool, self._changes, rows, c.row,
                c.first_id, c.last_id, c.event_time, begin, end, self.patience, c.new,
            )  # fmt: skip
            if begin < end:
                self._enlarge()

    def settle(self, rows: I32, before: int) -> list[tuple[int, int, int, int, int]]:
        """The gaps that have become losses, as (index into rows, first, last, begin, end): their time is over.

        Ids that another lane has seen are none.
        """
        most = 64
        while True:
            found = np.empty((most, 2), np.int64)
            n = int(identity.settle(self.ids, self.gaps, rows, before, found))
            if n <= most:
                break
            most = n
        losses = []
        peers = self.ids["peer"]
        for index, place in found[:n].tolist():
            gap = self.gaps[place].tolist()
            if peers[rows[index]] == rows[index]:
                losses.append((index, *gap[:4]))
        shared: dict[int, set[int]] = {}
        for index, place in found[:n].tolist():
            if peers[rows[index]] != rows[index]:
                shared.setdefault(index, set()).add(int(self.gaps["first"][place]))
        for index, firsts in shared.items():
            losses += self._unshared(index, int(rows[index]), firsts)
        return losses

    def losses(self, rows: I32) -> list[tuple[int, int, int, int, int]]:
        """The losses of some series that are still open, as (index into rows, first, last, begin, end)."""
        found = []
        for index in np.flatnonzero(self.ids["count"][rows]).tolist():
            seen = self.ids[rows[index]]
            gaps = self.gaps[int(seen["gaps"]) : int(seen["gaps"]) + int(seen["count"])]
            found += [(index, *gap[:4]) for gap in gaps[gaps["settled"] == LOST].tolist()]
        return found

    def missing(self, rows: I32, start: I64, end: I64, refused: bool = True) -> I64:
        """For each (row, window) how many ids are known to be lost in it, or also those that came and were `refused`."""
        count = np.empty(len(rows), np.int64)
        identity.missing(self.ids, self.gaps, rows, start, end, REFUSED if refused else LOST, count)
        return count

    def take_changes(self, rows: I32) -> list[tuple[int, int, int]]:
        """The series among `rows` whose completeness changed, as (index into rows, from, to)."""
        n = int(self.pool[1])
        if not n:
            return []
        changed = self._changes[:n]
        mine = np.isin(changed, rows)
        index_of = {row: index for index, row in enumerate(rows.tolist())} if mine.any() else {}
        answers = []
        for row in changed[mine].tolist():
            answers.append((index_of[row], int(self.ids["changed_from"][row]), int(self.ids["changed_to"][row])))
            self.ids["changed_from"][row] = LATER
        rest = changed[~mine].copy()
        self._changes[: len(rest)] = rest
        self.pool[1] = len(rest)
        return answers

    def knows_earlier(self, row: int) -> bool:
        """Whether the id just before the series' first was seen in another lane, so that nothing can be lost before it."""
        before = int(self.ids["start"][row]) - 1
        peer = int(self.ids["peer"][row])
        while peer != row:
            if identity.has(self.ids[peer], self.gaps, before, before):
                return True
            peer = int(self.ids["peer"][peer])
        return False

    def retire(self, rows: Sequence[int], codes: Sequence[int]) -> None:
        """Keep only the ids of the series of a lane that has ended."""
        for row, code in zip(rows, codes, strict=True):
            past = self._past.setdefault(code, [])
            past.append(row)
            if len(past) > MOST_PAST:
                for other in past[1:]:
                    self._unite(past[0], other)
                    self._unlink(other, code)
                del past[1:]

    def _unite(self, one: int, other: int) -> None:
        out = np.zeros(int(self.ids["count"][one] + self.ids["count"][other]) + 3, GAP)
        n = int(identity.unite(self.ids, self.gaps, one, other, out))
        while self.pool[0] + n > len(self.gaps):
            self._enlarge()
        place = int(self.pool[0])
        self.gaps[place : place + n] = out[:n]
        self.pool[0] += n
        self.ids["gaps"][one], self.ids["count"][one], self.ids["room"][one] = place, n, n

    def _unlink(self, row: int, code: int) -> None:
        before = row
        while self.ids["peer"][before] != row:
            before = int(self.ids["peer"][before])
        self.ids["peer"][before] = self.ids["peer"][row]
        if self._heads[code] == row:
            self._heads[code] = before
        self.ids["peer"][row], self.ids["count"][row] = row, 0
        self._free.append(row)

    def _unshared(self, index: int, row: int, firsts: set[int]) -> list[tuple[int, int, int, int, int]]:
        """Take out of a series' gaps what its peers have seen; the losses left of the gaps that begin at `firsts`."""
        seen = self.ids[row]
        begin = int(seen["gaps"])
        left: list[tuple[int, ...]] = []
        losses = []
        for place in range(begin, begin + int(seen["count"])):
            first, last, since, until, state = self.gaps[place].tolist()
            for a, b in self._unseen_by_peers(row, first, last):
                left.append((a, b, since, until, state))
                if first in firsts:
                    losses.append((index, a, b, since, until))
        while self.pool[0] + len(left) > len(self.gaps):
            self._enlarge()
        at = int(self.pool[0])
        self.gaps[at : at + len(left)] = np.array(left, GAP)
        self.pool[0] += len(left)
        self.ids["gaps"][row], self.ids["count"][row], self.ids["room"][row] = at, len(left), len(left)
        return losses

    def _unseen_by_peers(self, row: int, first: int, last: int) -> list[tuple[int, int]]:
        """The parts of first to last that no peer has seen."""
        parts = [(first, last)]
        peer = int(self.ids["peer"][row])
        while peer != row:
            parts = [part for a, b in parts for part in self._unseen_by(peer, a, b)]
            peer = int(self.ids["peer"][peer])
        return parts

    def _unseen_by(self, row: int, first: int, last: int) -> list[tuple[int, int]]:
        seen = self.ids[row]
        gaps = self.gaps[int(seen["gaps"]) : int(seen["gaps"]) + int(seen["count"])]
        ranges = [(first, int(seen["start"]) - 1), *zip(gaps["first"].tolist(), gaps["last"].tolist(), strict=True)]
        ranges.append((int(seen["top"]) + 1, last))
        if seen["top"] < seen["start"]:
            return [(first, last)]
        return [(max(a, first), min(b, last)) for a, b in ranges if max(a, first) <= min(b, last)]

    def _enlarge(self) -> None:
        gaps = np.zeros(max(256, 2 * (int(self.ids["count"][: self._used].sum()) + 2 * self._used + 64)), GAP)
        if len(gaps) <= len(self.gaps):
            gaps = np.zeros(2 * len(self.gaps), GAP)
        self.pool[0] = identity.compact(self.ids, self.gaps, gaps, self._used)
        self.gaps = gaps

    def snapshot(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """All state as arrays, and what is not an array."""
        arrays = {"ids": self.ids[: self._used], "gaps": self.gaps[: self.pool[0]], "pool": self.pool}
        arrays["changes"] = self._changes[: self.pool[1]]
        return arrays, {"heads": self._heads, "past": self._past, "free": self._free, "patience": self.patience}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> "DenseIds":
        """Go on from a snapshot."""
        made = cls(values["patience"])
        made.ids, made.pool, made._used = arrays["ids"].copy(), arrays["pool"].copy(), len(arrays["ids"])
        made._changes = np.zeros(len(made.ids), np.int64)
        made._changes[: len(arrays["changes"])] = arrays["changes"]
        made.gaps = np.zeros(max(256, 2 * len(arrays["gaps"])), GAP)
        made.gaps[: len(arrays["gaps"])] = arrays["gaps"]
        made._heads = {int(code): row for code, row in values["heads"].items()}
        made._past = {int(code): list(rows) for code, rows in values["past"].items()}
        made._free = list(values["free"])
        return made


class UniqueIds:
    """The ids of a lane in two generations, where they have no order: one grows, the one before it is only asked."""

    def __init__(self) -> None:
        self.now, self.past = _table(1024), _table(2)
        self.used: I64 = np.zeros(1, np.int64)
        self.turned = 0

    def judge(self, c: Columns, begin: int, end: int) -> None:
        """Say of ticks which are new."""
        while begin < end:
            begin = identity.unique(self.now, self.past, self.used, c.row, c.last_id, begin, end, c.new)
            if begin < end:
                larger = _table(2 * self.now.shape[1])
                identity.rehash(self.now, larger)
                self.now = larger

    def turn(self, closed: int, horizon: int) -> None:
        """Forget the older generation when the newer one is old enough."""
        if closed - self.turned >= horizon:
            self.past, self.now = self.now, _table(self.now.shape[1] if 4 * self.used[0] > self.now.shape[1] else 1024)
            self.used[0] = 0
            self.turned = closed

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """All state as arrays."""
        return {"now": self.now, "past": self.past, "used": self.used, "turned": np.array([self.turned])}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> "UniqueIds":
        """Go on from a snapshot."""
        made = cls()
        made.now, made.past, made.used = (arrays[name].copy() for name in ("now", "past", "used"))
        made.turned = int(arrays["turned"][0])
        return made


def _table(size: int) -> NDArray[np.int64]:
    return np.full((2, size), FREE, np.int64)
