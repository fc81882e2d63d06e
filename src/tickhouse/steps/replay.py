"""Bronze through the same pipeline again, into another house."""

import time
from collections.abc import Callable, Iterator
from heapq import merge
from operator import attrgetter

from tickhouse.core.batches import RawBatch
from tickhouse.core.marks import LINK, Event, decode
from tickhouse.journal import Journal
from tickhouse.lake import Lake
from tickhouse.steps.heal import HEALED
from tickhouse.steps.ingest import Ingest


def messages(journal: Journal, lake: Lake, start: int | None = None, end: int | None = None) -> Iterator[RawBatch]:
    """Every raw message received in [start, end) (us), as the journal and the lake have them, ordered by position."""
    for batch in _once(_everything(journal, lake)):
        yield from _between(batch, start, end)


def _everything(journal: Journal, lake: Lake) -> Iterator[RawBatch]:
    begin = position = journal.begin()
    if begin:
        yield from _archived(lake, begin)
    while records := journal.read("raw", position):
        yield from (record.raw for record in records if record.raw is not None)
        position = records[-1].end


def replay(batches: Iterator[RawBatch], ingest: Ingest, speed: float | None, progress: Callable[[int], None]) -> int:
    """Take raw messages in again, at `speed` times the pace they came at (None: as fast as possible)."""
    taken, first, began = 0, None, time.monotonic()
    for batch in batches:
        at = int(batch.received_at[0])
        first = at if first is None else first
        if speed:
            time.sleep(max(0.0, began + (at - first) / 1e6 / speed - time.monotonic()))
        ingest.take([batch])
        taken += len(batch)
        progress(taken)
    return taken


def _archived(lake: Lake, before: int) -> Iterator[RawBatch]:
    """The messages below a position, of all sources, in order of position."""
    sources = dict.fromkeys(item.source for item in lake.objects("bronze"))
    return merge(*(lake.messages(0, before - 1, source) for source in sources), key=attrgetter("first"))


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


def _between(batch: RawBatch, start: int | None, end: int | None) -> Iterator[RawBatch]:
    inside = (batch.received_at >= (start or 0)) & (batch.received_at < (end or 1 << 62))
    if inside.all():
        yield batch
    elif inside.any():
        rows = inside.nonzero()[0]
        yield batch.take(int(rows[0]), int(rows[-1]) + 1)
