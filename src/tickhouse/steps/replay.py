"""Bronze through the same pipeline again, into another house."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from heapq import merge

import numpy as np

from tickhouse.core.batches import RawBatch
from tickhouse.core.errors import BadSetting, SettingsError
from tickhouse.core.marks import LINK, Event, decode
from tickhouse.journal import Journal
from tickhouse.lake import Lake
from tickhouse.steps.heal import HEALED
from tickhouse.steps.ingest import Ingest
from tickhouse.steps.lanes import FIRST_LINE
from tickhouse.steps.past import Past

KEY = "replay"
"""Under which the new house keeps of which house it is a replay, and how far it came."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is taken of a house: messages received in [start, end) (us), `without` the loads of some files."""

    start: int | None = None
    end: int | None = None
    without: tuple[str, ...] = ()

    def has(self, batch: RawBatch) -> bool:
        """Whether the lane of a batch is taken."""
        return not any(is_load_of(batch.lane, file) for file in self.without)

    def of(self, batches: Iterator[RawBatch]) -> Iterator[RawBatch]:
        """The messages of this part, in their order."""
        for batch in batches:
            if self.has(batch):
                yield from self.between(batch)

    def between(self, batch: RawBatch) -> Iterator[RawBatch]:
        """The messages of a batch that were received in the time, in their order."""
        inside = (batch.received_at >= (self.start or 0)) & (batch.received_at < (self.end or 1 << 62))
        rows = inside.nonzero()[0].tolist()
        while rows:
            run = next((i for i in range(1, len(rows)) if rows[i] != rows[0] + i), len(rows))
            yield batch.take(rows[0], rows[0] + run)
            rows = rows[run:]


WHOLE = Part()


class Replay:
    """A part of one house as a replay into others. Raises `SettingsError` when there is no such part."""

    def __init__(self, old: Past, part: Part = WHOLE) -> None:
        self.old, self.part = old, part
        self._check_loads()
        self.name = self._name()

    def run(
        self, ingest: Ingest, speed: float | None = None, progress: Callable[[int], None] = lambda position: None
    ) -> int:
        """Take the messages in, at `speed` times the pace they came at (None: as fast as possible); returns how many.

        Killed at any moment and started again, it goes on where it stopped. `progress` is told the position in the old house.
        """
        taken, first, began = 0, None, time.monotonic()
        for batch in self._left(ingest, self.done(ingest.journal)):
            at = int(batch.received_at[0])
            first = at if first is None else first
            if speed:
                time.sleep(max(0.0, began + (at - first) / 1e6 / speed - time.monotonic()))
            end = batch.first + len(batch)
            ingest.insist([batch], (KEY, f"{self.name} {end}"))
            taken += len(batch)
            progress(end)
        return taken

    def done(self, journal: Journal) -> int:
        """Up to which position of the old house an earlier run came, 0 for a new house.

        Raises `SettingsError` when the house of the journal holds something else.
        """
        state = journal.resume(KEY)
        name, _, position = (state or "").partition(" ")
        if name == self.name:
            return int(position)
        if state or journal.end():
            what = "is a replay of another house, or of another part of it" if state else "has messages of its own"
            raise SettingsError(f"a replay makes a new house, and this one {what}; name another with --into")
        return 0

    def _left(self, ingest: Ingest, since: int) -> Iterator[RawBatch]:
        """The messages from a position on."""
        everything = _numbered(_once(_everything(self.old.journal, self.old.lake)))
        for batch in self.part.of(everything):
            done = min(max(since - batch.first, 0), len(batch))
            if done and batch.channel == LINK:
                for mark in map(decode, batch.take(0, done).payloads()):
                    ingest.lanes.learn(batch.source, batch.lane, mark)
            if done < len(batch):
                yield batch.take(done, len(batch))

    def _name(self) -> str:
        """Names what is replayed by its first message."""
        batch = next(_everything(self.old.journal, self.old.lake), None)
        if batch is None:
            raise SettingsError("there is nothing to replay: the house has no messages")
        digest = blake2b(repr((batch.source, batch.lane, int(batch.received_at[0]), self.part)).encode(), digest_size=8)
        digest.update(batch.payload(0))
        return digest.hexdigest()

    def _check_loads(self) -> None:
        if not self.part.without:
            return
        lanes = list(dict.fromkeys(lane for _, lane, _ in self.old.begins()))
        for file in self.part.without:
            if not any(is_load_of(lane, file) for lane in lanes):
                known = ", ".join(lane for lane in lanes if lane.startswith("load:")) or "none"
                raise BadSetting(
                    "--without", file, f"a file that was loaded, or the name of its load (there are: {known})"
                )


def is_load_of(lane: str, file: str) -> bool:
    """Whether a lane is a load of a file, which is given by its name or by that of the lane.

    >>> is_load_of("load:a.csv:0f3c", "a.csv"), is_load_of("load:a.csv:0f3c", "load:a.csv:0f3c"), is_load_of("live", "a.csv")
    (True, True, False)
    """
    return lane == file or lane.startswith((f"load:{file}:", f"{file}:{HEALED}"))


def _everything(journal: Journal, lake: Lake) -> Iterator[RawBatch]:
    """All messages; what the journal lets go of meanwhile is in the lake."""
    position = 0
    while True:
        begin = journal.begin()
        if position < begin:
            yield from _archived(lake, position, begin - 1)
            position = begin
        records = journal.read("raw", position)
        if not records:
            return
        if records[0].first > position and journal.begin() > position:
            continue
        yield from (record.raw for record in records if record.raw is not None)
        position = records[-1].end


def _archived(lake: Lake, first: int, last: int) -> Iterator[RawBatch]:
    """The messages between two positions, inclusive, of all sources, in order of position."""
    sources = dict.fromkeys(item.source for item in lake.objects("bronze"))
    return merge(*(lake.messages(first, last, source) for source in sources), key=lambda batch: batch.first)


def _numbered(batches: Iterator[RawBatch]) -> Iterator[RawBatch]:
    """The messages with the numbers of their lines, where each is a line of a file."""
    next_line: dict[tuple[str, str], int] = {}
    for batch in batches:
        key = batch.source, batch.lane
        if batch.channel == LINK:
            for mark in map(decode, batch.payloads()):
                if mark.event is Event.BEGIN and FIRST_LINE in mark.detail:
                    next_line[key] = int(mark.detail[FIRST_LINE])
                else:
                    next_line.pop(key, None)
        if key in next_line and batch.channel != LINK:
            yield replace(batch, lines=np.arange(len(batch)) + next_line[key])
            next_line[key] += len(batch)
        else:
            yield batch


def _once(batches: Iterator[RawBatch]) -> Iterator[RawBatch]:
    """The messages without those that were healed: what was refused once is parsed again by any replay."""
    copies: set[tuple[str, str]] = set()
    for batch in batches:
        key = batch.source, batch.lane
        if batch.channel != LINK:
            if key not in copies:
                yield batch
            continue
        marks = list(map(decode, batch.payloads()))
        if not any(HEALED in mark.detail for mark in marks):
            yield batch
            continue
        for index, mark in enumerate(marks):
            if HEALED not in mark.detail:
                yield batch.take(index, index + 1)
            elif mark.event is Event.BEGIN:
                copies.add(key)
            else:
                copies.discard(key)
