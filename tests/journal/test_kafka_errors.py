"""What librdkafka says of itself, without a broker's word: for which of it waiting helps."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from tickhouse.core.errors import Final, SettingsError, TickhouseError, Unreachable
from tickhouse.journal._kafka import errors
from tickhouse.journal._kafka.place import place

LOCAL = {name: code for name in dir(KafkaError) if isinstance(code := getattr(KafkaError, name), int) and code < -1}
"""Every error of the client itself, by name."""
HELPS = {
    "_ALL_BROKERS_DOWN", "_CONFLICT", "_DESTROY", "_DESTROY_BROKER", "_FAIL", "_INTR", "_IN_PROGRESS", "_ISR_INSUFF",
    "_MSG_TIMED_OUT", "_NODE_UPDATE", "_OUTDATED", "_PREV_IN_PROGRESS", "_PURGE_INFLIGHT", "_PURGE_QUEUE", "_QUEUE_FULL",
    "_RESOLVE", "_RETRY", "_STATE", "_TIMED_OUT", "_TIMED_OUT_QUEUE", "_TRANSPORT", "_UNKNOWN_BROKER", "_UNKNOWN_PARTITION",
    "_UNKNOWN_TOPIC", "_WAIT_CACHE", "_WAIT_COORD",
}  # fmt: skip
USERS = {"_AUTHENTICATION", "_SSL", "_UNSUPPORTED_FEATURE"}
FINAL = {
    "_APPLICATION", "_ASSIGNMENT_LOST", "_ASSIGN_PARTITIONS", "_AUTO_OFFSET_RESET", "_BAD_COMPRESSION", "_BAD_MSG",
    "_CRIT_SYS_RESOURCE", "_EXISTING_SUBSCRIPTION", "_FATAL", "_FENCED", "_FS", "_GAPLESS_GUARANTEE", "_INCONSISTENT",
    "_INVALID_ARG", "_INVALID_DIFFERENT_RECORD", "_INVALID_TYPE", "_KEY_DESERIALIZATION", "_KEY_SERIALIZATION",
    "_LOG_TRUNCATION", "_MAX_POLL_EXCEEDED", "_NOENT", "_NOOP", "_NOT_CONFIGURED", "_NOT_IMPLEMENTED", "_NO_OFFSET",
    "_PARTIAL", "_PARTITION_EOF", "_READ_ONLY", "_REVOKE_PARTITIONS", "_UNDERFLOW", "_UNKNOWN_GROUP", "_UNKNOWN_PROTOCOL",
    "_VALUE_DESERIALIZATION", "_VALUE_SERIALIZATION",
}  # fmt: skip


def meant(code: int) -> TickhouseError:
    return errors.translated(KafkaError(code), place("kafka://h:1/house?timeout=1s"), "the journal")


@pytest.mark.parametrize("name", sorted(LOCAL))
def test_every_error_of_the_client_itself_says_whether_waiting_helps(name):
    """A client that knows more of them than these was not judged yet: put the name where it belongs, here and in `errors`."""
    assert (name in HELPS) + (name in USERS) + (name in FINAL) == 1
    expected = Unreachable if name in HELPS else SettingsError if name in USERS else Final
    error = meant(LOCAL[name])
    assert type(error) is expected, error
    if expected is Unreachable:
        assert error.retry_after == errors.PAUSE


def test_a_connection_that_the_client_gives_up_while_the_edges_are_asked_is_a_broker_that_is_away():
    """As when the broker is killed: another connection is made when it is back, whatever the client is named like."""

    def ask() -> None:
        raise KafkaException(KafkaError(-137))

    with pytest.raises(Unreachable, match="does not answer; the journal waits"):
        errors.settled(place("kafka://h:1/house?timeout=1s"), "the journal", ask)
