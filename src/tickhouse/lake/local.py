"""The lake in a folder of this machine."""

import errno
import heapq
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
from isal import isal_zlib
from isal.igzip_lib import IsalError

from tickhouse.core.batches import I64, RawBatch, Record, TickBatch
from tickhouse.core.errors import BadSetting, CorruptLog, DiskFull
from tickhouse.lake import LakeObject, _ticks
from tickhouse.lake import _envelope as envelope
from tickhouse.lake import _names as names
from tickhouse.lake._index import Day, Index
from tickhouse.lake._ticks import LAST

GZIP = 31
"""The window bits that stand for a gzip header; its time is always 0, so that the same messages give the same bytes."""

DAMAGED = cast("tuple[type[Exception], ...]", (ValueError, OSError, IsalError))

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class LocalLake:
    """A `Lake` of files. An object is written under a temporary name, fsynced, renamed, and its folder fsynced."""

    def __init__(self, root: Path, compress_level: int) -> None:
        self.root, self.compress_level = root, compress_level
        self._index = Index(root)

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
            if not (self.root / bronze).exists():
                self._forget_others(name)
            yield self._put(name, lambda out: _ticks.write(ticks, out))
        yield self._put(bronze, lambda out: self._compress(raws, out))

    def objects(
        self, kind: str = "bronze", source: str | None = None, first: int = 0, last: int | None = None
    ) -> Iterator[LakeObject]:
        """See `Lake.objects`."""
        for day in self._index.days(kind, source):
            for row in day.between(first, LAST if last is None else last).tolist():
                name = day.name(row)
                yield names.made(name, (self.root / name).stat().st_size)

    def read(self, item: LakeObject) -> Iterator[RawBatch]:
        """See `Lake.read`."""
        try:
            yield from envelope.batches(_decompressed(self.root / item.name), item.source, item.channel)
        except DAMAGED as error:
            raise CorruptLog(
                f"the object {item.name} in {self.root} is damaged: {error}; `tickhouse verify` names every such object: restore"
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
        for low, high, name in self._possible(source, wanted):
            with self._undamaged(name):
                table = _ticks.matching(self.root / name, wanted)
            if table is None:
                continue
            if together and low > until:
                yield from _ticks.split(together)
                together = []
            together.append(table)
            until = max(until, high)
        if together:
            yield from _ticks.split(together)

    def _possible(self, source: str, wanted: _ticks.Wanted) -> list[tuple[int, int, str]]:
        """First and last position and name of the objects that may hold what is wanted, ordered by position."""
        found = []
        for day in self._index.days("ticks", source):
            rows = day.between(wanted.first, wanted.last)
            self._learn(day, rows[~day.spans["known"][rows]])
            rows = day.possible(rows, wanted.symbol, wanted.start, wanted.end)
            found += [(int(day.first[row]), int(day.last[row]), day.name(row)) for row in rows]
        return sorted(found)

    def _learn(self, day: Day, rows: I64) -> None:
        """Read the spans of objects of ticks."""
        for row in rows.tolist():
            name = day.name(row)
            with self._undamaged(name):
                day.spans[row] = (*_ticks.span(self.root / name), True)
        if len(rows):
            self._index.keep(day)

    @contextmanager
    def _undamaged(self, name: str) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise CorruptLog(
                f"the object {name} in {self.root} is damaged: {error}; restore it from a backup"
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

    def url(self, kind: str) -> str:
        """See `Lake.url`."""
        return f"{self.root}/{kind}/**/*{names.SUFFIXES[kind]}"

    def _fault(self, item: LakeObject) -> str | None:
        try:
            if item.kind == "ticks":
                return _ticks.check(self.root / item.name, item.first, item.last)
            expected, position = item.first, item.first - 1
            for batch in self.read(item):
                if batch.first < expected:
                    return f"positions do not rise at {batch.first}"
                position = batch.first + len(batch) - 1
                expected = position + 1
            return None if position == item.last else f"ends at position {position}"
        except CorruptLog as error:
            return str(error.__cause__)
        except (pa.ArrowException, OSError) as error:
            return str(error)

    def _compress(self, raws: Sequence[RawBatch], out: BinaryIO) -> None:
        packer = isal_zlib.compressobj(self.compress_level, wbits=GZIP)
        for raw in raws:
            for piece in envelope.lines(raw):
                out.write(packer.compress(piece))
        out.write(packer.flush())

    def _forget_others(self, name: str) -> None:
        """Remove what an interrupted write left of this run: ticks from the same position, whose messages never came."""
        path = self.root / name
        for other in path.parent.glob(f"{path.name[:20]}-*.parquet"):
            if other != path:
                other.unlink()

    def _put(self, name: str, fill: Callable[[BinaryIO], None]) -> LakeObject:
        """Make an object durable, unless it is there already."""
        path = self.root / name
        part = path.with_name(path.name + ".tmp")
        try:
            _make_folders(path.parent)
            if not path.exists():
                with part.open("wb") as out:
                    fill(out)
                    out.flush()
                    os.fsync(out.fileno())
                part.rename(path)
            _sync_folder(path.parent)
            size = path.stat().st_size
        except OSError as error:
            if part.exists():
                part.unlink()
            raise self._meaning(error) from error
        return names.made(name, size)

    def _meaning(self, error: OSError) -> DiskFull | BadSetting:
        if error.errno in FULL:
            return DiskFull(
                f"the lake {self.root} cannot grow ({error}); nothing is lost: free space on that disk and go on"
            )
        return BadSetting("lake.url", str(self.root), f"a folder that can be written ({error})")


def open(url: str, *, compress_level: int = 1) -> LocalLake:
    """The lake of a URL such as `file:///srv/lake` or `file://data/lake`. `compress_level` is 0 (fast) to 3 (small).

    Raises `BadSetting`.
    """
    scheme, _, path = url.partition("://")
    if scheme != "file" or not path:
        raise BadSetting("lake.url", url, "file:///path/to/lake")
    if compress_level not in range(4):
        raise BadSetting("lake.compress_level", compress_level, "0, 1, 2 or 3")
    return LocalLake(Path(path), compress_level)


def _decompressed(path: Path) -> bytes:
    unpacker = isal_zlib.decompressobj(wbits=GZIP)
    text: bytes = unpacker.decompress(path.read_bytes())
    if not unpacker.eof:
        raise ValueError("it breaks off")
    if unpacker.unused_data:
        raise ValueError(f"{len(unpacker.unused_data)} bytes follow its end")
    return text


def _make_folders(folder: Path) -> None:
    """Make a folder and those above it durable."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
