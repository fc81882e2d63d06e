"""What librdkafka says, as errors that tell whose fault it is and whether waiting helps."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

from tickhouse.core.errors import BadMessage, Final, SettingsError, TickhouseError, Unreachable
from tickhouse.journal._kafka.place import Place

E = KafkaError
Answer = TypeVar("Answer")
REFUSED = {E._AUTHENTICATION, E.SASL_AUTHENTICATION_FAILED, E.UNSUPPORTED_SASL_MECHANISM, E.ILLEGAL_SASL_STATE}
FORBIDDEN = {
    E.TOPIC_AUTHORIZATION_FAILED, E.GROUP_AUTHORIZATION_FAILED, E.CLUSTER_AUTHORIZATION_FAILED,
    E.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}  # fmt: skip
OLD = {E.UNSUPPORTED_VERSION, E._UNSUPPORTED_FEATURE, E.UNSUPPORTED_FOR_MESSAGE_FORMAT}
FENCED = {
    E._FENCED,
    E._FATAL,
    E.INVALID_PRODUCER_EPOCH,
    E.PRODUCER_FENCED,
    E.INVALID_PRODUCER_ID_MAPPING,
    E.INVALID_TXN_STATE,
}
CHANGED = {E.INVALID_CONFIG, E.INVALID_REPLICATION_FACTOR, E.INVALID_PARTITIONS, E.POLICY_VIOLATION, E.TOPIC_EXCEPTION}
DESTROY_BROKER = -137
"""The client gave up one connection and makes another; `KafkaError._DESTROY_BROKER`, which older clients do not name."""
AWAY = {
    DESTROY_BROKER, E._FAIL, E._UNKNOWN_BROKER, E._NODE_UPDATE, E._WAIT_CACHE, E._ISR_INSUFF, E._INTR, E._RETRY,
    E._QUEUE_FULL, E._PURGE_QUEUE, E._PURGE_INFLIGHT,
    E._ALL_BROKERS_DOWN, E._TRANSPORT, E._TIMED_OUT, E._TIMED_OUT_QUEUE, E._MSG_TIMED_OUT, E._RESOLVE, E._WAIT_COORD,
    E.REQUEST_TIMED_OUT, E.NOT_ENOUGH_REPLICAS, E.NOT_ENOUGH_REPLICAS_AFTER_APPEND, E.COORDINATOR_NOT_AVAILABLE,
    E.COORDINATOR_LOAD_IN_PROGRESS, E.NOT_COORDINATOR, E.LEADER_NOT_AVAILABLE, E.NOT_LEADER_FOR_PARTITION,
    E.BROKER_NOT_AVAILABLE, E.NETWORK_EXCEPTION, E.CONCURRENT_TRANSACTIONS,
    E.KAFKA_STORAGE_ERROR, E.UNKNOWN_TOPIC_OR_PART, E._UNKNOWN_TOPIC, E._UNKNOWN_PARTITION, E._STATE, E._DESTROY,
    E._IN_PROGRESS, E._CONFLICT, E._OUTDATED, E._PREV_IN_PROGRESS,
}  # fmt: skip
SOON = {
    E.NOT_LEADER_FOR_PARTITION, E.LEADER_NOT_AVAILABLE, E.UNKNOWN_TOPIC_OR_PART, E._UNKNOWN_PARTITION, E._UNKNOWN_TOPIC,
    E.OFFSET_NOT_AVAILABLE, E._TRANSPORT, DESTROY_BROKER,
}  # fmt: skip
PAUSE = 0.5
"""Seconds after which a broker that was away is worth asking again."""


def away(place: Place, doing: str) -> TickhouseError:
    """The error for a broker that did not answer in time; with the reason where the connection gave one."""
    last = place.trouble[-1] if place.trouble else None
    if last is not None and last.code() in REFUSED:
        return translated(last, place, doing)
    if last is not None and (last.code() == E._SSL or "SSL routines" in last.str()):
        return _untrusted(place, last.str())
    why = f" ({last.str()})" if last is not None else ""
    return Unreachable(
        f"Kafka at {place.servers} does not answer{why}; {doing} waits until it is back", retry_after=PAUSE
    )


def _untrusted(place: Place, said: str) -> SettingsError:
    return SettingsError(
        f"the TLS connection to Kafka at {place.servers} failed; see tls and ca in journal.url ({said})"
    )


def translated(error: KafkaError, place: Place, doing: str) -> TickhouseError:
    """An error of ours for one of Kafka's."""
    code, said = error.code(), error.str()
    if code in REFUSED:
        text = f"Kafka at {place.servers} refuses the user or the password of journal.url; nothing was read or written ({said})"
        return SettingsError(text)
    if code == E._SSL:
        return _untrusted(place, said)
    if code in FORBIDDEN:
        return SettingsError(
            f"Kafka at {place.servers} does not allow its user {doing} under {place.prefix}.* ({said})"
        )
    if code in OLD:
        return SettingsError(
            f"the broker at {place.servers} is too old for the journal, which needs Kafka 2.4 or newer ({said})"
        )
    if code in CHANGED:
        return SettingsError(f"Kafka at {place.servers} refuses the topics of {place.prefix}: {said}")
    if code == E.KAFKA_STORAGE_ERROR:
        text = f"Kafka at {place.servers} cannot write to its disk, which may be full; {doing} waits until it can"
        return Unreachable(text, retry_after=PAUSE)
    if code in AWAY or error.retriable():
        return away(place, doing)
    if code == E.MSG_SIZE_TOO_LARGE:
        return BadMessage(f"Kafka at {place.servers} does not take a message so large: {said}")
    return Final(f"Kafka at {place.servers}: {doing} failed: {error.name()}: {said}")


def settled(place: Place, doing: str, ask: Callable[[], Answer]) -> Answer:
    """The answer to a question about a topic, which has no leader for a moment when it was just made or its broker was lost."""
    until = time.monotonic() + place.timeout
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in SOON or time.monotonic() > until:
                raise translated(error.args[0], place, doing) from error
            time.sleep(0.02)


@contextmanager
def asking(place: Place, doing: str) -> Iterator[None]:
    """Kafka's errors inside come out as ours."""
    try:
        yield
    except KafkaException as error:
        raise translated(error.args[0], place, doing) from error
