"""What every lake of objects does alike, wherever its objects are: what is written, how it is read and searched and checked."""

import heapq
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO, Protocol, cast

import pyarrow as pa
from isal import isal_zlib
from isal.igzip_lib import IsalError

from tickhouse.core.batches import I64, RawBatch, Record, TickBatch
from tickhouse.core.errors import BadSetting, CorruptLog
from tickhouse.lake import LakeObject, _ticks
from tickhouse.lake import _envelope as envelope
from tickhouse.lake import _names as names
from tickhouse.lake._index import Day
from tickhouse.lake._ticks import LAST

GZIP = 31
"""The window bits that stand for a gzip header; its time is always 0, so that the same messages give the same bytes."""

DAMAGED = cast("tuple[type[Exception], ...]", (ValueError, OSError, IsalError))

Fill = Callable[[BinaryIO], object]
"""Writes what an object holds."""


class Days(Protocol):
    """What is known of the folders of objects."""

    def days(self, kind: str, source: str | None = None, channel: str | None = None) -> Iterable[Day]:
        """Every folder of objects of a kind, source and channel, in the order of their names, as it is now."""

    def recall(self, day: Day) -> None:
        """Take over the spans that are kept of a day, where it came without them."""

    def keep(self, day: Day) -> None:
        """Keep the spans that are known of a day for other processes, where that can be."""


