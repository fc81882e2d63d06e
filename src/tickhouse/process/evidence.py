"""What the marks of a lane say: since when each line is heard, and when it was not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import I64
from tickhouse.core.marks import HEARD, Mark

FAR = np.iinfo(np.int64).max
NO_LINE = -1
MOST_STRETCHES = 1000
"""So many blind stretches of a line are remembered."""


@dataclass
class Line:
    """One connection: its channel, the first moment there is evidence of, and when it was blind, as [from, to] times (us)."""

    channel: str
    since: int
    blind: list[list[int]] = field(default_factory=list)

    @property
    def is_blind(self) -> bool:
        """Whether it hears nothing now."""
        return bool(self.blind) and self.blind[-1][1] == FAR


class Evidence:
    """The lines of a live lane. A series belongs to the line that named it last, or to the one that names no symbols."""

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}

    def take(self, mark: Mark) -> int:
        """Take a mark in; returns from when on the line is blind if that is news, else FAR."""
        line = self.lines.get(mark.line)
        hears = mark.event in HEARD
        if line is None:
            line = self.lines[mark.line] = Line(mark.channel, mark.at)
        if hears and line.is_blind:
            line.blind[-1][1] = max(mark.at, line.blind[-1][0])
        if not hears and not line.is_blind:
            line.blind.append([mark.at, FAR])
            del line.blind[:-MOST_STRETCHES]
            return mark.at
        return FAR

    def number(self, name: str) -> int:
        """The place of a line among the lines."""
        return list(self.lines).index(name)

    def blind(self, line: NDArray[np.int16], start: I64, end: I64) -> I64:
        """How much of each window (start, end) its line was blind (us); `line` are places of lines, or NO_LINE."""
        total = np.zeros(len(line), np.int64)
        low, high = (int(start.min()), int(end.max())) if len(line) else (0, 0)
        for number, one in enumerate(self.lines.values()):
            for since, until in one.blind:
                if since < high and until > low:
                    overlap = np.minimum(end, until) - np.maximum(start, since)
                    total += np.where(line == number, np.maximum(overlap, 0), 0)
        return total

    def edges(self, start: int, end: int) -> list[int]:
        """The moments in [start, end) at which a line became blind or was heard again."""
        moments = (moment for line in self.lines.values() for stretch in line.blind for moment in stretch)
        return [moment for moment in moments if start <= moment < end]

    def snapshot(self) -> dict[str, Any]:
        """All state as plain values."""
        return {name: [line.channel, line.since, line.blind] for name, line in self.lines.items()}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Go on from a snapshot."""
        self.lines = {name: Line(channel, since, blind) for name, (channel, since, blind) in values.items()}
