"""What one append has made so far: where its messages went, and what tells it from another append."""

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError

from tickhouse.core.batches import Entry
from tickhouse.core.marks import LINK
from tickhouse.journal import Quarantined
from tickhouse.journal._kafka.entry import Indexed
from tickhouse.journal._kafka.place import Message
from tickhouse.journal._kafka.refused import Kept

Key = tuple[str, int]
Told = Callable[[KafkaError | None, Message], None]


@dataclass(slots=True)
class Delivered:
    """Where the messages of one topic-partition went in this transaction."""

    count: int = 0
    first: int = -1
    last: int = -1
    error: KafkaError | None = None

    def note_both(self, error: KafkaError | None, message: Message) -> None:
        """Called on delivery of the only message."""
        self.note_first(error, message)
        self.note(error, message)

    def note_first(self, error: KafkaError | None, message: Message) -> None:
        """Called on delivery of the first message."""
        self.error = self.error or error
        self.first = -1 if error else message.offset()

    def note(self, error: KafkaError | None, message: Message) -> None:
        """Called on delivery of a message that may be the last."""
        self.error = self.error or error
        self.last = -1 if error else max(self.last, message.offset())


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one append is to do: entries, messages that leave quarantine, and the least position that the first entry gets.

    With `quarantine` the entries are those of another journal: these messages are in quarantine, whatever the entries say, and
    those of `gone` are not; nothing is counted. `values` are keys that are set.
    """

    entries: Sequence[Entry] = ()
    healed: Sequence[int] = ()
    floor: int = 0
    quarantine: Sequence[Quarantined] | None = None
    gone: Sequence[int] = ()
    values: Mapping[str, Any] | None = None

    @property
    def kept(self) -> dict[int, Quarantined] | None:
        """What is in quarantine by its position, where it is not the entries that say it."""
        return None if self.quarantine is None else {item.position: item for item in self.quarantine}


@dataclass(slots=True)
class Batch:
    """What one append has made so far."""

    name: str
    position: int
    total: int
    indexed: list[Indexed] = field(default_factory=list)
    firsts: list[int] = field(default_factory=list)
    places: dict[tuple[str, int], Delivered] = field(default_factory=lambda: defaultdict(Delivered))
    starts: list[dict[tuple[str, int], tuple[int, int]]] = field(default_factory=list)
    """For each entry in `indexed`: how many messages of the transaction came before its own in each partition, and its number."""
    large: list[list[tuple[int, int, int]]] = field(default_factory=list)
    refused: list[Kept] = field(default_factory=list)
    """What goes into quarantine, until it is delivered with the number of messages before it in place of its offset."""
    gone: list[int] = field(default_factory=list)
    """Messages that lie in quarantine as they are too large, and are healed."""


At = tuple[Batch, dict[Key, tuple[int, int]]]
"""The append, and where the messages of one entry begin in it."""


def fingerprint(entries: Sequence[Entry], healed: Sequence[int]) -> tuple[Any, ...]:
    """What tells an append that is repeated from another one."""

    def each() -> Iterator[Any]:
        for entry in entries:
            raw = entry.raw
            # A mark that is judged again may say something else.
            payload = zlib.crc32(b"".join(raw.payloads())) if raw.channel != LINK else 0
            yield (
                raw.source,
                raw.channel,
                raw.lane,
                len(raw),
                payload,
                zlib.crc32(raw.received_at.tobytes()),
                entry.resume,
            )

    return (*each(), tuple(healed))
