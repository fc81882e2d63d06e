"""Bars made again from the past, when the state no longer has their window or knows only one lane's part of it."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import TickBatch
from tickhouse.core.kernels import bars, tumbling
from tickhouse.core.kernels.bars import BARS
from tickhouse.core.kernels.tumbling import NEVER, SLOT
from tickhouse.core.model import Ids
from tickhouse.process import History
from tickhouse.process.identity import DenseIds, UniqueIds
from tickhouse.process.rules import Rules
from tickhouse.process.source import Source
from tickhouse.process.windows import Columns

FLAGS = np.arange(4, dtype=np.uint8)
Wanted = tuple[int, int]
"""The index of an interval, and a start (us)."""


class Again:
    """Makes bars from all ticks of a symbol, of every lane, by the very same kernels as the live ones."""

    def __init__(self, rules: Rules, history: History) -> None:
        self.rules, self._history = rules, history

    def bars(self, source: Source, code: int, wanted: Iterable[Wanted], before: int) -> NDArray[Any]:
        """The bars of windows of a symbol, of its ticks with positions below `before`; those without a price are left out."""
        made = [self._stretch(source, code, stretch, before) for stretch in self._stretches(wanted)]
        return np.concatenate(made) if made else np.zeros(0, BARS)

    def _stretches(self, wanted: Iterable[Wanted]) -> list[list[Wanted]]:
        """Windows that lie near each other, to be read at once."""
        lengths = self.rules.intervals_us
        stretches: list[list[Wanted]] = []
        end = NEVER
        for k, start in sorted(wanted, key=lambda window: (window[1], window[0])):
            if not stretches or start > end:
                stretches.append([])
            end = max(end, start + 2 * lengths[k])
            stretches[-1].append((k, start))
        return stretches

    def _stretch(self, source: Source, code: int, wanted: list[Wanted], before: int) -> NDArray[Any]:
        lengths = self.rules.intervals_us
        start, end = min(s for _, s in wanted), max(s + lengths[k] for k, s in wanted)
        batches = self._history.ticks(source.name, source.symbols[code], start, end, before)
        batches = [batch for batch in batches if len(batch)]
        if not batches:
            return np.zeros(0, BARS)
        columns = joined(source, batches)
        judge(source.ids, columns, self.rules.max_ahead_us)
        widths = [(end - start) // length + 2 for length in lengths]
        slots = folded(columns, lengths, widths)
        firsts = np.cumsum([0, *widths[:-1]]).tolist()
        names = [firsts[k] + s // lengths[k] % widths[k] for k, s in wanted]
        found = slots[0, names]
        good = (found["start"] == [s for _, s in wanted]) & (found["priced"] == 1)
        return bars_of(found[good], code, np.array([lengths[k] for k, _ in wanted], np.int64)[good])


def joined(source: Source, batches: Iterable[TickBatch]) -> Columns:
    """Ticks of one symbol as columns of row 0; `condition` are the bits of the conditions themselves."""
    parts = [(batch, source.meaning(batch.conditions)[batch.condition]) for batch in batches]
    names = ("event_time", "received_at", "price", "size", "first_id", "last_id", "raw")
    columns = {name: np.concatenate([getattr(batch, name) for batch, _ in parts]) for name in names}
    bits = np.concatenate([bits for _, bits in parts]).astype(np.int32)
    n = len(bits)
    return Columns(row=np.zeros(n, np.int32), condition=bits, meaning=FLAGS.copy(), new=np.ones(n, np.uint8), **columns)


def judge(ids: Ids, columns: Columns, patience: int) -> None:
    """Say of the ticks of one symbol which are new."""
    if ids is Ids.DENSE:
        dense = DenseIds(patience)
        dense.judge(dense.add([0]), columns, 0, len(columns.row))
    elif ids is Ids.UNIQUE:
        UniqueIds().judge(columns, 0, len(columns.row))


def folded(c: Columns, lengths: tuple[int, ...], widths: list[int]) -> NDArray[Any]:
    """The windows of ticks of one row; each interval has enough slots for all of its windows."""
    plan = np.zeros((len(lengths), 4), np.int64)
    plan[:, 0], plan[:, 1], plan[:, 2], plan[:, 3] = lengths, np.cumsum([0, *widths[:-1]]), widths, NEVER
    slots = np.zeros((1, sum(widths)), SLOT)
    touched, opened, dirtied = (np.zeros(sum(widths), np.int32) for _ in range(3))
    missed = np.empty((len(c.row) * len(lengths), 3), np.int64)
    tumbling.fold(
        slots, plan, c.row, c.new, c.event_time, c.received_at, c.price, c.size, c.first_id, c.last_id, c.raw,
        c.condition, c.meaning, 0, len(c.row), -1, 0, True, touched, opened, dirtied, missed, np.zeros(7, np.int64),
    )  # fmt: skip
    return slots


def bars_of(slots: NDArray[Any], code: int, length: NDArray[np.int64]) -> NDArray[Any]:
    """Priced slots of a symbol as bars without completeness and state."""
    made = np.zeros(len(slots), BARS)
    for slot, bar in zip(slots, made, strict=True):
        bars.write(slot, bar)
    made["code"], made["interval"] = code, length
    return made
