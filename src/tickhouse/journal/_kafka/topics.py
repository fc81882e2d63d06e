"""The topics of a journal: their names, how they are made, and the largest message that they take."""

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
)

from tickhouse.core.errors import SettingsError
from tickhouse.journal._kafka.errors import OLD, asking, settled, translated
from tickhouse.journal._kafka.place import Place

LARGE = 128 << 20
"""The index has bars and tables inline."""
MOST_PARTITIONS = 250
ROOM = 4 << 10
"""Bytes of headers and framing that a message may have beside its payload."""
FOREVER = {"retention.ms": "-1", "retention.bytes": "-1"}
NEWEST = {"cleanup.policy": "compact"}
"""Of each key the newest message stays for ever; how long others do is left to the broker's settings."""
STATE = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.1",
    "segment.ms": "3600000",
    "segment.bytes": str(64 << 20),
}


def wanted(place: Place, sources: Iterable[str] = ()) -> dict[str, NewTopic]:
    """Every topic by its full name: retention is the journal's own work, so the broker deletes nothing by itself."""
    most = {"max.message.bytes": str(place.max_message)}
    kinds: dict[str, tuple[int, dict[str, str]]] = {
        place.topic("ticks"): (place.partitions, {**FOREVER, **most}),
        place.topic("quarantine"): (1, {**STATE, **most}),
        place.topic("journal"): (1, {**FOREVER, "max.message.bytes": str(LARGE)}),
        place.topic("state"): (1, {**STATE, "max.message.bytes": str(LARGE)}),
        place.topic("bars"): (place.partitions, {**NEWEST, **most}),
        place.topic("anomalies"): (place.partitions, {**NEWEST, **most}),
        place.topic("published"): (place.partitions, STATE),
        **{place.raw(source): (1, {**FOREVER, **most}) for source in sources},
    }
    copies = {"min.insync.replicas": "2"} if place.replication > 2 else {}
    return {n: NewTopic(n, parts, place.replication, config=config | copies) for n, (parts, config) in kinds.items()}


def there(client: "AdminClient | Consumer", place: Place) -> dict[str, int]:
    """The topics of the prefix that there are, with their numbers of partitions. Raises `Unreachable`, `SettingsError`."""
    try:
        found = client.list_topics(timeout=place.timeout).topics
    except KafkaException as error:
        client.poll(0.1)  # what the connection said of itself comes with a call of its own
        raise translated(error.args[0], place, "the journal") from error
    place.trouble.clear()
    return {name: len(about.partitions) for name, about in found.items() if name.startswith(f"{place.prefix}.")}


def _suitable(admin: AdminClient, place: Place) -> None:
    """Raises `SettingsError` for brokers that are too old. Brokers do not tell their version: those before 2.3 do not know this
    question, which changes nothing, and whatever else is answered comes from one that does."""
    setting = ConfigEntry("retention.ms", FOREVER["retention.ms"], incremental_operation=AlterConfigOpType.SET)
    asked = ConfigResource(ConfigResource.Type.TOPIC, place.topic("journal"), incremental_configs=[setting])
    (answer,) = admin.incremental_alter_configs([asked], validate_only=True, request_timeout=place.timeout).values()
    try:
        answer.result(place.timeout * 2)
    except KafkaException as error:
        if error.args[0].code() in OLD:
            raise translated(error.args[0], place, "the journal") from error


def create(admin: AdminClient, place: Place, sources: Iterable[str] = ()) -> list[str]:
    """Make the topics that are not there; returns the names of those made. Raises `SettingsError` where the broker refuses, or is
    too old."""
    have = there(admin, place)
    _suitable(admin, place)
    place = replace(place, partitions=have.get(place.topic("ticks"), place.partitions))
    lacking = [topic for name, topic in wanted(place, sources).items() if name not in have]
    if lacking and not place.create:
        names = ", ".join(topic.topic for topic in lacking)
        raise SettingsError(
            f"Kafka at {place.servers} has no topic {names}; `tickhouse journal create` makes what is lacking"
        )
    made = []
    for name, future in (admin.create_topics(lacking, operation_timeout=place.timeout) if lacking else {}).items():
        if _new(future, place):
            made.append(name)
    return made


def _new(future: "Future[Any]", place: Place) -> bool:
    try:
        future.result(place.timeout * 2)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise translated(error.args[0], place, "creating topics") from error
    return True


def partitions(admin: AdminClient, place: Place) -> int:
    """How many partitions the ticks have, whoever made them. Raises `SettingsError` for more than are numbered here."""
    found = there(admin, place).get(
        place.topic("ticks"), place.partitions
    )  # one made a moment ago may not be listed yet
    if found > MOST_PARTITIONS:
        raise SettingsError(
            f"{place.topic('ticks')} has {found} partitions, and the journal takes {MOST_PARTITIONS} at most"
        )
    return found


def largest(admin: AdminClient, place: Place, names: Iterable[str]) -> int:
    """The largest payload that every topic of messages takes, by the broker's own word; `names` are the topics there are."""
    messages = [place.topic("quarantine"), *(name for name in names if name.startswith(place.topic("raw.")))]
    asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in messages]
    found = settled(
        place, "the journal", lambda: [one.result(place.timeout) for one in admin.describe_configs(asked).values()]
    )
    return min(int(config["max.message.bytes"].value) for config in found) - ROOM


def delete(admin: AdminClient, place: Place) -> list[str]:
    """Delete every topic of the prefix, with all that is in them; returns their names."""
    names = list(there(admin, place))
    with asking(place, "deleting topics"):
        for future in (admin.delete_topics(names, operation_timeout=place.timeout) if names else {}).values():
            future.result(place.timeout * 2)
    return names


def spans(consumer: Consumer, place: Place) -> list[dict[str, Any]]:
    """The first offset of every partition of the prefix, and the one after the last that is committed."""
    found = []
    for name, count in sorted(there(consumer, place).items()):
        for number in range(count):
            ask = partial(consumer.get_watermark_offsets, TopicPartition(name, number), timeout=place.timeout)
            begin, end = settled(place, "the journal", ask)
            found.append({"topic": name, "partition": number, "begin": begin, "end": end})
    return found
