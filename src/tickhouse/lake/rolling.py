"""Where one object ends and the next begins.

A run is what becomes one object: records of one source and channel, one after the other. It is cut by the records
alone, never by the wall clock, so that a restart cuts at the same places:

- when its own messages reach `roll_bytes`;
- when a record of a live lane was received `roll_seconds` after the first such record that the run saw (live lanes tell
  the time here: what is replayed was received long ago);
- when `SPAN` times `roll_bytes` of messages of the whole house have come since its first, so that a quiet source holds
  up neither the journal's retention nor the memory of the archiver.

The commit rule: after the complete runs are written, commit `safe`, the lowest position that is in no object. A restart
reads from there, so it meets again records whose run was already cut and written. The lake knows which: whatever is not
beyond the last object of its source and channel is passed over. So every message is in exactly one object, whatever was
interrupted where, and runs begin again exactly where the last object ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tickhouse.core.batches import LIVE, REFILL, Record
from tickhouse.core.clock import SECOND
from tickhouse.lake import Lake
from tickhouse.lake._packing import Packed

SPAN = 2

Key = tuple[str, str]


@dataclass(slots=True)
class _Run:
    """An open run: its records, their bytes, the house's bytes at its first, and when live time began for it (us)."""

    behind: int
    packed: Packed = field(default_factory=Packed)
    size: int = 0
    since: int | None = None


class Roller:
    """Collects records in order of position and returns the runs that are complete.

    `lake` tells how far each source and channel is archived; it is asked once for each, when its first record comes.
    """

    def __init__(self, roll_bytes: int, roll_seconds: float, lake: Lake) -> None:
        self.roll_bytes, self.roll_us, self.lake = roll_bytes, round(roll_seconds * SECOND), lake
        self._open: dict[Key, _Run] = {}
        self._archived: dict[Key, int] = {}
        self._passed = 0

    def add(self, record: Record) -> list[Sequence[Record]]:
        """Take one record in and return the runs that are complete, the oldest first."""
        key, size = (record.source, record.channel), record.raw.size if record.raw is not None else 0
        if record.end - 1 > self._last(key):
            run = self._open.setdefault(key, _Run(self._passed))
            run.packed.add(record)
            run.size += size
        self._passed += size
        live = record.received_at if record.lane in (LIVE, REFILL) else None
        return [self._cut(key) for key, run in list(self._open.items()) if self._complete(run, live)]

    def flush(self) -> list[Sequence[Record]]:
        """The open runs, now complete, the oldest first."""
        return [self._cut(key) for key in list(self._open)]

    @property
    def safe(self) -> int | None:
        """The lowest position that is in no complete run, or None when all are."""
        return min((run.packed.records[0].first for run in self._open.values()), default=None)

    def _complete(self, run: _Run, live: int | None) -> bool:
        if live is not None and run.since is None:
            run.since = live
        old = live is not None and run.since is not None and live - run.since >= self.roll_us
        return old or run.size >= self.roll_bytes or self._passed - run.behind >= SPAN * self.roll_bytes

    def _cut(self, key: Key) -> Sequence[Record]:
        return self._open.pop(key).packed.records

    def _last(self, key: Key) -> int:
        """The last archived position of a source and channel when this roller began, or -1."""
        if key not in self._archived:
            self._archived[key] = self.lake.end(*key) - 1
        return self._archived[key]
