"""The journal on Apache Kafka: topics that any client can read, appended to in transactions.

Durability: every message is acknowledged by all replicas in sync (`acks=all`) before an append returns. That is Kafka's own
promise, and it is the same for `full` and `normal`: a broker fsyncs later than it acknowledges, so that a power cut of all
replicas at once may lose the last moments. With `replication=3` and `min.insync.replicas=2` one broker may be lost at any time.

Several processes may append: one at a time owns the transactions of a prefix. Who begins while another is at work takes
over, and the other takes its turn back with its next append, after it has read what was written meanwhile.

Positions of groups are keys of the topic `state`, which Kafka never forgets (its own offsets it does after a week without a
member); Kafka's consumer groups `<prefix>.<group>` follow on the topic `journal`, for its lag tools.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tickhouse.core.batches import Entry, Record
from tickhouse.core.clock import SystemClock
from tickhouse.core.errors import BadQuery, CorruptLog
from tickhouse.core.secrets import Secret
from tickhouse.core.shards import Shard, of_shard
from tickhouse.journal import Account, Check, Quarantined, Stretch, Topic
from tickhouse.journal._accounts import Limits, counts
from tickhouse.journal._kafka import part, topics
from tickhouse.journal._kafka.batch import Batch, Wanted
from tickhouse.journal._kafka.entry import Indexed
from tickhouse.journal._kafka.follower import Follower
from tickhouse.journal._kafka.index import Index
from tickhouse.journal._kafka.members import Members, counted
from tickhouse.journal._kafka.place import Place, place
from tickhouse.journal._kafka.publish import Publisher
from tickhouse.journal._kafka.published import noted
from tickhouse.journal._kafka.read import Reader
from tickhouse.journal._kafka.refused import Quarantine
from tickhouse.journal._kafka.spans import Spans
from tickhouse.journal._kafka.state import State
from tickhouse.journal._kafka.stream import Gone, Streams
from tickhouse.journal._kafka.transact import Appender, Notes
from tickhouse.journal._kafka.trimming import trim
from tickhouse.journal._kafka.verifying import verify
from tickhouse.journal._recent import Recent


class _Closes(Protocol):
    def close(self) -> None: ...


Part = TypeVar("Part", bound=_Closes)
LOOK_SECONDS = 1.0
"""How often an append looks where the groups of other processes are."""


class KafkaJournal:
    """A `Journal` on a cluster. The broker keeps what it acknowledged, so that nothing is ever cut: `recovered` is None."""

    recovered: str | None = None

    def __init__(self, where: Place, limits: Limits) -> None:
        self.place, self.limits = where, limits
        self._clock = SystemClock()
        with where.admin() as admin:
            self.created = topics.create(admin, where)
            where = self.place = replace(where, partitions=topics.partitions(admin, where))
            known = topics.there(admin, where)
        with contextlib.ExitStack() as opened:
            streams = [_closed(opened, Streams(where)) for _ in range(4)]
            self.index_streams, raws, rows, bytes_ = streams
            self.state = _closed(opened, State(where))
            self.index = _closed(opened, Index(where, self.index_streams))
            self._quarantine = _closed(opened, Quarantine(where, bytes_))
            self.reader = Reader(where, raws, rows, self._quarantine.parts)
            self._appender = _closed(opened, Appender(where, known, (self.state, self.index, self._quarantine)))
            self._notes = _closed(opened, Notes(where, self.state))
            self._follower = _closed(opened, Follower(where, self._learned, (streams, self.index)))
            self._opened = opened.pop_all()
        self._spans = Spans(self.index)
        self._lock = threading.RLock()
        self._grown = threading.Condition()
        self._members: dict[str, Consumer] = {}
        self._recent = Recent()
        self._looked = self._clock.monotonic()
        self._done = False
        self._known_end = self.state.end

    def append(self, entries: Sequence[Entry]) -> list[int]:
        """See `Journal.append`. Raises `Unreachable` when the broker is away; then the call may be repeated as it was: should the
        entries be there all the same, they are not written twice."""
        return self._append(entries, ())

    def heal(self, positions: Sequence[int], entries: Sequence[Entry]) -> list[int]:
        """See `Journal.heal`. Raises `BadQuery` for a position that is not in quarantine."""
        return self._append(entries, positions)

    def _append(self, entries: Sequence[Entry], healed: Sequence[int]) -> list[int]:
        with self._lock:
            if not (healed or self._done):
                self._guard()
            batch = self._written(Wanted(entries, healed))
            if not any(indexed.about.large for indexed in batch.indexed):
                self._recent.add(batch.firsts, entries)
        return batch.firsts

    def _written(self, wanted: Wanted) -> Batch:
        with self._lock:
            if self._done:
                raise BadQuery("the journal is closed")
            batch = self._appender.append(wanted)
        self._told(batch.position)
        return batch

    def adopt(self, stretch: Stretch) -> None:
        """See `Journal.adopt`. Messages that are too large for the broker must have been refused there, too."""
        floor = stretch.first if stretch.entries else 0
        self._written(Wanted(stretch.entries, (), floor, stretch.quarantine, stretch.healed))

    def settle(self, account: Account) -> None:
        """See `Journal.settle`."""
        values: dict[str, Any] = {f"ledger/{source}": list(row) for source, row in counts(account.ledger).items()}
        values |= {f"resume/{key}": value for key, value in account.resumes.items()}
        self._written(Wanted(floor=account.end, values=values))
        for group, position in account.groups.items():
            self.commit(group, position)

    def _guard(self) -> None:
        """Raise `Busy` when a group is too far behind, by what is known; who is slow is asked again before that."""
        now = self._clock.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._looked = now
            self.state.sync()
        for fresh in (False, True):
            groups = self._places()
            if not groups:
                return
            behind = self.state.total - min(groups.values())[1]
            if not self.limits.max_bytes or behind <= self.limits.max_bytes:
                return
            if not fresh:
                self.state.sync()
        self.limits.guard(behind, [(name, position) for name, (position, _) in groups.items()])

    def read(self, topic: Topic, position: int, max_messages: int = 65_536, shard: Shard | None = None) -> list[Record]:
        """See `Journal.read`."""
        recent = self._recent.read(topic, position, max_messages)
        if recent is not None:
            return of_shard(recent, shard)
        self.index.sync()
        while True:
            position = max(position, 0)
            entries = self.index.read(position, max_messages)
            try:
                if shard is None:
                    return self.reader.records(topic, entries) if entries else []
                return part.records(self.reader, entries, shard) if entries else []
            except Gone:
                self.index.sync()
                begin = self.begin()
                if begin <= position:
                    raise CorruptLog(
                        f"what the entry at position {position} points to is not in Kafka any more"
                    ) from None
                position = begin

    def window(self, source: str, symbol: str, start: int, end: int) -> Iterator[Record]:
        """See `Journal.window`."""
        self.index.sync()
        for entry in self._spans.find(source, start, end):
            with contextlib.suppress(Gone):
                for record in self.reader.records("ticks", [entry]):
                    if any(rows is not None and symbol in rows.symbols for rows in (record.ticks, record.bars)):
                        yield record

    def begin(self) -> int:
        """See `Journal.begin`."""
        self.index.sync()
        first = self.index.begin()
        return first.about.first if first else self.end()

    def end(self) -> int:
        """See `Journal.end`."""
        self.state.sync()
        return self.state.end

    def wait(self, position: int, timeout: float) -> bool:
        """See `Journal.wait`. False at once when the journal is closed."""
        if self._has(position) and not self._done:
            return True
        self._follower.start()
        with self._grown:
            self._grown.wait_for(lambda: self._has(position) or self._done, timeout)
            return self._has(position) and not self._done

    def _has(self, position: int) -> bool:
        """Whether a message at a position is known, whoever learned of it."""
        last = self.index.last
        return self._known_end > position or (last is not None and last.end > position)

    def commit(self, group: str, position: int) -> None:
        """See `Journal.commit`."""
        if position > self.state.end and position > self.end():
            self._written(Wanted(floor=position))
        offset, total = self._offset(position)
        self._notes.put(f"group/{group}", [position, total])
        about = f'{{"position":{position},"total":{total}}}'
        follow = TopicPartition(self.index.topic, 0, offset, metadata=about)
        with contextlib.suppress(KafkaException):
            self._member(group).commit(offsets=[follow], asynchronous=True)

    def _member(self, group: str) -> Consumer:
        """What commits for a group of Kafka's. Librdkafka's admin client can abort the process."""
        with self._lock:
            if group not in self._members:
                self._members[group] = self._opened.enter_context(
                    contextlib.closing(self.place.consumer(**{"group.id": f"{self.place.prefix}.{group}"}))
                )
            return self._members[group]

    def _offset(self, position: int) -> tuple[int, int]:
        """Where a position is in the topic `journal`, and the bytes before it."""
        last = self.index.last
        if last is not None and position >= last.end:
            return last.next_offset, last.about.total
        found = self.index.place(position)
        if found is None:
            self.index.sync()
            found = self.index.place(position) or (last.next_offset if last else 0, self.state.total)
        return found

    def committed(self, group: str) -> int:
        """See `Journal.committed`."""
        self.state.sync()
        found = self.state.get(f"group/{group}")
        return int(found[0]) if found else self.begin()

    def groups(self) -> Mapping[str, int]:
        """See `Journal.groups`."""
        self.state.sync()
        return {name: position for name, (position, _) in self._places().items()}

    def _places(self) -> dict[str, tuple[int, int]]:
        return {name: (place[0], place[1]) for name, place in self.state.under("group/").items() if place}

    def resume(self, key: str) -> str | None:
        """See `Journal.resume`."""
        self.state.sync()
        found = self.state.get(f"resume/{key}")
        return None if found is None else str(found)

    def resumes(self) -> Mapping[str, str]:
        """See `Journal.resumes`."""
        self.state.sync()
        return {key: str(value) for key, value in self.state.under("resume/").items()}

    def ledger(self) -> Mapping[tuple[str, str], int]:
        """See `Journal.ledger`."""
        self.state.sync()
        return self.state.ledger()

    def quarantine(
        self, reason: str | None = None, limit: int = 100, after: int = -1, lane: str | None = None
    ) -> list[Quarantined]:
        """See `Journal.quarantine`."""
        self._quarantine.sync()
        return self._quarantine.find(reason, limit, after, lane)

    def verify(self) -> Check:
        """See `Journal.verify`."""
        self.index.sync()
        return verify(self.index, self.reader, self.begin(), self.end())

    def trim(self, now: int) -> int:
        """See `Journal.trim`."""
        self._appender.sync()
        trim(self, now)
        begin = self.begin()
        self._recent.trim(begin)
        return begin

    def create(self, sources: Sequence[str] = ()) -> list[str]:
        """Make the topics of sources that have none yet; returns their names. The others were made when it was opened."""
        with self.place.admin() as admin:
            return topics.create(admin, self.place, sources)

    def topics(self) -> list[dict[str, Any]]:
        """Every partition of every topic with its first offset and the one after the last."""
        with contextlib.closing(self.place.consumer()) as consumer:
            return topics.spans(consumer, self.place)

    @property
    def partitions(self) -> int:
        """How many partitions the ticks have."""
        return self.place.partitions

    def members(self, group: str, leave: Callable[[frozenset[int]], None]) -> Members:
        """See `Partitioned.members`."""
        return Members(self.place, group, leave)

    def sharing(self, group: str) -> int:
        """See `Partitioned.sharing`."""
        return counted(self.place, group)

    def publisher(self, group: str) -> Publisher:
        """What publishes closed bars and anomalies, see `Publishes`."""
        return Publisher(self.place, group)

    def published(self) -> Mapping[str, int]:
        """See `Tells.published`."""
        return noted(self.place)

    def slowest(self) -> int:
        """The position of the slowest group, or the end where there is none."""
        return min((position for position, _ in self._places().values()), default=self.state.end)

    def close(self) -> None:
        """See `Journal.close`."""
        with self._grown:
            if self._done:
                return
            self._done = True
            self._grown.notify_all()
        with self._lock:
            self._opened.close()

    def _learned(self, entries: list[Indexed]) -> None:
        """Entries came that this process or another wrote."""
        self.index.add(entries)
        if entries:
            self._told(entries[-1].end)

    def _told(self, end: int) -> None:
        with self._grown:
            self._known_end = max(self._known_end, end)
            self._grown.notify_all()


def _closed(opened: contextlib.ExitStack, part: Part) -> Part:
    opened.callback(part.close)
    return part


def open(url: str, *, password: Secret | str | None = None, **options: Any) -> KafkaJournal:
    """The journal of a URL such as `kafka://host:9092/house?partitions=8&replication=3`; topics that are not there are made.

    In the URL: `partitions` (of `ticks`), `replication`, `compression` (lz4, zstd, none), `max_message` (the largest message of
    topics that are made), `timeout` (how long a broker is waited for), `create=no`; `tls`, `ca`, `certificate`, `key` (files),
    `user@` before the host with `mechanism` (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512). Options: `password` and those of every
    backend; bytes are those of payloads, of ticks as JSON and of what is beside the index. Raises `SettingsError`, `Unreachable`.
    """
    limits = Limits(**options)
    return KafkaJournal(place(url, password), limits)
