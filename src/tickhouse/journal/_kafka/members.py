"""The members of a consumer group, which share out the partitions of the ticks; what they read they read by the index.

The group is asked who has what, and nothing else: positions are kept with the results.
"""

from collections.abc import Callable
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from tickhouse.core.errors import SettingsError
from tickhouse.journal._kafka.errors import asking, translated
from tickhouse.journal._kafka.place import Place

SESSION_SECONDS = 10
"""So long a member that is gone keeps its partitions."""
Leave = Callable[[frozenset[int]], None]
"""Called with partitions that go to another member; they go when it returns."""


class Members:
    """This process as one of the members. Belongs to one thread."""

    def __init__(self, place: Place, group: str, leave: Leave) -> None:
        self.place, self._leave = place, leave
        self._mine: set[int] = set()
        self._consumer = place.consumer(**{
            "group.id": name(place, group), "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": SESSION_SECONDS * 1000, "heartbeat.interval.ms": SESSION_SECONDS * 300,
        })  # fmt: skip
        self._consumer.subscribe(
            [place.topic("ticks")], on_assign=self._taken, on_revoke=self._given, on_lost=self._given
        )

    def poll(self) -> frozenset[int]:
        """The partitions that are ours now. Raises `SettingsError` where the broker refuses us.

        Whatever else is wrong, such as that we did not ask for long, ends with joining again.
        """
        message = self._consumer.poll(0)
        if message is not None and (error := message.error()) is not None:
            why = translated(error, self.place, "sharing the ticks")
            if isinstance(why, SettingsError):
                raise why
        return frozenset(self._mine)

    def close(self) -> None:
        """Leave the group: others get our partitions at once."""
        self._consumer.close()

    def _taken(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        at_end = [TopicPartition(one.topic, one.partition, OFFSET_END) for one in partitions]
        consumer.incremental_assign(at_end)
        consumer.pause(at_end)
        self._mine |= {one.partition for one in partitions}

    def _given(self, consumer: Consumer, partitions: list[TopicPartition]) -> Any:
        gone = frozenset(one.partition for one in partitions)
        self._mine -= gone
        self._leave(gone)
        consumer.incremental_unassign(partitions)


def name(place: Place, group: str) -> str:
    """What Kafka calls those who share the ticks in the name of a group."""
    return f"{place.prefix}.{group}.members"


def counted(place: Place, group: str) -> int:
    """How many members a group has now. Raises `Unreachable`, also when one of several brokers does not answer.

    Every broker is asked: a newer question would go to the group's coordinator, at which librdkafka may abort (see `Place.admin`).
    """
    with place.admin() as admin, asking(place, "looking who shares the ticks"):
        found = admin.list_groups(name(place, group), place.timeout)
    return sum(len(one.members) for one in found)
