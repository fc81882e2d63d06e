"""The one that appends: a transactional producer, and what happens when its broker is away or another process takes over."""

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from tickhouse.core.batches import Entry
from tickhouse.core.errors import Unreachable
from tickhouse.journal._accounts import NAMES, must_follow, not_quarantined, tally, untally
from tickhouse.journal._kafka import topics
from tickhouse.journal._kafka.batch import Batch, Wanted, fingerprint
from tickhouse.journal._kafka.errors import FENCED, asking, translated
from tickhouse.journal._kafka.index import Index
from tickhouse.journal._kafka.place import Place
from tickhouse.journal._kafka.refused import Quarantine
from tickhouse.journal._kafka.state import State, encode
from tickhouse.journal._kafka.write import Moved, Writer

TURNS = 20
"""How many times an append is begun anew because another process took over."""
TRANSACTION_SECONDS = 60.0
SETTLED = 0.06
"""Seconds in which a new client is connected to the broker itself and not only to the address that it was given."""


class Again(Exception):
    """Nothing was written; begin anew."""


class Appender:
    """Appends in transactions. Not for several threads at a time: whoever calls holds the lock of the journal."""

    def __init__(self, place: Place, known: Iterable[str], parts: tuple[State, Index, Quarantine]) -> None:
        """`known` are the topics that there are."""
        self.place = place
        self.state, self.index, self.quarantine = parts
        self._producer: Producer | None = None
        self._writer: Writer | None = None
        self._topics, self._most = set(known), 0
        self._unsure: dict[tuple[Any, ...], Batch] = {}
        """Appends of which it is not known whether they were committed."""

    def append(self, wanted: Wanted) -> Batch:
        """Commit what is wanted. Raises `Unreachable`, `BadQuery`; `SettingsError` for a message that cannot be kept as it is."""
        mark = fingerprint(wanted.entries, wanted.healed)
        for turn in range(TURNS):
            self._ready()
            known = self._unsure.get(mark)
            committed = known is not None and self._committed(known)
            self._unsure.pop(mark, None)
            if known is not None and committed:
                return known
            try:
                return self._once(wanted, mark)
            except Again:
                self._drop()
                time.sleep(random.uniform(0.02, 0.2) * min(turn + 1, 5))
        raise Unreachable(
            f"other processes append to {self.place.prefix} all the time and this one had no turn", retry_after=1.0
        )

    def sync(self) -> None:
        """Know what others wrote. Raises `Unreachable`."""
        self.state.sync()
        self.index.sync()

    def close(self) -> None:
        """Let go of the connection."""
        self._drop()

    def _ready(self) -> None:
        """Have a producer that is the only one, and know everything that was written before."""
        if self._producer is not None:
            return
        most = self._most = self._most or self._largest()
        producer = self.place.producer(**{
            "transactional.id": f"{self.place.prefix}.journal", "transaction.timeout.ms": round(TRANSACTION_SECONDS * 1000),
            "linger.ms": 20, "batch.size": min(1 << 20, most), "retry.backoff.ms": 10, "retry.backoff.max.ms": 500,
        })  # fmt: skip
        with asking(self.place, "the journal"):
            connected(producer, self.place)
            producer.init_transactions(self.place.timeout)
        self.sync()
        self._producer, self._writer = producer, Writer(self.place, producer, most)

    def _largest(self) -> int:
        with self.place.admin() as admin:
            topics.there(admin, self.place)
            return topics.largest(admin, self.place, self._topics)

    def _drop(self) -> None:
        if self._producer is not None:
            self._producer.purge(blocking=False)
            self._producer = self._writer = None

    def _committed(self, batch: Batch) -> bool:
        """Whether an append of which we were unsure is in the index."""
        if not batch.indexed:
            return False  # it may be repeated: keys have the same values again
        first = batch.indexed[0].about.first
        found = next(iter(self.index.read(first, 1)), None)
        return found is not None and (found.about.first, found.about.batch) == (first, batch.name)

    def _once(self, wanted: Wanted, mark: tuple[Any, ...]) -> Batch:
        taken = self._leaving(wanted.healed)
        if (wanted.quarantine is not None and wanted.entries) or wanted.values is not None:
            must_follow(self.state.end, wanted.floor)
        self._make(wanted.entries)
        producer, writer = self._producer, self._writer
        assert producer is not None and writer is not None
        batch = Batch(uuid.uuid4().hex, max(self.state.end, wanted.floor), self.state.total)
        trying = False
        try:
            producer.begin_transaction()
            taken_in = self._put(wanted, batch)
            values = {**self._values(taken_in, taken, batch), **(wanted.values or {})}
            healed = [*wanted.healed, *wanted.gone, *batch.gone]
            offsets = self._keys(writer, values, healed)
            said = writer.index(batch)
            writer.delivered()
            writer.check(batch, said)
            trying = True
            producer.commit_transaction(self.place.timeout)
        except Moved as error:
            self._drop()
            raise Again from error
        except KafkaException as error:
            raise self._failed(error, batch if trying else None, mark) from error
        except SystemError as error:
            # The client was told in a callback that another took over, and calls further ones with that error still set.
            self._drop()
            if trying:
                self._unsure[mark] = batch
            raise Again from error
        except BaseException:
            self._drop()
            raise
        writer.committed(batch, bool(healed))
        for key, value in values.items():
            self.state.put(key, value, offsets[key])
        self.index.add(batch.indexed)
        for kept in batch.refused:
            self.quarantine.put(kept)
        for position in healed:
            self.quarantine.heal(position, offsets[f"healed/{position}"])
        return batch

    def _put(self, wanted: Wanted, batch: Batch) -> Sequence[Entry]:
        """Produce the entries; returns those that are counted."""
        assert self._writer is not None
        kept, first = wanted.kept, batch.position
        entries = [self._writer.put(entry, batch, kept) for entry in wanted.entries]
        if wanted.quarantine is None:
            return entries
        for item in wanted.quarantine:
            if not first <= item.position < batch.position:
                self._writer.keep(item, (batch, {}))
        return ()

    def _failed(self, error: KafkaException, unsure: Batch | None, mark: tuple[Any, ...]) -> Exception:
        """What an error means: `Again` when nothing was written and this can be begun anew now."""
        reason = error.args[0]
        self._drop()
        if unsure is not None:
            self._unsure[mark] = unsure
        if reason.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            self._most = 0  # the limit of a topic was lowered; it is asked for anew
            return Again()
        if reason.code() in FENCED or (reason.txn_requires_abort() and not reason.retriable()) or reason.fatal():
            return Again()
        return translated(reason, self.place, "the journal")

    def _leaving(self, healed: Sequence[int]) -> list[tuple[str, int]]:
        """The source and kind of messages that leave quarantine. Raises `BadQuery`."""
        if not healed:
            return []
        self.quarantine.sync()
        found = [self.quarantine.kept(position) for position in healed]
        for number, (position, kept) in enumerate(zip(healed, found, strict=True)):
            if kept is None or position in healed[:number]:
                raise not_quarantined(position)
        return [(kept.item.source, kept.kind) for kept in found if kept is not None]

    def _make(self, entries: Sequence[Entry]) -> None:
        """Have the topic of every source."""
        lacking = {e.raw.source for e in entries if len(e.raw) and self.place.raw(e.raw.source) not in self._topics}
        if lacking:
            with self.place.admin() as admin:
                topics.create(admin, self.place, sorted(lacking))
            self._topics |= {self.place.raw(source) for source in lacking}

    def _values(self, entries: Sequence[Entry], leaving: Sequence[tuple[str, int]], batch: Batch) -> dict[str, Any]:
        """The new value of every key that changes."""
        counts: Counter[tuple[str, int]] = Counter()
        changes = [(source, untally(kind)) for source, kind in leaving]
        changes += [(e.raw.source, tally(e)) for e in entries if len(e.raw) and any(tally(e))]
        for source, change in changes:
            counts.update({(source, i): n for i, n in enumerate(change)})
        values: dict[str, Any] = {}
        for source in dict.fromkeys(source for source, _ in changes):
            old = self.state.get(f"ledger/{source}", [0] * len(NAMES))
            values[f"ledger/{source}"] = [n + counts[source, i] for i, n in enumerate(old)]
        for entry in entries:
            values |= {f"resume/{key}": value for key, value in ((entry.resume,) if entry.resume else ())}
            values |= {f"resume/{key}": value for key, value in entry.notes}
        return {**values, "end": [batch.position, batch.total]}

    def _keys(self, writer: Writer, values: dict[str, Any], healed: Sequence[int]) -> dict[str, int]:
        """Produce keys, and the tombstones of messages that leave quarantine; the offsets are known once all is delivered."""
        offsets: dict[str, int] = {}

        def told(key: str) -> Any:
            return lambda error, message: None if error else offsets.__setitem__(key, message.offset())

        for key, value in values.items():
            writer.one(self.state.topic, encode(value), key, told(key))
        for position in healed:
            writer.one(self.quarantine.topic, None, str(position), told(f"healed/{position}"))
        return offsets


