"""The durable log: append, read from a position, commit. The Journal contract.

Every raw message of the house has one *position*, an integer that rises by one per message over all sources. An
entry (a batch of raw messages of one source and lane, with the rows, marks and rejects made of them) is appended whole
or not at all and can be read as two topics: `raw`, the messages as received, and `ticks`, what they mean. Both
are addressed by raw position, so a consumer's cursor, a bar's provenance and the name of a bronze object are the same
number.

One backend, one file, with a function `open(url, **options) -> Journal`. Options every backend takes: `max_bytes`
(the back-pressure limit below), `retain_bytes` and `retain_seconds` (0 = no limit).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import pyarrow as pa

from tickhouse.core.batches import BarBatch, Entry, Record
from tickhouse.core.errors import TickhouseError
from tickhouse.core.model import Kind
from tickhouse.core.shards import Shard

Topic = Literal["raw", "ticks"]
Results = Literal["bars", "anomalies"]
"""What is made of ticks, and published where a journal has topics that others read."""


@dataclass(frozen=True, slots=True)
class Check:
    """The answer of `verify`: records and messages read, and one sentence for each fault found."""

    records: int
    messages: int
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One message that was not taken, with its bytes. `position` is its place in the journal."""

    position: int
    source: str
    channel: str
    received_at: int
    reason: str
    detail: str
    payload: bytes
    healed: bool = False
    lane: str = ""
    """Empty where it was not noted, which older houses did not."""
    kind: int = int(Kind.REJECTED)
    """As what it is counted in the ledger: a message that was taken is here, too, when one of its rows was refused."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Entries of another journal that follow one another from position `first` on.

    `quarantine` are messages that are in quarantine there, those of these entries and others; `healed` are positions of messages
    that have left it.
    """

    first: int = 0
    entries: Sequence[Entry] = ()
    quarantine: Sequence[Quarantined] = ()
    healed: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """What a journal knows beside its entries: `end`, `ledger`, `resumes` and `groups` of `Journal`."""

    end: int
    ledger: Mapping[tuple[str, str], int]
    resumes: Mapping[str, str]
    groups: Mapping[str, int]


class Members(Protocol):
    """The processes that share the ticks, as one of them sees it. Belongs to one thread."""

    def poll(self) -> frozenset[int]:
        """The partitions that this process has now; to be asked every few seconds, or others get them. Raises `SettingsError`."""

    def close(self) -> None:
        """Leave: others get what this one has."""


@runtime_checkable
class Partitioned(Protocol):
    """A journal whose ticks can be shared."""

    @property
    def partitions(self) -> int:
        """How many partitions the ticks have."""

    def members(self, group: str, leave: Callable[[frozenset[int]], None]) -> Members:
        """Join those who share the ticks in the name of a consumer group. `leave` is called, within `poll`, with partitions that
        go to another: they go when it returns."""

    def sharing(self, group: str) -> int:
        """How many processes share the ticks now in the name of a consumer group. Raises `Unreachable`, `SettingsError`."""


