"""Many small records as one: live messages come a few at a time, and arrays of a few rows cost more than what is in them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tickhouse.core.batches import I32, RawBatch, Record, TickBatch

SMALL = 1024
"""A record of so many messages is left as it is."""
PACK, FEW = 256, 16
"""How many small records make one; fewer, where something else comes between, and how many are not worth it."""


class Packed:
    """Records of one run in order; small ones that follow each other without a gap, in one lane, become one record.

    What is packed depends on the records alone, so a run that is gone over again is packed in the same way.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._small = 0

    def add(self, record: Record) -> None:
        """Take in the next record."""
        small = record.count < SMALL and record.raw is not None and record.bars is None
        if self._small and not (small and follows(self.records[-1], record)):
            self._pack()
        self.records.append(record)
        self._small += small
        if self._small == PACK:
            self._pack()

    def _pack(self) -> None:
        """Make one of the small records at the end, where they are enough."""
        if self._small >= FEW:
            self.records[-self._small :] = [one(self.records[-self._small :])]
        self._small = 0


def follows(before: Record, record: Record) -> bool:
    """Whether a record begins where another of its source, channel and lane ends."""
    same = (before.source, before.channel, before.lane) == (record.source, record.channel, record.lane)
    return same and before.end == record.first


def one(records: Sequence[Record]) -> Record:
    """One record with the messages and ticks of several, which follow each other."""
    ticks = [r.ticks for r in records if r.ticks is not None and len(r.ticks)]
    kinds = [r.kinds for r in records if r.kinds is not None]
    return replace(
        records[0],
        count=records[-1].end - records[0].first,
        received_at=records[-1].received_at,
        raw=_raw([r.raw for r in records if r.raw is not None]),
        kinds=np.concatenate(kinds) if len(kinds) == len(records) else None,
        ticks=_ticks(ticks) if ticks else None,
        marks=tuple(mark for r in records for mark in r.marks),
    )


def _raw(parts: Sequence[RawBatch]) -> RawBatch:
    """The messages in one buffer that holds nothing else."""
    used = [part.packed() for part in parts]
    starts = np.cumsum([0, *(len(part.data) for part in used[:-1])])
    return replace(
        used[0],
        data=np.concatenate([part.data for part in used]),
        offsets=np.concatenate([part.offsets + start for part, start in zip(used, starts, strict=True)]),
        ends=np.concatenate([part.ends + start for part, start in zip(used, starts, strict=True)]),
        received_at=np.concatenate([part.received_at for part in used]),
    )


def _ticks(parts: Sequence[TickBatch]) -> TickBatch:
    """The ticks in order, with one dictionary of symbols and one of conditions."""
    symbols: dict[str, int] = {}
    conditions: dict[str, int] = {"": 0}
    symbol = [_coded(symbols, part.symbols)[part.symbol] for part in parts]
    condition = [_coded(conditions, part.conditions)[part.condition] for part in parts]

    def joined(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    return replace(
        parts[0],
        symbols=list(symbols), symbol=np.concatenate(symbol), conditions=list(conditions),
        condition=np.concatenate(condition), event_time=joined("event_time"), received_at=joined("received_at"),
        price=joined("price"), size=joined("size"), first_id=joined("first_id"), last_id=joined("last_id"),
        raw=joined("raw"),
    )  # fmt: skip


def _coded(known: dict[str, int], names: Sequence[str]) -> I32:
    """The codes of names in a dictionary that grows with them."""
    return np.array([known.setdefault(name, len(known)) for name in names], np.int32)
