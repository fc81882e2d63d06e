"""Bronze through the same pipeline again: into another house, or to heal what was quarantined."""

import time
from collections.abc import Callable, Iterator

from tickhouse.core.batches import RawBatch
from tickhouse.journal import Journal, Quarantined
from tickhouse.lake import Lake
from tickhouse.steps.ingest import Ingest


def messages(journal: Journal, lake: Lake, start: int | None = None, end: int | None = None) -> Iterator[RawBatch]:
    """Every raw message received in [start, end) (us), as the journal and the lake have them, ordered by position."""
    begin = journal.begin()
    for batch in _archived(lake, begin):
        yield from _between(batch, start, end)
    position = begin
    while records := journal.read("raw", position):
        for record in records:
            if record.raw is not None:
                yield from _between(record.raw, start, end)
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


def heal_all(journal: Journal, ingest: Ingest, page: int = 1000) -> tuple[int, int]:
    """Parse everything in quarantine again; returns how many messages were seen and how many were healed."""
    seen = healed = 0
    after = -1
    while items := journal.quarantine(None, page, after):
        seen, after = seen + len(items), items[-1].position
        healed += heal(journal, ingest, items)
    return seen, healed


def heal(journal: Journal, ingest: Ingest, items: list[Quarantined]) -> int:
    """Parse quarantined messages again; those that are good now are taken in and leave quarantine. Returns how many."""
    healed = 0
    for item in items:
        if item.source not in ingest.feeds:
            continue
        raw = RawBatch.of(item.source, item.channel, [item.payload], item.received_at, "refill")
        entry = ingest.entry(raw)
        if not entry.rejects:
            journal.heal([item.position], [entry])
            healed += 1
    return healed


def _archived(lake: Lake, before: int) -> Iterator[RawBatch]:
    objects = sorted((o for o in lake.objects("bronze") if o.first < before), key=lambda o: o.first)
    for item in objects:
        for batch in lake.read(item):
            stop = min(len(batch), before - batch.first)
            if stop > 0:
                yield batch.take(0, stop)


def _between(batch: RawBatch, start: int | None, end: int | None) -> Iterator[RawBatch]:
    inside = (batch.received_at >= (start or 0)) & (batch.received_at < (end or 1 << 62))
    if inside.all():
        yield batch
    elif inside.any():
        rows = inside.nonzero()[0]
        yield batch.take(int(rows[0]), int(rows[-1]) + 1)
