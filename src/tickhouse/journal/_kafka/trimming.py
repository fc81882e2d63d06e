"""Retention: what is old is let go in Kafka too, the index first, never beyond the slowest group."""

from typing import TYPE_CHECKING

from confluent_kafka import TopicPartition

from tickhouse.journal._kafka.errors import asking
from tickhouse.journal._kafka.topics import there

if TYPE_CHECKING:
    from tickhouse.journal.kafka import KafkaJournal

AT_A_TIME = 65_536


def trim(journal: "KafkaJournal", now: int) -> None:
    """Let go of entries that are older, or more, than the limits say. Raises `Unreachable`."""
    limits = journal.limits
    if not (limits.retain_bytes or limits.retain_seconds):
        return
    slowest, total, low = journal.slowest(), journal.state.total, 0
    ends: dict[tuple[str, int], int] = {}
    first = journal.index.begin()
    position = first.about.first if first else journal.state.end
    more = True
    while more and (entries := journal.index.read(position, AT_A_TIME)):
        for entry in entries:
            about = entry.about
            if entry.end > slowest or not limits.expired(about.received_at, total - (about.total - about.size), now):
                more = False
                break
            low = entry.offset + 1
            ends[journal.place.raw(about.source), 0] = about.raw + about.count
            ends |= {(journal.place.topic("ticks"), n): offset + count for n, offset, count in about.ticks}
        position = entries[-1].end
    if low:
        _let_go(journal, {(journal.index.topic, 0): low})
        journal.index.forget(low)
        _let_go(journal, ends)


def _let_go(journal: "KafkaJournal", ends: dict[tuple[str, int], int]) -> None:
    until = [TopicPartition(topic, number, offset) for (topic, number), offset in ends.items()]
    place = journal.place
    with place.admin() as admin, asking(place, "letting old records go"):
        there(admin, place)
        for future in admin.delete_records(until, request_timeout=place.timeout).values():
            future.result(place.timeout * 2)
