"""The state of every series (source, symbol, interval): one row of floats for each indicator and detector."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import F64, I64, BarBatch
from tickhouse.core.errors import SettingsError
from tickhouse.process import Detector, Indicator
from tickhouse.process.growth import longer, room
from tickhouse.process.state import ANEW

DAY_US = 86_400_000_000
NEVER = np.iinfo(np.int64).min
"""The newest start, and the day, of a series that has seen no bar."""
FIELDS = ("start", "open", "high", "low", "close", "volume", "vwap")

VERDICT = ("value", "threshold")
"""The outputs of every detector."""

Key = tuple[str, int]
"""A source and an interval in microseconds."""


class SeriesTable:
    """Rows of state, and of each an *anchor*: a copy as of the start of the UTC day of its newest bar.

    Members whose state a few bars decide have no anchor: they are fed these bars again (`recall`), at most `memory` of them.
    `newest` is the start of the newest bar of each series. What a row says depends only on the bars that its series was fed,
    not on how they were cut.
    """

    def __init__(self, members: Sequence[Indicator | Detector]) -> None:
        self._members = list(members)
        self.memory = max((one.memory for one in members if one.memory is not None), default=0)
        self._outputs = np.cumsum([0, *(len(getattr(one, "outputs", VERDICT)) for one in members)])
        self._rows: dict[Key, dict[str, int]] = {}
        self._count = 0
        self.newest: I64 = np.empty(0, np.int64)
        self._day: I64 = np.empty(0, np.int64)
        self._states: list[F64] = [np.zeros((0, one.width)) for one in members]
        self._anchors: dict[int, F64] = {
            i: np.zeros((0, one.width)) for i, one in enumerate(members) if one.memory is None
        }

    def __len__(self) -> int:
        return self._count

    def rows_of(self, bars: BarBatch) -> I64:
        """The row of each bar's series; a series not seen before gets a new one."""
        rows = np.empty(len(bars), np.int64)
        for interval in np.unique(bars.interval).tolist():
            known = self._rows.setdefault((bars.source, interval), {})
            here = np.flatnonzero(bars.interval == interval)
            codes, inverse = np.unique(bars.symbol[here], return_inverse=True)
            names = [bars.symbols[code] for code in codes.tolist()]
            for name in names:
                if name not in known:
                    known[name] = self._count
                    self._count += 1
            rows[here] = np.array([known[name] for name in names], np.int64)[inverse]
        if self._count > len(self.newest):
            self._grow(self._count)
        return rows

    def advance(self, rows: I64, bars: Mapping[str, NDArray[Any]]) -> F64:
        """Feed n bars newer than all before them, those of a series in order of start; returns all outputs, shape (n, outputs).

        Where a series comes to a new day, its anchor is set just before the first bar of the newest day.
        """
        day = bars["start"] // DAY_US
        last = self._day.copy()
        np.maximum.at(last, rows, day)
        out = np.empty((len(rows), int(self._outputs[-1])))
        turning = last[rows] > self._day[rows]
        earlier = np.flatnonzero(day < last[rows])
        self._feed(rows, bars, earlier, out)
        turned = np.unique(rows[turning])
        for i, anchor in self._anchors.items():
            anchor[turned] = self._states[i][turned]
        self._day = last
        self._feed(rows, bars, np.flatnonzero(day == last[rows]), out)
        np.maximum.at(self.newest, rows, bars["start"])
        return out

    def day_start(self, rows: I64) -> I64:
        """Where the day of each series' newest bar starts (us), NEVER where it has none."""
        day = self._day[rows]
        return np.where(day == NEVER, NEVER, np.where(day == NEVER, 0, day) * DAY_US)

    def to_anchor(self, rows: I64) -> None:
        """Put series back to the start of the day of their newest bar; what has no anchor is put back by `recall`."""
        for i, state in enumerate(self._states):
            state[rows] = self._anchors[i][rows] if i in self._anchors else 0.0

    def recall(self, rows: I64, bars: Mapping[str, NDArray[Any]]) -> None:
        """Feed what has no anchor the last `memory` bars before the day of each series, those of a series in order of start."""
        for i, one in enumerate(self._members):
            if i not in self._anchors:
                one.update(self._states[i], rows, bars)

    def to_nothing(self, rows: I64) -> None:
        """Put series back to before their first bar."""
        for state in self._states:
            state[rows] = 0.0
        self._day[rows] = self.newest[rows] = NEVER

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Everything as arrays of numbers."""
        names = [[source, interval, list(known.items())] for (source, interval), known in self._rows.items()]
        arrays: dict[str, NDArray[Any]] = {
            "series": np.frombuffer(json.dumps(names).encode(), np.uint8),
            "members": np.frombuffer(json.dumps(self._labels()).encode(), np.uint8),
            "newest": self.newest[: self._count].copy(),
            "day": self._day[: self._count].copy(),
        }
        for kind, held in (("state", enumerate(self._states)), ("anchor", self._anchors.items())):
            arrays |= {f"{kind}.{i}": array[: self._count].copy() for i, array in held}
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a snapshot, also of a version that kept an anchor of every member.

        Raises `SettingsError` when it was made with other indicators or detectors.
        """
        made = json.loads(arrays["members"].tobytes())
        if made != self._labels():
            raise SettingsError(
                f"the stored state has {', '.join(made)}, the settings have {', '.join(self._labels())}; "
                f"put the settings back, or {ANEW}"
            )
        lost = [self._members[i].label for i in self._anchors if f"anchor.{i}" not in arrays]
        if lost:
            raise SettingsError(
                f"the stored state was made when {', '.join(lost)} remembered a few bars only; "
                "put the old definition back, or begin a new house"
            )
        named = json.loads(arrays["series"].tobytes())
        self._rows = {(source, interval): dict(known) for source, interval, known in named}
        self.newest, self._day = arrays["newest"].copy(), arrays["day"].copy()
        self._count = len(self.newest)
        self._states = [arrays[f"state.{i}"].copy() for i in range(len(self._members))]
        self._anchors = {i: arrays[f"anchor.{i}"].copy() for i in self._anchors}

    def _grow(self, count: int) -> None:
        more = room(len(self.newest), count)
        self.newest, self._day = (longer(old, more, NEVER) for old in (self.newest, self._day))
        self._states = [longer(old, more) for old in self._states]
        self._anchors = {i: longer(old, more) for i, old in self._anchors.items()}

    def _feed(self, rows: I64, bars: Mapping[str, NDArray[Any]], chosen: I64, out: F64) -> None:
        if not len(chosen):
            return
        part = {name: np.ascontiguousarray(values[chosen]) for name, values in bars.items()}
        for i, one in enumerate(self._members):
            out[chosen, self._outputs[i] : self._outputs[i + 1]] = one.update(self._states[i], rows[chosen], part)

    def _labels(self) -> list[str]:
        return [one.label for one in self._members]