class Objects(ABC):
    """A `Lake` whose objects are at some `place`, as errors call it; a backend says how one is put, read and found there."""

    def __init__(self, place: str, index: Days, compress_level: int) -> None:
        if compress_level not in range(4):
            raise BadSetting("lake.compress_level", compress_level, "0, 1, 2 or 3")
        self.place, self.compress_level = place, compress_level
        self._index = index

    @abstractmethod
    def content(self, item: LakeObject) -> bytes:
        """See `Lake.content`."""

    @abstractmethod
    def _there(self, name: str) -> bool:
        """Whether there is an object of a name."""

    @abstractmethod
    def _put(self, name: str, fill: Fill) -> LakeObject:
        """Make an object durable, unless it is there already."""

    @abstractmethod
    def _opened(self, name: str, size: int | None) -> AbstractContextManager[_ticks.Source]:
        """An object of ticks, to read parts of it."""

    @abstractmethod
    def _size(self, name: str) -> int:
        """The bytes of an object, where its day does not tell."""

    @abstractmethod
    def _forget_others(self, name: str) -> None:
        """Remove what an interrupted write left of this run: ticks from the same position, whose messages never came."""

    def take(self, item: LakeObject, content: bytes) -> LakeObject:
        """See `Lake.take`."""
        return self._put(item.name, lambda out: out.write(content))

    def write(self, records: Sequence[Record]) -> list[LakeObject]:
        """See `Lake.write`. The ticks of a run come before its messages: where the messages are, the ticks are."""
        runs: dict[tuple[str, str], list[Record]] = {}
        for record in records:
            runs.setdefault((record.source, record.channel), []).append(record)
        return [written for about, run in runs.items() for written in self._write_run(about, run)]

    def _write_run(self, about: tuple[str, str], run: Sequence[Record]) -> Iterator[LakeObject]:
        raws = [r.raw for r in run if r.raw is not None and len(r.raw)]
        ticks = [r.ticks for r in run if r.ticks is not None and len(r.ticks)]
        if not raws:
            return
        received, span = int(raws[0].received_at[0]), (run[0].first, run[-1].end - 1)
        bronze = names.name("bronze", about, received, span)
        if ticks:
            name = names.name("ticks", about, received, span)
            if not self._there(bronze):
                self._forget_others(name)
            yield self._put(name, lambda out: _ticks.write(ticks, out))
        yield self._put(bronze, lambda out: self._compress(raws, out))

    def objects(
        self, kind: str = "bronze", source: str | None = None, first: int = 0, last: int | None = None,
        channel: str | None = None,
    ) -> Iterator[LakeObject]:  # fmt: skip
        """See `Lake.objects`."""
        for day in self._index.days(kind, source, channel):
            for row in day.between(first, LAST if last is None else last).tolist():
                name, size = day.name(row), day.size(row)
                yield names.made(name, self._size(name) if size is None else size)

    def end(self, source: str, channel: str) -> int:
        """See `Lake.end`."""
        return max(
            (int(day.last.max()) + 1 for day in self._index.days("bronze", source, channel) if len(day.last)), default=0
        )

    def read(self, item: LakeObject) -> Iterator[RawBatch]:
        """See `Lake.read`."""
        try:
            yield from envelope.batches(_decompressed(self.content(item)), item.source, item.channel)
        except DAMAGED as error:
            raise CorruptLog(
                f"the object {item.name} in {self.place} is damaged: {error}; `tickhouse verify` names every such object: restore"
                " it from a backup, or archive it again from the journal if that still has it"
            ) from error

    def messages(self, first: int, last: int, source: str) -> Iterator[RawBatch]:
        """See `Lake.messages`. In order of position; only objects whose turn has come are in memory."""
        waiting = sorted(self.objects("bronze", source, first, last), key=lambda o: o.first, reverse=True)
        opened: list[tuple[int, RawBatch, Iterator[RawBatch]]] = []
        while waiting or opened:
            if waiting and (not opened or waiting[-1].first <= opened[0][0]):
                batches = self.read(waiting.pop())
            else:
                _, batch, batches = heapq.heappop(opened)
                yield batch
            for batch in batches:
                part = batch.take(max(first - batch.first, 0), max(last + 1 - batch.first, 0))
                if len(part):
                    heapq.heappush(opened, (part.first, part, batches))
                    break

    def ticks(
        self, source: str, symbol: str, start: int, end: int, first: int = 0, last: int | None = None
    ) -> Iterator[TickBatch]:
        """See `Lake.ticks`."""
        wanted = _ticks.Wanted(symbol, start, end, first, LAST if last is None else last)
        together: list[pa.Table] = []
        until = -1
        for low, high, name, size in self._possible(source, wanted):
            with self._undamaged(name), self._opened(name, size) as file:
                table = _ticks.matching(file, wanted)
            if table is None:
                continue
            if together and low > until:
                yield from _ticks.split(together)
                together = []
            together.append(table)
            until = max(until, high)
        if together:
            yield from _ticks.split(together)

    def _possible(self, source: str, wanted: _ticks.Wanted) -> list[tuple[int, int, str, int | None]]:
        """First and last position, name and size of the objects that may hold what is wanted, ordered by position."""
        found = []
        for day in self._index.days("ticks", source):
            rows = day.between(wanted.first, wanted.last)
            if not len(rows):
                continue
            self._index.recall(day)
            self._learn(day, rows[~day.spans["known"][rows]])
            rows = day.possible(rows, wanted.symbol, wanted.start, wanted.end)
            found += [(int(day.first[i]), int(day.last[i]), day.name(i), day.size(i)) for i in rows.tolist()]
        return sorted(found, key=lambda one: one[:3])

    def _learn(self, day: Day, rows: I64) -> None:
        """Read the spans of objects of ticks."""
        for row in rows.tolist():
            name = day.name(row)
            with self._undamaged(name), self._opened(name, day.size(row)) as file:
                day.spans[row] = (*_ticks.span(file), True)
        if len(rows):
            self._index.keep(day)

    @contextmanager
    def _undamaged(self, name: str) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise CorruptLog(
                f"the object {name} in {self.place} is damaged: {error}; restore it from a backup"
            ) from error

    def verify(self) -> tuple[int, tuple[str, ...]]:
        """See `Lake.verify`."""
        count, faults = 0, []
        for kind in names.SUFFIXES:
            for item in self.objects(kind):
                count += 1
                what = self._fault(item)
                if what:
                    faults.append(f"the object {item.name}: {what}")
        return count, tuple(faults)

    def _fault(self, item: LakeObject) -> str | None:
        try:
            if item.kind == "ticks":
                with self._opened(item.name, item.size) as file:
                    return _ticks.check(file, item.first, item.last)
            expected, position = item.first, item.first - 1
            for batch in self.read(item):
                if batch.first < expected:
                    return f"positions do not rise at {batch.first}"
                position = batch.first + len(batch) - 1
                expected = position + 1
            return None if position == item.last else f"ends at position {position}"
        except CorruptLog as error:
            return str(error.__cause__ or error)
        except (pa.ArrowException, OSError) as error:
            return str(error)

    def _compress(self, raws: Sequence[RawBatch], out: BinaryIO) -> None:
        packer = isal_zlib.compressobj(self.compress_level, wbits=GZIP)
        for raw in raws:
            for piece in envelope.lines(raw):
                out.write(packer.compress(piece))
        out.write(packer.flush())


def _decompressed(packed: bytes) -> bytes:
    unpacker = isal_zlib.decompressobj(wbits=GZIP)
    text: bytes = unpacker.decompress(packed)
    if not unpacker.eof:
        raise ValueError("it breaks off")
    if unpacker.unused_data:
        raise ValueError(f"{len(unpacker.unused_data)} bytes follow its end")
    return text
