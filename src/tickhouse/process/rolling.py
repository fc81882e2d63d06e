"""Given bars rolled up: five minutes of 1m are one bar of 5m, where the provider sends none of that length itself.

**Which.** Every interval of the settings that is a whole multiple of the length of the bars that came. A window for which the
provider's own bar is known is never rolled up, whichever came first: its own is the version after ours. Where a lane has brought
own bars of a length for a symbol, ours waits for the next one as long as a late bar may take, so that a provider that sends both
is believed at once.

**When.** As soon as no part is missing; when the series has moved past the window; at the end of a load; and by the
clock, where nothing more comes. A part that comes or is revised later makes the next version.

**What.** Prices and counts of the newest version of each part, whatever made it: open of the first, close of the last, sums
rounded once. Completeness is that of the parts, a missing one counts as nothing. So a minute without trades, which some providers
leave out, makes its five minutes 0.8 complete: a lower bound, as everywhere.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import F64
from tickhouse.core.kernels.bars import BARS
from tickhouse.core.model import State

FAR = np.iinfo(np.int64).max
PATIENCE = 5
"""So many lengths of the shortest part after its end a window waits for what may come late."""
MOST_RUNS = 200
"""So many stretches of own bars of a series are remembered apart; beyond that the oldest two are one."""
PLAIN = np.dtype(f"V{BARS.itemsize}")
"""A bar whose fields are not told apart, as many arrays are joined more quickly."""

Series = tuple[int, int]
"""Symbol code, interval (us)."""
Span = tuple[int, int]
"""Interval (us), start (us)."""
Window = tuple[int, int, int]
"""Symbol code, interval (us), start (us)."""
Held = dict[int, set[int]]
"""By length, the starts of the bars that came."""
REDUCED = {
    "high": np.maximum, "low": np.minimum, "trades": np.add, "first_raw": np.minimum, "last_raw": np.maximum,
    "known_at": np.maximum,
}  # fmt: skip


@dataclass
class Own:
    """Which stretches of each series the provider has sent bars of itself."""

    runs: dict[Series, list[int]] = field(default_factory=dict)
    """Begins and ends in turn, apart from each other and in order."""

    def add(self, series: Series, since: int, until: int) -> None:
        """Bars of a series cover [since, until)."""
        edges = self.runs.setdefault(series, [])
        first, last = bisect_left(edges, since), bisect_right(edges, until)
        edges[first:last] = [since] * (first % 2 == 0) + [until] * (last % 2 == 0)
        if len(edges) > 2 * MOST_RUNS:
            del edges[1:3]

    def has(self, window: Window) -> bool:
        """Whether an own bar lies in a window."""
        code, interval, start = window
        edges = self.runs.get((code, interval), ())
        place = bisect_right(edges, start)
        return place % 2 == 1 or (place < len(edges) and edges[place] < start + interval)

    def snapshot(self) -> list[Any]:
        """All state as plain values."""
        return [[*series, edges] for series, edges in self.runs.items()]

    def restore(self, values: Iterable[Any]) -> None:
        """Go on from a snapshot."""
        self.runs = {(code, interval): list(edges) for code, interval, edges in values}


@dataclass
class Rolling:
    """What of a lane is to be rolled up. All of it is by symbol code."""

    lengths: dict[int, set[int]] = field(default_factory=dict)
    """The lengths of which bars came."""
    waiting: dict[int, dict[Span, Held]] = field(default_factory=dict)
    """The windows that wait, and what came for them since they do."""
    ends: dict[Series, int] = field(default_factory=dict)
    """Where the newest bar of a series ends."""
    done: dict[Series, int] = field(default_factory=dict)
    """The newest window that was due; an older one waits for nothing."""
    soonest: int = 0
    """No window is overdue before (us)."""

    def touch(self, rows: NDArray[Any], intervals: Sequence[int]) -> None:
        """Bars came that say something new: their windows wait."""
        for code, length in series_of(rows):
            starts = rows["start"][(rows["code"] == code) & (rows["interval"] == length)]
            self.ends[code, length] = max(self.ends.get((code, length), 0), int(starts.max()) + length)
            for interval in intervals:
                if interval > length and interval % length == 0:
                    self._wait(code, (length, interval), starts.tolist())

    def _wait(self, code: int, lengths: tuple[int, int], starts: list[int]) -> None:
        length, interval = lengths
        waiting = self.waiting.setdefault(code, {})
        for start in starts:
            waiting.setdefault((interval, start - start % interval), {}).setdefault(length, set()).add(start)
        self.soonest = min(self.soonest, *starts)

    def meet(self, series: Iterable[Series]) -> None:
        """Bars of these series came."""
        for code, length in series:
            self.lengths.setdefault(code, set()).add(length)

    def parts(self, window: Window) -> list[int]:
        """The lengths of bars that a window can be made of, the shortest first."""
        code, interval, _ = window
        return sorted(length for length in self.lengths.get(code, ()) if length < interval and interval % length == 0)

    def take_due(self, codes: Iterable[int]) -> list[Window]:
        """The windows of symbols that have nothing to wait for; they wait no more."""
        due = []
        for code in codes:
            for (interval, start), held in self.waiting.get(code, {}).items():
                if self._is_due((code, interval, start), held):
                    due.append((code, interval, start))
        return self._let_go(due)

    def take_overdue(self, now: int | None) -> list[Window]:
        """The windows that have waited long enough at a time (us; None: all); they wait no more."""
        if now is not None and now < self.soonest:
            return []
        windows = [(code, *span) for code, spans in self.waiting.items() for span in spans]
        until = [interval + start + self._patience((code, interval, start)) for code, interval, start in windows]
        due = [window for window, end in zip(windows, until, strict=True) if now is None or end <= now]
        self.soonest = min((end for end in until if now is not None and end > now), default=FAR)
        return self._let_go(due)

    def _is_due(self, window: Window, held: Held) -> bool:
        code, interval, start = window
        end = max(self.ends[code, length] for length in held)
        if interval in self.lengths[code]:
            return end > start + interval + self._patience(window)
        whole = any(len(starts) == interval // length for length, starts in held.items())
        return whole or end > start + interval or start <= self.done.get((code, interval), start - 1)

    def _patience(self, window: Window) -> int:
        return PATIENCE * self.parts(window)[0]

    def _let_go(self, windows: list[Window]) -> list[Window]:
        for code, interval, start in windows:
            del self.waiting[code][interval, start]
            self.done[code, interval] = max(self.done.get((code, interval), start), start)
            if not self.waiting[code]:
                del self.waiting[code]
        return windows

    def snapshot(self) -> dict[str, Any]:
        """All state as plain values."""
        return {
            "lengths": [[code, sorted(lengths)] for code, lengths in self.lengths.items()],
            "waiting": [
                [code, *span, [[length, sorted(starts)] for length, starts in held.items()]]
                for code, spans in self.waiting.items()
                for span, held in spans.items()
            ],
            "ends": [[*series, end] for series, end in self.ends.items()],
            "done": [[*series, start] for series, start in self.done.items()],
        }

    def restore(self, values: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        self.lengths = {code: set(lengths) for code, lengths in values["lengths"]}
        self.waiting = {}
        for code, interval, start, held in values["waiting"]:
            self.waiting.setdefault(code, {})[interval, start] = {length: set(starts) for length, starts in held}
        self.ends = {(code, length): end for code, length, end in values["ends"]}
        self.done = {(code, interval): start for code, interval, start in values["done"]}


def series_of(rows: NDArray[Any]) -> list[Series]:
    """The series that bars are of."""
    lengths, places = np.unique(rows["interval"], return_inverse=True)
    pairs = np.unique(rows["code"] * len(lengths) + places).tolist()
    return [(pair // len(lengths), int(lengths[pair % len(lengths)])) for pair in pairs]


def rolled(windows: Sequence[Window], parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The bar of each window from its parts: bars of one length, each once, in order of start."""
    rows, bars = np.concatenate([part.view(PLAIN) for part in parts]).view(BARS), np.zeros(len(windows), BARS)
    cuts = np.cumsum([0, *map(len, parts)])
    first, last = cuts[:-1], cuts[1:] - 1
    for place, name in enumerate(("code", "interval", "start")):
        bars[name] = [window[place] for window in windows]
    bars["open"], bars["close"], bars["state"] = rows["open"][first], rows["close"][last], State.FINAL
    for name, reduce in REDUCED.items():
        bars[name] = reduce.reduceat(rows[name], first)
    watched = _sums(rows["completeness"] * rows["interval"], cuts)
    bars["completeness"] = np.minimum(watched / bars["interval"], 1.0)
    traded = rows["volume"] > 0
    bars["volume"], worth = _sums(rows["volume"], cuts), _sums(np.where(traded, rows["vwap"] * rows["volume"], 0), cuts)
    bars["vwap"] = np.divide(worth, bars["volume"], out=np.full(len(bars), np.nan), where=bars["volume"] > 0)
    return bars


def _sums(values: F64, cuts: NDArray[np.int64]) -> F64:
    """The sum of each part, rounded once."""
    plain, edges = values.tolist(), cuts.tolist()
    return np.array([math.fsum(plain[begin:end]) for begin, end in pairwise(edges)])
