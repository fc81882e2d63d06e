"""A part of the symbols of a journal, so that several processes can share its ticks.

The watermark of a lane is moved by the ticks of all its symbols. So the records of a shard have, beside their own ticks, the few
*landmarks* among those of others: with them its watermark passes each whole second at the same tick as that of one engine
which has everything, and all shards together give the same bars, versions and coverage as that one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tickhouse.core.batches import I64, BarBatch, Passing, Record, TickBatch
from tickhouse.core.clock import SECOND
from tickhouse.core.marks import Event, Mark

M, MASK = 0x5BD1E995, 0xFFFFFFFF


@lru_cache(maxsize=1 << 16)
def partition(key: str, partitions: int) -> int:
    """The partition of a key, as Kafka's own clients choose it (murmur2).

    >>> partition("BTC-USDT", 8)
    6
    """
    data = key.encode()
    h = (0x9747B28C ^ len(data)) & MASK
    whole = len(data) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * M & MASK
        h = (h * M & MASK) ^ ((k ^ k >> 24) * M & MASK)
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * M & MASK
    h = (h ^ h >> 13) * M & MASK
    return ((h ^ h >> 15) & 0x7FFFFFFF) % partitions


@dataclass(frozen=True, slots=True)
class Shard:
    """The symbols of partition `number`, of `of` partitions.

    >>> Shard(6, 8).has("BTC-USDT"), str(Shard(6, 8))
    (True, '6of8')
    """

    number: int
    of: int

    @property
    def leads(self) -> bool:
        """Whether it is the shard that does what must be done once."""
        return self.number == 0

    def has(self, symbol: str) -> bool:
        """Whether a symbol belongs to it."""
        return partition(symbol, self.of) == self.number

    def __str__(self) -> str:
        return f"{self.number}of{self.of}"


def lacking(parts: Iterable[str]) -> bool:
    """Whether one is lacking of the parts of a group, which are named `<group>.<shard>`.

    >>> lacking(["process"]), lacking(["process.0of2"]), lacking(["process.0of2", "process.1of2"])
    (False, True, False)
    """
    names = list(parts)
    of = shared_by(names)
    return of is not None and of > len(names)


def shared_by(groups: Iterable[str]) -> int | None:
    """How many shards there are where groups are named `<group>.<shard>`; None where nothing is shared.

    >>> shared_by(["archive", "process.0of2", "process.1of2"]), shared_by(["archive", "process"])
    (2, None)
    """
    return next((found[1] for group in groups if (found := _named(group))), None)


def number_of(group: str) -> int:
    """The number of the shard of a group, which is named `<group>.<shard>`; 0 where it is of none.

    >>> number_of("process.6of8"), number_of("process")
    (6, 0)
    """
    found = _named(group)
    return found[0] if found else 0


def _named(group: str) -> tuple[int, int] | None:
    """The number of a group's shard, and how many there are."""
    number, _, of = group.rpartition(".")[2].partition("of")
    return (int(number), int(of)) if number.isdecimal() and of.isdecimal() else None


def landmarks(event_time: I64, received_at: I64) -> NDArray[np.intp]:
    """Which ticks (us), in order of arrival, are the first of their second, each older than all before, or the newest.

    Those of a second that are further ahead of their receive time, in whole seconds, count apart: a tick too far ahead moves no
    watermark, and must not hide one that does.
    """
    if len(event_time) < 2:
        return np.arange(len(event_time))
    second, ahead = event_time // SECOND, -((received_at - event_time) // SECOND)
    # most ticks are of the second of the one before: only the others are sorted
    runs = np.append(0, np.flatnonzero((second[1:] != second[:-1]) | (ahead[1:] != ahead[:-1])) + 1)
    first = runs[np.unique(np.stack((second[runs], ahead[runs])), axis=1, return_index=True)[1]]
    lowest = np.minimum.accumulate(event_time)
    older = np.flatnonzero(lowest[1:] < lowest[:-1]) + 1
    return np.unique(np.concatenate((first, older, [event_time.argmax()])))


def of_shard(records: Sequence[Record], shard: Shard | None) -> list[Record]:
    """What a shard needs of records; all of them where there is none."""
    return list(records) if shard is None else [cut(record, shard) for record in records]


def cut(record: Record, shard: Shard) -> Record:
    """What a shard needs of a record of the topic `ticks`. Observations and actions go to the shard that leads."""
    ticks, passing = None, None
    if record.ticks is not None and len(record.ticks):
        at = np.flatnonzero(_mine(record.ticks.symbols, shard)[record.ticks.symbol])
        ticks = record.ticks.take(at).compact() if len(at) else None
        passing = passed(record.ticks, at)
    return parted(replace(record, ticks=ticks, passing=passing), shard)


def passed(ticks: TickBatch, at: NDArray[np.intp]) -> Passing:
    """What a shard whose own ticks are at these places of a batch must know of the others."""
    marks = np.setdiff1d(landmarks(ticks.event_time, ticks.received_at), at)
    return Passing(len(ticks), at, marks, ticks.event_time[marks], ticks.received_at[marks], ticks.raw[marks])


def parted(record: Record, shard: Shard) -> Record:
    """A record whose ticks are those of a shard with what it needs of the rest."""
    marks, passing = tuple(_narrowed(mark, shard) for mark in record.marks), record.passing
    refused = [int(mark.detail["row"]) for mark in record.marks if mark.event is Event.REFUSED]
    if refused:
        passing = passing or Passing(0, *(np.zeros(0, np.int64) for _ in range(5)))
        passing = replace(passing, refused=np.array(refused, np.int64))
        marks = tuple(mark for mark in marks if mark.symbols or mark.event is not Event.REFUSED)
    record = replace(record, passing=passing, marks=marks, bars=_bars(record.bars, shard))
    return record if shard.leads else replace(record, observations=None, actions=None)


def _narrowed(mark: Mark, shard: Shard) -> Mark:
    return replace(mark, symbols=tuple(symbol for symbol in mark.symbols if shard.has(symbol)))


def _bars(bars: BarBatch | None, shard: Shard) -> BarBatch | None:
    if bars is None:
        return None
    mine = _mine(bars.symbols, shard)[bars.symbol]
    return bars if mine.all() else bars.take(mine) if mine.any() else None


def _mine(symbols: Sequence[str], shard: Shard) -> NDArray[np.bool_]:
    return np.array([shard.has(symbol) for symbol in symbols], np.bool_)
