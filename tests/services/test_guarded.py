"""A Kafka that wants TLS and a password takes the client who has both, and says what is wrong to one who has not."""

from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from tests.services.talk import KafkaTopics

# A certificate that this server does not show.
OTHER = Path(__file__).parents[1] / "core" / "localhost.pem"

pytestmark = pytest.mark.slow


@pytest.fixture
def guarded(private_server):
    return private_server("kafka-guarded")


def client(server, **other):
    known = {"sasl_username": server.user, "sasl_password": server.secret, "ssl_ca_location": str(server.certificate)}
    return KafkaTopics(server.url, security_protocol="SASL_SSL", sasl_mechanism="PLAIN", **(known | other))


def refusal(topics):
    """What the broker's own error is when the client asks for the topics."""
    errors = []
    admin = AdminClient({**topics.settings, "error_cb": errors.append})
    with pytest.raises(KafkaException):
        admin.list_topics(timeout=1)
    admin.poll(1)
    return {error.code() for error in errors}


def test_who_has_the_password_and_the_certificate_is_served_also_after_a_kill(guarded):
    key = f"k{uuid4().hex}"
    client(guarded).put(key, "kept")
    guarded.restart()
    assert client(guarded).get(key) == "kept"


def test_a_wrong_password_and_an_unknown_certificate_are_refused_each_in_its_own_words(guarded):
    assert KafkaError._AUTHENTICATION in refusal(client(guarded, sasl_password="wrong"))
    assert KafkaError._SSL in refusal(client(guarded, ssl_ca_location=str(OTHER)))
