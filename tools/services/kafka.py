"""Apache Kafka in KRaft mode: one node that is broker and controller, from Maven's jars, run by plain java."""

import base64
import shutil
import socket
import struct
import subprocess
from pathlib import Path

from tools.services.fetch import has, jars, kept, tool
from tools.services.server import HOST, Launch, Missing, NotReady, Server, free_port

VERSION = "4.4.0"
NAME = f"kafka-{VERSION}"
FORMATTED = f"{NAME}-formatted"
CLASSES = f"{NAME}-classes"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tickhouse</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""
HEAP = "-Xmx512m"
JVM = ["-Xms128m", "-XX:+UseSerialGC", "-Djava.net.preferIPv4Stack=true"]
JVM += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
CLUSTER = base64.urlsafe_b64encode(b"tickhouse--tests").decode().rstrip("=")
# A topic that nobody created is an error, as on the brokers of most teams. One node: no second copy of anything.
COMMON = """
auto.create.topics.enable=false
num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
"""
"""What brokers of every version here are told."""
# A killed broker is let in again only when its last session is over: 3 s rather than 9.
SETTINGS = f"""{COMMON}
process.roles=broker,controller
node.id=1
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENTS
controller.listener.names=CONTROLLER
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""
METADATA, METADATA_VERSION = 3, 4


class Kafka(Server):
    """Kafka without passwords: `url` is what clients take for `bootstrap.servers`."""

    name = "kafka"
    variable = "TICKHOUSE_TEST_KAFKA"
    patience = 120.0

    @property
    def url(self) -> str:
        return f"{HOST}:{self.port}"

    def fetch(self) -> None:
        _classes()

    def have(self) -> bool:
        return has(NAME) and has(FORMATTED) and has(CLASSES) and shutil.which("java") is not None

    def make(self) -> None:
        shutil.copytree(_formatted(), self.folder / "data")

    def launch(self) -> Launch:
        conf = self.folder / "server.properties"
        ports = (self.inner, self.port)
        conf.write_text(_properties(self.folder / "data", ports, free_port()) + self.settings())
        return Launch([*_java(self.heap()), self._archive(), "kafka.Kafka", str(conf)])

    def greet(self) -> None:
        """Ask for the cluster's metadata; a broker that serves is one of its own brokers."""
        with self.enter() as talk:
            if brokers(talk) < 1:
                raise NotReady("kafka knows no broker yet")

    def enter(self) -> socket.socket:
        """A connection on which it takes any question."""
        return socket.create_connection((HOST, self.inner), 2)

    def settings(self) -> str:
        """What its settings have beyond those of every Kafka here."""
        return ""

    def heap(self) -> str:
        """How much memory java may take for its objects."""
        return HEAP

    def _archive(self) -> str:
        return f"-XX:SharedArchiveFile={_classes()}"


class _Recorder(Kafka):
    """A Kafka that writes down the classes it loaded when it ends."""

    def fetch(self) -> None:
        _formatted()

    def _archive(self) -> str:
        return f"-XX:ArchiveClassesAtExit={self.folder.parent / 'classes.jsa'}"


def ask(talk: socket.socket, key: int, version: int, words: bytes) -> bytes:
    """The answer to a request, without the number that joins the two."""
    me = b"tickhouse"
    request = struct.pack(">hhih", key, version, 1, len(me)) + me + words
    talk.settimeout(2)
    talk.sendall(struct.pack(">i", len(request)) + request)
    return _exactly(talk, struct.unpack(">i", _exactly(talk, 4))[0])[4:]


def brokers(talk: socket.socket) -> int:
    """How many brokers a broker knows of."""
    said = ask(talk, METADATA, METADATA_VERSION, struct.pack(">ib", 0, 0))
    return int(struct.unpack_from(">ii", said)[1])  # after the throttle time


def _exactly(talk: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = talk.recv(size - len(data))
        if not more:
            raise NotReady("kafka hung up")
        data += more
    return data


def java(libs: Path, heap: str) -> list[str]:
    """The beginning of every command: java with all the jars of a folder."""
    return [tool("java", debian="default-jre-headless", brew="openjdk"), *JVM, heap, "-cp", f"{libs}/*"]


def _java(heap: str = HEAP) -> list[str]:
    return java(jars(NAME, POM), heap)


def _properties(data: Path, ports: tuple[int, int], controller: int) -> str:
    """The settings: where it listens, where it says that it does, and the port on which it is its own controller."""
    lines = f"listeners=CLIENTS://{HOST}:{ports[0]},CONTROLLER://{HOST}:{controller}\n"
    lines += f"advertised.listeners=CLIENTS://{HOST}:{ports[1]}\ncontroller.quorum.voters=1@{HOST}:{controller}\n"
    return f"log.dirs={data}\n{lines}{SETTINGS}"


def _formatted() -> Path:
    """An empty, formatted data folder, which knows nothing of ports: made once and copied, for it takes a JVM's start."""
    return kept(FORMATTED, formatted) / "data"


def formatted(folder: Path, *more: str) -> None:
    """Format `data` in a folder; `more` are words for Kafka's own tool, such as users."""
    conf = folder / "format.properties"
    conf.write_text(_properties(folder / "data", (9092, 9092), 9093))
    command = [*_java(), "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(conf), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"Kafka's storage cannot be formatted: {done.stderr.strip()[-400:]}")


def _classes() -> Path:
    """An archive of the classes that a start loads, which halves the time of the next: made by one start and stop."""

    def build(folder: Path) -> None:
        first = _Recorder(folder / "first")
        first.start()
        first.stop()
        first.remove()

    return kept(CLASSES, build) / "classes.jsa"
