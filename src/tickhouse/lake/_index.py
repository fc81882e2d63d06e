"""What a lake in folders has: a folder is listed again only when it has changed, statistics of ticks are read once.

An object's name never means anything else, so what is known of an object stays true. Spans of ticks are also kept in `.index`
beside the objects, for the processes that come after; what is there may be removed at any time.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import I64
from tickhouse.lake import _names as names

UNSURE_NS = 2_000_000_000
"""A folder that changed so lately may change once more and not show it: the clocks of file systems are coarse."""
SPAN = np.dtype([("begin", np.int64), ("end", np.int64), ("low", object), ("high", object), ("known", np.bool_)])
"""The event times and the symbols of an object of ticks, from lowest to highest, once they are known."""
Spans = list[tuple[int, int, tuple[int, int, str, str, bool]]]
"""First and last position of an object, and its span."""
CHECK = 8


@dataclass(frozen=True, slots=True)
class Day:
    """The objects of one folder, in order of position; `changed` is when the folder did (ns), 0 when that is unsure."""

    folder: str
    changed: int
    first: I64
    last: I64
    spans: NDArray[Any]
    sizes: I64 | None = None

    @classmethod
    def of(
        cls, folder: str, held: Sequence[tuple[int, int]], known: Spans, sizes: I64 | None = None, changed: int = 0
    ) -> "Day":
        """The day of a folder with objects of these first and last positions, and with the spans of those that are known."""
        first, last = np.array(held, np.int64).reshape(-1, 2).T
        day = cls(folder, changed, first, last, np.zeros(len(held), SPAN), sizes)
        day.recall(known)
        return day

    def recall(self, known: Spans) -> None:
        """Take over the spans that are known."""
        place = (
            {ends: row for row, ends in enumerate(zip(self.first.tolist(), self.last.tolist(), strict=True))}
            if known
            else {}
        )
        for begin, end, span in known:
            if (begin, end) in place:
                self.spans[place[begin, end]] = span

    def size(self, row: int) -> int | None:
        """The bytes of an object, where they were told with its name."""
        return None if self.sizes is None else int(self.sizes[row])

    def name(self, row: int) -> str:
        """The name of an object."""
        return names.inside(self.folder, int(self.first[row]), int(self.last[row]))

    def between(self, first: int, last: int) -> I64:
        """The rows of the objects that may hold positions from first to last."""
        return np.flatnonzero((self.first <= last) & (self.last >= first))

    def possible(self, rows: I64, symbol: str, start: int, end: int) -> I64:
        """Those of the rows, whose spans are known, that may hold ticks of a symbol with event times in [start, end) (us)."""
        span = self.spans[rows]
        there = (span["begin"] < end) & (span["end"] >= start) & (span["low"] <= symbol) & (span["high"] >= symbol)
        return rows[there.astype(np.bool_)]

    def known(self) -> Spans:
        """The objects whose spans are known."""
        rows = np.flatnonzero(self.spans["known"]).tolist()
        return [(int(self.first[row]), int(self.last[row]), self.spans[row].item()) for row in rows]


class Index:
    """The days of a lake below a folder. Safe to ask from several threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._days: dict[str, Day] = {}
        self._lock = threading.Lock()

    def days(self, kind: str, source: str | None = None, channel: str | None = None) -> list[Day]:
        """Every folder of objects of a kind, source and channel, in the order of their names, as it is now."""
        top = kind if source is None else names.folder(kind, source, channel)
        with self._lock:
            return [self._fresh(one) for one in self._folders(top) if channel is None or names.is_of(one, channel)]

    def recall(self, day: Day) -> None:
        """Nothing: a day comes with the spans that are kept of it."""

    def keep(self, day: Day) -> None:
        """Keep the spans that are known of a day for other processes. Where that cannot be, they read the objects themselves."""
        path = self._kept(day.folder)
        part = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            part.write_bytes(packed(day.known()))
            part.replace(path)

    def _folders(self, below: str) -> Iterator[str]:
        if not (self.root / below).is_dir():
            return
        with os.scandir(self.root / below) as entries:
            found = sorted(entry.name for entry in entries if entry.is_dir())
        for name in found:
            folder = f"{below}/{name}"
            if names.is_day(folder):
                yield folder
            else:
                yield from self._folders(folder)

    def _fresh(self, folder: str) -> Day:
        changed, known = (self.root / folder).stat().st_mtime_ns, self._days.get(folder)
        if known is None or known.changed != changed:
            spans = self._read(folder) if known is None else known.known()
            sure = time.time_ns() - changed > UNSURE_NS
            known = self._days[folder] = self._listed(folder, changed if sure else 0, spans)
        return known

    def _listed(self, folder: str, changed: int, known: Spans) -> Day:
        with os.scandir(self.root / folder) as entries:
            held = sorted(ends for entry in entries if (ends := names.held(folder, entry.name)) is not None)
        return Day.of(folder, held, known, changed=changed)

    def _read(self, folder: str) -> Spans:
        with suppress(OSError):
            return unpacked(self._kept(folder).read_bytes())
        return []

    def _kept(self, folder: str) -> Path:
        return self.root / kept_name(folder)


def kept_name(folder: str) -> str:
    """Where the spans of a folder are kept, below the lake's root."""
    return f".index/{quote(folder, safe='')}"


def packed(spans: Spans) -> bytes:
    """The spans that are known of a day, with a checksum."""
    text = msgspec.msgpack.encode(spans)
    return _sum(text) + text


def unpacked(text: bytes) -> Spans:
    """The spans that were packed; none where these are damaged."""
    if text[:CHECK] != _sum(text[CHECK:]):
        return []
    return msgspec.msgpack.decode(text[CHECK:], type=Spans)


def _sum(text: bytes) -> bytes:
    return blake2b(text, digest_size=CHECK).digest()
