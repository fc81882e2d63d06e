"""Several Kafkas that are one cluster: each is broker and controller, and has a copy of everything."""

import base64
import uuid
from collections.abc import Sequence
from pathlib import Path

from tools.services.kafka import Kafka, brokers
from tools.services.server import HOST, NotReady, free_port


class KafkaNode(Kafka):
    """One broker of a cluster; `controllers` are the ports of all controllers, its own among them."""

    name = "kafka-node"
    variable = "TICKHOUSE_TEST_KAFKA_NODE"

    def __init__(self, folder: Path, number: int, controllers: Sequence[int]) -> None:
        super().__init__(folder)
        self.number, self.controllers = number, tuple(controllers)

    def make(self) -> None:
        super().make()
        about = self.folder / "data" / "meta.properties"
        known = dict(line.split("=", 1) for line in about.read_text().splitlines() if "=" in line)
        known |= {"node.id": str(self.number), "directory.id": _uuid()}
        about.write_text("".join(f"{name}={value}\n" for name, value in known.items()))

    def greet(self) -> None:
        """Ask who is there: a broker is let in when the others know of it."""
        with self.enter() as talk:
            if brokers(talk) < min(2, len(self.controllers)):
                raise NotReady("the brokers do not know each other yet")

    def settings(self) -> str:
        voters = ",".join(f"{number}@{HOST}:{port}" for number, port in enumerate(self.controllers, 1))
        copies = len(self.controllers)
        return f"""
node.id={self.number}
listeners=CLIENTS://{HOST}:{self.inner},CONTROLLER://{HOST}:{self.controllers[self.number - 1]}
advertised.listeners=CLIENTS://{HOST}:{self.port}
controller.quorum.voters={voters}
min.insync.replicas={max(1, copies - 1)}
offsets.topic.replication.factor={copies}
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={max(1, copies - 1)}
share.coordinator.state.topic.replication.factor={copies}
replica.lag.time.max.ms=3000
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=1000
"""

    def heap(self) -> str:
        return "-Xmx256m"


def cluster(folder: Path, count: int = 3) -> list[KafkaNode]:
    """The nodes of a new cluster, not started: begin all, then wait for each."""
    controllers = [free_port() for _ in range(count)]
    return [KafkaNode(folder / f"node-{number}", number, controllers) for number in range(1, count + 1)]


def _uuid() -> str:
    """A name as Kafka makes them; none begins with a dash."""
    while (name := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return name
