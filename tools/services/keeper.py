"""Kafka of releases that keep what they know of themselves in ZooKeeper, which is started beside the broker and ends with it."""

import socket
from pathlib import Path
from typing import ClassVar

from tools.services.fetch import has, jars
from tools.services.kafka import COMMON, Kafka, ask, java
from tools.services.server import HOST, Launch, NotReady, Server

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tickhouse</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_{0}</artifactId><version>{1}</version></dependency>
    <dependency><groupId>javax.xml.bind</groupId><artifactId>jaxb-api</artifactId><version>2.3.1</version></dependency>
  </dependencies>
</project>
"""
SETTINGS = f"""{COMMON}
broker.id=0
zookeeper.connection.timeout.ms=20000
"""
# What ZooKeeper needs beside another log than its own, and on a java from after its time.
JAVA = ["-Dzookeeper.jmx.log4j.disable=true", "-Dzookeeper.sasl.client=false"]
VERSIONS = 18, 0
"""The request for what a broker knows: its key and version."""


class ZooKeeper(Server):
    """A ZooKeeper for one broker, run from the same jars."""

    name = "zookeeper"
    variable = "TICKHOUSE_TEST_ZOOKEEPER"

    def __init__(self, broker: "KeptKafka") -> None:
        super().__init__(broker.folder / "keeper")
        self._broker = broker

    @property
    def url(self) -> str:
        return f"{HOST}:{self.port}"

    def fetch(self) -> None:
        self._broker.fetch()

    def have(self) -> bool:
        return self._broker.have()

    def make(self) -> None:
        lines = f"dataDir={self.folder / 'data'}\nclientPort={self.port}\nclientPortAddress={HOST}\n"
        (self.folder / "zoo.cfg").write_text(f"{lines}admin.enableServer=false\n4lw.commands.whitelist=ruok\n")

    def launch(self) -> Launch:
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        return Launch([*self._broker.java("-Xmx128m"), main, str(self.folder / "zoo.cfg")])

    def greet(self) -> None:
        """Ask it whether it is well."""
        with socket.create_connection((HOST, self.port), 2) as talk:
            talk.settimeout(2)
            talk.sendall(b"ruok")
            if (said := talk.recv(40)) != b"imok":
                raise NotReady(f"zookeeper said {said!r}")


class KeptKafka(Kafka):
    """One broker of a `release`, which is a version of Scala and one of Kafka, and its ZooKeeper."""

    release: ClassVar[tuple[str, str]]

    def __init__(self, folder: Path, port: int = 0, secret: str = "") -> None:
        super().__init__(folder, port, secret)
        self._keeper = ZooKeeper(self)

    def fetch(self) -> None:
        self._libs()

    def have(self) -> bool:
        return has(self._cached)

    def make(self) -> None:
        self._keeper.start()

    def launch(self) -> Launch:
        conf = self.folder / "server.properties"
        lines = f"listeners=PLAINTEXT://{HOST}:{self.inner}\nadvertised.listeners=PLAINTEXT://{HOST}:{self.port}\n"
        lines += f"log.dirs={self.folder / 'data'}\nzookeeper.connect={self._keeper.url}\n"
        conf.write_text(lines + SETTINGS)
        return Launch([*self.java(self.heap()), "kafka.Kafka", str(conf)])

    def greet(self) -> None:
        """Ask which requests it knows: one that every release since 0.10 knows."""
        with self.enter() as talk:
            if (said := ask(talk, *VERSIONS, b""))[:2] != b"\0\0":
                raise NotReady(f"kafka said {said[:2]!r}")

    def java(self, heap: str) -> list[str]:
        """The beginning of every command."""
        return [*java(self._libs(), heap), *JAVA]

    def remove(self) -> None:
        super().remove()
        self._keeper.remove()

    @property
    def _cached(self) -> str:
        return f"kafka-{self.release[1]}"

    def _libs(self) -> Path:
        return jars(self._cached, POM.format(*self.release))


class Kafka1(KeptKafka):
    """The last that is too old and runs on the java of today."""

    name, release = "kafka-1", ("2.12", "1.1.1")


class Kafka24(KeptKafka):
    """The oldest that will do."""

    name, release = "kafka-2.4", ("2.12", "2.4.1")