class Journal(Protocol):
    """A durable log that one process appends to and several read.

    Safe to call from several threads. Other processes may append too (quarantine replay and loads use the same file as
    a running pipeline: appends are short transactions); who has which role in a house is decided above. `recovered` says in
    a sentence what had to be cut or is damaged when the journal was opened, or is None.
    """

    recovered: str | None

    def append(self, entries: Sequence[Entry]) -> list[int]:
        """Make entries durable, all or none, and return the position of the first message of each.

        When it returns, the entries survive a power cut (with `durability="full"`, the default; `"normal"` may lose
        the last moments on a power cut but nothing on a crash of the process). Rejected messages enter quarantine, and
        the ledger counts (see `ledger`) rise, in the same transaction.

        Raises `Busy` when the slowest registered consumer is more than `max_bytes` behind, `DiskFull` when there is no room.
        After either, nothing of the call was written and it may be repeated.
        """

    def read(self, topic: Topic, position: int, max_messages: int = 65_536, shard: Shard | None = None) -> list[Record]:
        """The records from `position` on, in order, at least one if there is one, at most about `max_messages`.

        `position` may lie inside a record; then that whole record comes first. Of the topic `ticks` only what a `shard` needs can
        be asked for (`core.shards`): every record is there, with those rows. Raises `CorruptLog` at a record whose checksum is
        wrong. The positions before `begin` are gone (retention).
        """

    def window(self, source: str, symbol: str, start: int, end: int) -> Iterator[Record]:
        """The `ticks` records of a source that may hold event times in [start, end) (us), of every lane, in order."""

    def begin(self) -> int:
        """The first position still kept."""

    def end(self) -> int:
        """The position the next message will get."""

    def wait(self, position: int, timeout: float) -> bool:
        """Block up to `timeout` seconds until `end()` is beyond `position`; true when it is. Wakes at once for appends of the
        same process, within about 10 ms for those of another."""

    def commit(self, group: str, position: int) -> None:
        """Remember that consumer group `group` has finished everything before `position`. Registers the group. A position beyond
        `end` shows that the log lost its end: it is the end from then on, so that no position means two messages."""

    def committed(self, group: str) -> int:
        """Where the group goes on: its committed position, or `begin()` when it has none."""

    def groups(self) -> Mapping[str, int]:
        """Every registered group with its position."""

    def resume(self, key: str) -> str | None:
        """The value last journaled under that key by an entry's `resume` or `notes`."""

    def resumes(self) -> Mapping[str, str]:
        """Every key of `resume` with its value."""

    def ledger(self) -> Mapping[tuple[str, str], int]:
        """Totals since the house began by (source, name); names: received, parsed, control, rejected (messages), rows and
        invalid (ticks and bars). Marks do not count, as nobody sent them. They survive retention."""

    def quarantine(
        self, reason: str | None = None, limit: int = 100, after: int = -1, lane: str | None = None
    ) -> list[Quarantined]:
        """Quarantined messages that are not healed, oldest first; only those of a reason, behind a position, of a lane."""

    def heal(self, positions: Sequence[int], entries: Sequence[Entry]) -> list[int]:
        """Append the entries made of quarantined messages parsed again, and mark those messages healed, in one transaction."""

    def adopt(self, stretch: Stretch) -> None:
        """Take in entries of another journal at the positions that they have there, and what of them is in quarantine, all or
        none. Nothing is counted, and of the entries no rejects, resume keys and notes are taken: `settle` tells the sums.

        Raises `BadQuery` when a position is given out already, `SettingsError` for a message that cannot be kept as it is.
        """

    def settle(self, account: Account) -> None:
        """Set the counts of the ledger, the resume keys, the groups and the end to those of another journal, whose entries are
        here. What the account does not name stays. Raises `BadQuery` when the end here is beyond its end."""

    def verify(self) -> Check:
        """Read everything and compare checksums."""

    def trim(self, now: int) -> int:
        """Apply retention by age and size, never beyond the slowest registered group; returns the new `begin`."""

    def close(self) -> None:
        """Let go of files. Everything acknowledged stays."""


class Publishes(Protocol):
    """What tells others of the closed bars and anomalies of one group. Belongs to one thread.

    Whoever begins last is the only one that publishes for the group: what another sent before and did not commit is dropped,
    and everything it tries from then on raises `Superseded`. After any error what was not committed is dropped, too, and it has to
    begin again. Nothing here waits for long, but for `begin`, which finds the broker.
    """

    def begin(self) -> int:
        """Become the only one. Returns the position up to which everything is published. Raises `Unreachable`, `SettingsError`."""

    def send(self, results: Results, rows: BarBatch | pa.Table) -> None:
        """Have rows sent, in their order, behind those before. Tables have the schemas `model.BAR` and `model.ANOMALY`.

        Raises `Superseded`, `Unreachable` and whatever else keeps it from that.
        """

    def delivered(self, seconds: float) -> bool:
        """Whether everything sent is with the broker, waiting up to so long."""

    def commit(self, position: int | None, seconds: float) -> bool:
        """Have everything sent count, together with the note that all up to `position` is published; None: as it was noted before.

        Waits up to so long; when that is false call it again, and nothing else. Raises what `send` raises.
        """

    def silent(self) -> TickhouseError:
        """What is to be said when nothing is delivered for longer than `timeout`."""

    def close(self) -> None:
        """Let go of the connection, and of what is not committed."""


@runtime_checkable
class Tells(Protocol):
    """A journal that has topics for results."""

    def publisher(self, group: str) -> Publishes:
        """What publishes for a group, or for a shard of it, which is named `<group>.<shard>`."""

    def published(self) -> Mapping[str, int]:
        """The position up to which everything is published of each group. Raises `Unreachable`."""
