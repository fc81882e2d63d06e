"""The topic `quarantine`: the bytes of messages that were not taken, keyed by position; a tombstone says that one is healed.

A message larger than the broker takes lies there in parts, keyed `<position>/<part>`.
"""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tickhouse.core.batches import BarBatch, Entry, TickBatch
from tickhouse.core.errors import SettingsError
from tickhouse.core.model import Kind, Reject
from tickhouse.journal import Quarantined
from tickhouse.journal._kafka.followed import Followed
from tickhouse.journal._kafka.place import Message, Place
from tickhouse.journal._kafka.stream import Streams

TOO_LARGE = "too_large"


@dataclass(slots=True)
class Kept:
    """A message in quarantine without its bytes: its kind, and the offset and number of the parts that have these."""

    item: Quarantined
    kind: int
    offset: int
    parts: int


class Quarantine:
    """What is in quarantine and not healed. Reads the topic when it is first asked. Safe for several threads."""

    def __init__(self, place: Place, streams: Streams) -> None:
        self.place, self.topic, self._streams = place, place.topic("quarantine"), streams
        self._lock = threading.RLock()
        self._log: Followed | None = None
        self._kept: dict[int, Kept] = {}
        self._offsets: dict[int, int] = {}
        """The newest offset that is known of each position."""

    def sync(self) -> None:
        """Take in what others wrote. Raises `Unreachable`."""
        with self._lock:
            self._log = self._log or Followed(self.place, self.topic)
            for message in self._log.news():
                self._learn(message)

    def kept(self, position: int) -> Kept | None:
        """One message, where it is in quarantine."""
        return self._kept.get(position)

    def put(self, kept: Kept) -> None:
        """Take in a message that was refused."""
        with self._lock:
            if self._offsets.get(kept.item.position, -1) < kept.offset:
                self._offsets[kept.item.position] = kept.offset
                self._kept[kept.item.position] = kept

    def heal(self, position: int, offset: int) -> None:
        """Take in that one is healed."""
        with self._lock:
            if self._offsets.get(position, -1) < offset:
                self._offsets[position] = offset
                self._kept.pop(position, None)

    def find(self, reason: str | None, limit: int, after: int, lane: str | None) -> list[Quarantined]:
        """See `Journal.quarantine`."""
        with self._lock:
            every = sorted(self._kept.values(), key=lambda kept: kept.item.position)
        wanted = (
            k
            for k in every
            if k.item.position > after and reason in (None, k.item.reason) and lane in (None, k.item.lane)
        )
        return [replace(kept.item, payload=self.parts(kept.offset, kept.parts)) for kept in islice(wanted, limit)]

    def parts(self, offset: int, number: int) -> bytes:
        """The bytes that so many messages from an offset on have together."""
        messages = self._streams.take({(self.topic, 0): (offset, offset + number - 1)})[self.topic, 0]
        return b"".join(message.value() for message in messages)

    def close(self) -> None:
        """Let go of the connection."""
        if self._log is not None:
            self._log.close()

    def _learn(self, message: Message) -> None:
        position, _, part = message.key().decode().partition("/")
        if message.value() is None:
            self.heal(int(position), message.offset())
        elif part in ("", "0"):
            told = {name: value.decode() for name, value in message.headers() or ()}
            item = Quarantined(
                int(position), told["source"], told["channel"], int(told["received_at"]), told["reason"], told["detail"], b"",
                lane=told["lane"], kind=int(told["kind"]),
            )  # fmt: skip
            self.put(Kept(item, int(told["kind"]), message.offset(), int(told["parts"])))


def parts(payload: bytes, most: int) -> Iterator[bytes]:
    """The bytes in pieces that the broker takes, at least one."""
    for start in range(0, max(len(payload), 1), most):
        yield payload[start : start + most]


def too_large(entry: Entry, most: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Which messages have more than `most` bytes."""
    return np.flatnonzero(entry.raw.ends - entry.raw.offsets > most)


def as_it_was(entry: Entry, first: int, most: int, kept: Mapping[int, Quarantined]) -> tuple[Entry, list[int]]:
    """An entry of another journal with what is in quarantine of it, and which of its messages are too large: all of these
    were refused there, too. Raises `SettingsError` for one that was not, as it could not be kept as it is."""
    large = too_large(entry, most)
    if len(wrong := large[entry.kinds[large] != Kind.REJECTED]):
        size = int(entry.raw.ends[wrong[0]] - entry.raw.offsets[wrong[0]])
        raise SettingsError(
            f"the message at position {first + int(wrong[0])} has {size:,} bytes, and the broker takes {most:,}: raise"
            f" max.message.bytes of its topics and max_message in journal.url above that"
        )
    of_it = (kept[first + i] for i in range(len(entry.raw)) if first + i in kept)
    rejects = tuple(Reject(item.position - first, item.reason, item.detail) for item in of_it)
    return replace(entry, rejects=rejects), large.tolist()


def without_large(entry: Entry, most: int) -> tuple[Entry, list[int]]:
    """The entry with messages of more than `most` bytes rejected, and which they are. Their rows are left out: whoever reads the
    topics could not find what they were made of."""
    sizes = entry.raw.ends - entry.raw.offsets
    large = too_large(entry, most)
    if not len(large):
        return entry, []
    kinds = entry.kinds.copy()
    kinds[large] = Kind.REJECTED
    rejects = tuple(
        Reject(i, TOO_LARGE, f"{sizes[i]:,} bytes, and the broker takes {most:,} a message: raise max.message.bytes of its topics"
               " and max_message in journal.url, then replay it from quarantine")
        for i in large.tolist()
    )  # fmt: skip
    kept = tuple(reject for reject in entry.rejects if reject.index not in set(large.tolist()))
    made = replace(
        entry, kinds=kinds, rejects=(*kept, *rejects), ticks=_ticks(entry.ticks, large), bars=_bars(entry.bars, large),
        observations=_rows(entry.observations, large), actions=_rows(entry.actions, large),
    )  # fmt: skip
    return made, large.tolist()


def _ticks(ticks: TickBatch | None, large: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> TickBatch | None:
    return ticks.take(~np.isin(ticks.raw, large)) if ticks else None


def _bars(bars: BarBatch | None, large: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> BarBatch | None:
    return bars.take(~np.isin(bars.first_raw, large)) if bars else None


def _rows(table: pa.Table | None, large: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> pa.Table | None:
    return table.filter(pc.invert(pc.is_in(table["raw"], pa.array(large)))) if table is not None else None
