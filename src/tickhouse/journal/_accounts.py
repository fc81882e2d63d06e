"""What every backend counts and judges the same way: the ledger, quarantine, event times, limits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tickhouse.core.batches import Entry
from tickhouse.core.errors import BadQuery, BadSetting, Busy
from tickhouse.core.marks import LINK
from tickhouse.core.model import Kind
from tickhouse.journal import Quarantined

NAMES = ("received", "parsed", "control", "rejected", "rows", "invalid")
"""The counts of the ledger, in the order of `tally`."""

DURABILITIES = ("full", "normal")


@dataclass(frozen=True, slots=True)
class Limits:
    """Back-pressure and retention: bytes as they are stored, and seconds; 0 stands for no limit."""

    max_bytes: int = 2 << 30
    retain_bytes: int = 0
    retain_seconds: float = 0.0
    durability: str = "full"

    def __post_init__(self) -> None:
        if self.durability not in DURABILITIES:
            raise BadSetting("journal.durability", self.durability, "full or normal")
        for name in ("max_bytes", "retain_bytes", "retain_seconds"):
            if getattr(self, name) < 0:
                raise BadSetting(f"journal.{name}", getattr(self, name), "a number that is not negative")

    def guard(self, behind: int, groups: Sequence[tuple[str, int]]) -> None:
        """Raise `Busy` when `behind` bytes wait for the slowest of `groups` and that is too much."""
        if not self.max_bytes or behind <= self.max_bytes:
            return
        name, position = min(groups, key=lambda group: group[1])
        raise Busy(
            f"the consumer {name!r} stands at position {position} and {behind:,} bytes wait for it, more than"
            f" journal.max_bytes = {self.max_bytes:,}; nothing was taken: try again when it has caught up",
            retry_after=0.1,
        )

    def expired(self, received_at: int, bytes_from_here: int, now: int) -> bool:
        """Whether a record may go: it is too old, or the bytes from it on are too many."""
        old = bool(self.retain_seconds) and received_at < now - round(self.retain_seconds * 1e6)
        return old or (bool(self.retain_bytes) and bytes_from_here > self.retain_bytes)


def tally(entry: Entry) -> tuple[int, ...]:
    """What an entry adds to the ledger of its source; one count for each of `NAMES`.

    Rows are all ticks and bars that were parsed, those refused by quality too. Marks are our own and were not received.
    """
    if entry.raw.channel == LINK:
        return (0,) * len(NAMES)
    parsed, control, rejected = np.bincount(entry.kinds, minlength=3)[:3].tolist()
    rows = len(entry.ticks or ()) + len(entry.bars or ()) + entry.invalid
    return len(entry.raw), parsed, control, rejected, rows, entry.invalid


def untally(kind: int) -> tuple[int, ...]:
    """What a message that leaves quarantine takes back, as it is counted anew where it is appended again."""
    counts = [-1, 0, 0, 0, 0, 0]
    counts[1 + kind] = -1
    return tuple(counts)


def refused(entry: Entry, first: int) -> Iterator[tuple[Quarantined, int]]:
    """The entry's messages for quarantine, each with its kind: the rejected ones and those with a rejected row."""
    reasons: dict[int, list[tuple[str, str]]] = {int(i): [] for i in np.flatnonzero(entry.kinds == Kind.REJECTED)}
    for reject in entry.rejects:
        reasons.setdefault(reject.index, []).append((reject.reason, reject.detail))
    raw = entry.raw
    for index, found in sorted(reasons.items()):
        reason = found[0][0] if found else "rejected"
        detail = "; ".join(dict.fromkeys(detail for _, detail in found if detail))
        item = Quarantined(
            first + index, raw.source, raw.channel, int(raw.received_at[index]), reason, detail, raw.payload(index),
            lane=raw.lane, kind=int(entry.kinds[index]),
        )  # fmt: skip
        yield item, int(entry.kinds[index])


def counts(ledger: Mapping[tuple[str, str], int]) -> dict[str, tuple[int, ...]]:
    """A ledger as one count for each of `NAMES`, by source."""
    sources = sorted({source for source, _ in ledger})
    return {source: tuple(ledger.get((source, name), 0) for name in NAMES) for source in sources}


def must_follow(end: int, position: int) -> None:
    """Raise `BadQuery` when positions of another journal are given out here already."""
    if end > position:
        raise BadQuery(f"the journal ends at position {end}, so position {position} of another one has no room here")


def events(entry: Entry) -> tuple[int, int] | tuple[None, None]:
    """The lowest and highest event time of the entry's rows (us), or None twice when it has none."""
    columns = (entry.ticks.event_time if entry.ticks else None, entry.bars.start if entry.bars else None)
    times = [column for column in columns if column is not None]
    if not times:
        return None, None
    return min(int(t.min()) for t in times), max(int(t.max()) for t in times)


def not_quarantined(position: int) -> BadQuery:
    """The error for a message that cannot be healed."""
    return BadQuery(
        f"position {position} is not in quarantine, or was healed before; `tickhouse quarantine list` shows what is"
    )
