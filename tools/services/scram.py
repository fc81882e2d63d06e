"""Kafka whose clients need a user's name and password, proved by SCRAM-SHA-512: the password itself never goes over the line."""

import socket
from pathlib import Path

from tools.services.kafka import Kafka, formatted
from tools.services.server import HOST, free_port

USER = "tickhouse"
MECHANISM = "SCRAM-SHA-512"


class ScramKafka(Kafka):
    """A Kafka whose clients have to prove that they know the password (`secret`); itself it talks to on a listener of its own."""

    name = "kafka-scram"
    variable = "TICKHOUSE_TEST_KAFKA_SCRAM"
    user = USER

    def __init__(self, folder: Path, port: int = 0, secret: str = "") -> None:
        super().__init__(folder, port, secret)
        self.own, self.controller = free_port(), free_port()

    def make(self) -> None:
        formatted(self.folder, "--add-scram", f"{MECHANISM}=[name={USER},password={self.secret}]")

    def enter(self) -> socket.socket:
        """A connection on its own listener, which asks for nothing."""
        return socket.create_connection((HOST, self.own), 2)

    def settings(self) -> str:
        return f"""
listeners=CLIENTS://{HOST}:{self.inner},OWN://{HOST}:{self.own},CONTROLLER://{HOST}:{self.controller}
advertised.listeners=CLIENTS://{HOST}:{self.port},OWN://{HOST}:{self.own}
controller.quorum.voters=1@{HOST}:{self.controller}
listener.security.protocol.map=CLIENTS:SASL_PLAINTEXT,OWN:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=OWN
sasl.enabled.mechanisms={MECHANISM}
listener.name.clients.{MECHANISM.lower()}.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""