def connected(producer: Producer, place: Place) -> None:
    """Wait for a connection: without one a producer puts its first question off for half a second."""
    try:
        producer.list_topics(place.topic("state"), timeout=place.timeout)
    except KafkaException:
        producer.poll(0.1)  # what the connection said of itself comes with a call of its own
        raise
    place.trouble.clear()
    time.sleep(SETTLED)


class Notes:
    """Writes single keys of the state, outside of transactions: where groups are. Safe for several threads."""

    def __init__(self, place: Place, state: State) -> None:
        self.place, self.state = place, state
        self._lock = threading.Lock()
        self._producer: Producer | None = None

    def put(self, key: str, value: Any) -> None:
        """Make a value durable. Raises `Unreachable`."""
        done: list[Any] = []
        with self._lock:
            if self._producer is None:
                timeout = {"message.timeout.ms": round(self.place.timeout * 1000)}
                producer = self.place.producer(
                    **{"linger.ms": 0, "enable.idempotence": False, "max.in.flight": 1, **timeout}
                )
                with asking(self.place, "the journal"):
                    connected(producer, self.place)
                self._producer = producer
            with asking(self.place, "the journal"):
                self._producer.produce(
                    self.state.topic,
                    encode(value),
                    key.encode(),
                    0,
                    lambda error, message: done.append((error, message)),
                )
            while not done:
                self._producer.poll(0.1)
        error, message = done[0]
        if error:
            raise translated(error, self.place, "the journal")
        self.state.put(key, value, message.offset())

    def close(self) -> None:
        """Let go of the connection."""
        with self._lock:
            self._producer = None
