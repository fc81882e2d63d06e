"""One lane of one source: its series, windows, evidence, and what waits to be corrected."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import F64, I32, I64, LIVE
from tickhouse.core.kernels.bars import BARS
from tickhouse.core.kernels.identity import GAP, NEW, SEEN
from tickhouse.core.kernels.tumbling import ACCEPTED, LATE, NEVER
from tickhouse.process.coverage import Coverage, Stretches
from tickhouse.process.evidence import FAR, NO_LINE, Evidence
from tickhouse.process.growth import longer, room
from tickhouse.process.identity import DenseIds, UniqueIds
from tickhouse.process.rolling import Rolling
from tickhouse.process.rules import Rules
from tickhouse.process.state import part
from tickhouse.process.windows import Columns, Known, Windows

BY_ROW = ("code", "ids", "channel", "line", "edge", "newest", "old_line", "moved")
"""The arrays that have one value for each series."""

WAITING = ("held", "given")
"""Bars of a load that wait: those older than their series for the analysis, those given ready made to become public."""

NOTHING_KNOWN: Known = (np.zeros(0, SEEN), np.zeros(0, GAP), np.zeros(0, np.int32))

Window = tuple[int, int, int]
"""A row, the index of an interval, and a start (us)."""


class Lane:
    """The state of a lane. A row is one symbol of it; rows are numbered in the order in which symbols come."""

    def __init__(self, name: str, rules: Rules, stretches: Stretches, dense: DenseIds | None) -> None:
        self.name, self.rules, self.dense = name, rules, dense
        self.rows = 0
        self.windows = Windows(rules)
        self.unique: UniqueIds | None = None
        self.evidence = Evidence()
        self.stretches = stretches
        self.coverage = Coverage(self.lost, self.is_blind, self._say)
        self.row_of: I32 = np.zeros(0, np.int32)
        self.code: I32 = np.zeros(0, np.int32)
        self.ids: I32 = np.zeros(0, np.int32)
        self.line: NDArray[np.int16] = np.zeros(0, np.int16)
        self.old_line: NDArray[np.int16] = np.zeros(0, np.int16)
        self.moved: I64 = np.zeros(0, np.int64)
        self.edge: I64 = np.zeros(0, np.int64)
        self.newest: I64 = np.zeros(0, np.int64)
        self.channel: I32 = np.zeros(0, np.int32)
        self.memory = FAR
        self.connected = FAR
        self.pending: dict[Window, None] = {}
        self.changed: list[tuple[int, int, int]] = []
        self.bar_codes: set[int] = set()
        self.bar_span = [FAR, NEVER]
        self.bar_runs: dict[tuple[int, int], list[int]] = {}
        self.bar_channels: dict[tuple[int, int], int] = {}
        self.rolling = Rolling()
        self.held: list[NDArray[Any]] = []
        self.given: list[NDArray[Any]] = []

    @property
    def live(self) -> bool:
        """Whether it is the lane of what arrives now."""
        return self.name == LIVE

    def row(self, code: int, channel: str) -> int:
        """The row of a symbol; a new one gets the next."""
        if code >= len(self.row_of) or self.row_of[code] < 0:
            self.admit(np.array([code], np.int32), channel)
        return int(self.row_of[code])

    def admit(self, codes: I32, channel: str) -> None:
        """Give the next rows to symbols that have none."""
        first, self.rows, top = self.rows, self.rows + len(codes), int(codes.max())
        if top >= len(self.row_of):
            self.row_of = longer(self.row_of, room(len(self.row_of), top + 1), -1)
        if self.rows > len(self.code):
            self._grow(room(len(self.code), self.rows))
        self.windows.grow(self.rows)
        self.coverage.grow(self.rows)
        self.row_of[codes] = np.arange(first, self.rows)
        self.code[first : self.rows], self.channel[first : self.rows] = codes, self.stretches.channel(channel)
        if self.dense is not None:
            self.ids[first : self.rows] = self.dense.add(codes.tolist())

    def _grow(self, rows: int) -> None:
        self.code, self.ids, self.channel = (longer(old, rows) for old in (self.code, self.ids, self.channel))
        self.line, self.edge = longer(self.line, rows, NO_LINE), longer(self.edge, rows, FAR)
        self.newest = longer(self.newest, rows, NEVER)
        self.old_line, self.moved = longer(self.old_line, rows, NO_LINE), longer(self.moved, rows, NEVER)

    def move(self, row: int, line: int, at: int) -> bool:
        """A series is heard by another line from a moment on, if that is news; before, what the old one heard counts."""
        moved = bool(self.line[row] not in (line, NO_LINE))
        if moved:
            self.old_line[row], self.moved[row] = self.line[row], at
        self.line[row] = line
        return moved

    @property
    def known(self) -> Known:
        """What is known of the ids of its series."""
        return NOTHING_KNOWN if self.dense is None else (self.dense.ids, self.dense.gaps, self.ids)

    def judge(self, c: Columns, begin: int, end: int) -> None:
        """Say of ticks whether they are new."""
        if self.dense is not None:
            self.dense.judge(self.ids, c, begin, end)
        elif self.unique is not None:
            self.unique.judge(c, begin, end)

    def follow(self, c: Columns, begin: int, end: int, snapshot: NDArray[np.bool_]) -> None:
        """Count snapshots that are behind the watermark, but not behind their own series, as accepted and not as late.

        A series of snapshots has a progress of its own: the rate of a day, or a closed market's last price, is as new as can be.
        """
        closed, counts = self.windows.closed, self.windows.counts
        for i in (begin + np.flatnonzero(snapshot[begin:end] & (c.new[begin:end] == NEW))).tolist():
            row, time = c.row[i], c.event_time[i]
            if self.newest[row] <= time < closed:
                counts[LATE] -= 1
                counts[ACCEPTED] += 1
            self.newest[row] = max(self.newest[row], time)

    def has(self, code: int) -> bool:
        """Whether it has ticks or bars of a symbol."""
        return code in self.bar_codes or bool(code < len(self.row_of) and self.row_of[code] >= 0)

    def has_each(self, code: I32) -> NDArray[np.bool_]:
        """`has` of many symbols."""
        known = np.append(self.row_of, -1)[np.minimum(code, len(self.row_of))] >= 0
        return known | np.isin(code, list(self.bar_codes)) if self.bar_codes else known

    def spoil(self, code: int, k: int, start: int) -> None:
        """Forget what is known of a window; a correction that waits in its slot is made from the past."""
        row = int(self.row_of[code]) if code < len(self.row_of) else -1
        lost = self.windows.spoil(row, k, start) if row >= 0 else None
        if lost is not None:
            self.pending[row, k, lost] = None

    def span(self) -> tuple[int, int]:
        """The oldest and the newest event time it has seen."""
        return min(self.windows.oldest, self.bar_span[0]), max(self.windows.newest, self.bar_span[1])

    @property
    def began(self) -> int:
        """Since when this lane has been watching: its first connection, else its first event time."""
        if self.memory != FAR:
            return self.memory
        return self.connected if self.connected != FAR else self.windows.oldest

    def freeze(self) -> None:
        """From the first closed window on it is settled when this lane began."""
        self.memory = self.began

    def lost(self, rows: I64, start: I64, end: I64) -> I64:
        """For each (row, window) how many trades are known to be lost."""
        return self._missing(rows, start, end, refused=False)

    def lacking(self, rows: I64, start: I64, end: I64) -> I64:
        """For each (row, window) how many trades are known that its bar lacks: those lost, and those that came and were refused."""
        return self._missing(rows, start, end, refused=True)

    def _missing(self, rows: I64, start: I64, end: I64, refused: bool) -> I64:
        if self.dense is None:
            return np.zeros(len(rows), np.int64)
        return self.dense.missing(self.ids[rows], start, end, refused)

    def watched(self, rows: I64, start: I64, end: I64) -> tuple[F64, NDArray[np.bool_]]:
        """Which part of each window was watched, as far as no trade ids prove more; and whether the next id may prove more."""
        begin = np.maximum(start, self.since_each(rows))
        if self.dense is not None:
            for i in np.flatnonzero(begin > start).tolist():
                if self.dense.knows_earlier(int(self.ids[rows[i]])):
                    begin[i] = start[i]
        finish = end if self.live else np.minimum(end, self.windows.newest)
        seconds = np.maximum(finish - begin, 0)
        unproven = np.zeros(len(rows), np.bool_)
        if self.evidence.lines:
            after = begin
            if self.dense is not None:
                after = np.maximum(begin, self.dense.ids["top_time"][self.ids[rows]])
            blind = np.minimum(self._blind(rows, after, finish), seconds)
            unproven = blind > 0
            seconds = seconds - blind
        return seconds / (end - start), unproven

    def _blind(self, rows: I64, start: I64, end: I64) -> I64:
        """How much of each window (start, end) the line that a series had at each moment was blind (us)."""
        moved = self.moved[rows]
        blind = self.evidence.blind(self._lines(rows), np.maximum(start, moved), end)
        if (moved > start).any():
            blind = blind + self.evidence.blind(self.old_line[rows], start, np.minimum(end, moved))
        return blind

    def since(self, row: int) -> int:
        """Since when a series is watched."""
        return int(self.since_each(np.array([row]))[0])

    def since_each(self, rows: I64) -> I64:
        """`since` of several."""
        own = self.edge[rows]
        since = np.where(own != FAR, own, self.began)
        if self.dense is None:
            return since
        # a trade may come with a time before the line was noted as connected: from its id on no loss goes unseen
        seen = self.dense.ids[self.ids[rows]]
        proven = (own != FAR) & (seen["top"] >= seen["start"])
        return np.where(proven, np.minimum(since, seen["start_time"]), since)

    def _say(self, row: I64, *stretch: NDArray[Any]) -> None:
        self.stretches.say(self.code[row], self.channel[row], *stretch)

    def is_blind(self, rows: I64, start: I64, end: I64) -> NDArray[np.bool_]:
        """For each (row, window) whether nothing was heard in a part of it and no id says what happened."""
        if not self.evidence.lines:
            return np.zeros(len(rows), np.bool_)
        return self.watched(rows, start, end)[1]

    def await_proof(self, rows: I64, start: I64) -> None:
        """Have the next id of some series say again how complete their windows from `start` on are."""
        if self.dense is not None:
            np.minimum.at(self.dense.ids["unproven"], self.ids[rows], start)

    def _lines(self, rows: I64) -> NDArray[np.int16]:
        lines = self.line[rows]
        default = self.evidence.lines.get("")
        return np.where(lines == NO_LINE, self.evidence.number(""), lines) if default else lines

    def snapshot(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """All state as arrays, and what is not an array."""
        n = self.rows
        cover, blind = self.coverage.snapshot(n)
        arrays = {f"windows.{name}": array for name, array in self.windows.snapshot().items()}
        arrays |= {f"cover.{name}": array for name, array in cover.items()}
        arrays |= {f"unique.{name}": array for name, array in (self.unique.snapshot() if self.unique else {}).items()}
        arrays |= {name: getattr(self, name)[:n] for name in BY_ROW}
        for name in WAITING:
            if getattr(self, name):
                arrays[name] = np.concatenate(getattr(self, name))
        values = {
            "unique": self.unique is not None, "memory": self.memory, "connected": self.connected,
            "pending": list(self.pending), "changed": self.changed, "bar_codes": sorted(self.bar_codes),
            "bar_span": self.bar_span, "bar_runs": [[*key, *run] for key, run in self.bar_runs.items()],
            "bar_channels": [[*key, channel] for key, channel in self.bar_channels.items()],
            "evidence": self.evidence.snapshot(), "cover": blind, "rolling": self.rolling.snapshot(),
        }  # fmt: skip
        return arrays, values

    def restore(self, arrays: Mapping[str, NDArray[Any]], values: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""

        self.windows.restore(part(arrays, "windows."))
        self.unique = UniqueIds.restored(part(arrays, "unique.")) if values["unique"] else None
        n = self.rows = len(arrays["code"])
        self._grow(n)
        for name in BY_ROW:
            if name in arrays:
                getattr(self, name)[:n] = arrays[name]
        self.row_of = np.full(int(self.code.max()) + 1 if n else 0, -1, np.int32)
        self.row_of[self.code[:n]] = np.arange(n)
        self.coverage.restore(part(arrays, "cover."), values["cover"])
        self.evidence.restore(values["evidence"])
        self.memory, self.connected = values["memory"], values["connected"]
        self.pending = dict.fromkeys((row, k, start) for row, k, start in values["pending"])
        self.changed = [(row, since, until) for row, since, until in values["changed"]]
        self.bar_codes, self.bar_span = set(values["bar_codes"]), list(values["bar_span"])
        self.bar_runs = {(code, interval): [start, end] for code, interval, start, end in values["bar_runs"]}
        self.bar_channels = {(code, interval): number for code, interval, number in values.get("bar_channels", ())}
        if "rolling" in values:
            self.rolling.restore(values["rolling"])
        for name in WAITING:
            setattr(self, name, [arrays[name].astype(BARS)] if name in arrays else [])
