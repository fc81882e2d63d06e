"""What the client of Kafka says, as errors that tell whether waiting helps."""

import pytest

pytest.importorskip("confluent_kafka")

from confluent_kafka import KafkaError

from tickhouse.core.errors import Final, Unreachable
from tickhouse.journal._kafka.errors import DESTROYED, translated
from tickhouse.journal._kafka.place import place

WHERE = place("kafka://127.0.0.1:1/house")


@pytest.mark.parametrize(
    "code", [DESTROYED, KafkaError._TRANSPORT, KafkaError._UNKNOWN_BROKER, KafkaError._WAIT_CACHE, KafkaError._RETRY]
)
def test_what_a_broker_that_is_killed_leaves_behind_is_waited_for(code):
    """Once a question was under way when its broker was given up, and the process ended over it."""
    error = translated(KafkaError(code), WHERE, "reading the journal")
    assert isinstance(error, Unreachable) and error.retry_after, error


def test_what_waiting_does_not_help_against_is_final():
    assert isinstance(translated(KafkaError(KafkaError._BAD_MSG), WHERE, "reading the journal"), Final)
