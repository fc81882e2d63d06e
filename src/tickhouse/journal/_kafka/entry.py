"""The message of the topic `journal`: what one entry is and at which offsets its messages and ticks are.

The value is JSON that anybody can read. What has a row for each message or tick is in headers, in the journal's own form.
"""

from dataclasses import dataclass, field

import msgspec
import zstandard

from tickhouse.journal._kafka.place import Message

BLOBS = ("columns", "order", "landmarks", "exact", "marks", "bars", "tables")
"""Headers: receive times and kinds; the partition of each tick; the places, times and messages of ticks that say to all partitions
how late it is; numbers that JSON cannot say; and what has few rows."""


class About(msgspec.Struct, omit_defaults=True):
    """One entry. `total` counts the bytes of all entries up to and with this one; `raw` is the offset of its first message;
    `ticks` are (partition, first offset, number); the checks are CRC-32 of its payloads, of its ticks, in their order, and of
    those of each partition."""

    first: int
    count: int
    source: str
    channel: str
    lane: str
    received_at: int
    total: int
    size: int
    batch: str
    raw: int = -1
    raw_check: int = 0
    ticks: list[tuple[int, int, int]] = []
    ticks_check: int = 0
    part_checks: list[int] = []
    event_min: int | None = None
    event_max: int | None = None
    symbols: list[str] = []
    conditions: list[str] = []
    rejects: dict[str, int] = {}
    large: list[tuple[int, int, int]] = []
    """Which messages are larger than the broker takes, and the offset and number of the parts in `quarantine` with their bytes."""
    final: bool = False
    """Whether it is the last of its transaction: after it one offset is taken by Kafka."""


@dataclass(slots=True)
class Indexed:
    """An entry of the index with its offset there."""

    about: About
    offset: int = -1
    blobs: dict[str, bytes] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """The position after its last message."""
        return self.about.first + self.about.count

    @property
    def rows(self) -> int:
        """How many ticks it has."""
        return sum(n for _, _, n in self.about.ticks)

    @property
    def next_offset(self) -> int:
        """Where the next entry is."""
        return self.offset + 1 + self.about.final


encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(About).decode


def headers(indexed: Indexed) -> list[tuple[str, str | bytes | None]]:
    """What goes beside the value."""
    return [("position", str(indexed.about.first).encode()), *indexed.blobs.items()]


def opened(message: Message) -> Indexed:
    """The entry of a message."""
    blobs = {name: blob for name, blob in message.headers() or () if name in BLOBS}
    return Indexed(_decode(message.value()), message.offset(), blobs)


def squeezed(codes: bytes) -> bytes:
    """Small codes, compressed."""
    return zstandard.ZstdCompressor(level=1).compress(codes)


def spread(blob: bytes) -> bytes:
    """The codes of `squeezed`."""
    return zstandard.ZstdDecompressor().decompress(blob)
