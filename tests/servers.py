"""Real servers for tests: shared ones that `make services` started, and private ones that a test may kill or freeze.

A shared server is used by many tests at once: make topics, tables, keys and objects of your own, with a name of your own.
Where a server is absent the test is skipped, and says how to have it; in CI all of them are required, so there it fails.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import pytest
from tools.services.cluster import KafkaNode, cluster
from tools.services.known import FETCHED, PRIVATE, SERVERS
from tools.services.line import Line
from tools.services.old import OLD, offered
from tools.services.server import Missing, Server, free_port
from tools.services.state import PLACE
from tools.services.valkey import Valkey


@dataclass(frozen=True)
class S3:
    """An S3 server and a bucket on it."""

    endpoint: str
    bucket: str
    key: str
    secret: str

    @classmethod
    def of(cls, url: str) -> "S3":
        """From `http://key:secret@host:port/bucket`."""
        parts = urlsplit(url)
        endpoint = f"{parts.scheme}://{parts.hostname}:{parts.port}"
        return cls(endpoint, parts.path.strip("/"), parts.username or "", parts.password or "")


class Private:
    """Servers of one's own in a folder: `start("kafka").kill()`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun: list[Server] = []
        self._lines: list[Line] = []

    def __call__(self, name: str) -> Server:
        """Start one, and return when it answers."""
        return self._start(self._new(name))

    def with_line(self, name: str) -> tuple[Server, Line]:
        """Start one that clients reach over a line, which can be cut, mended and held."""
        server = self._new(name)
        server.inner = free_port()
        line = Line(server.port, server.inner)
        self._lines.append(line)
        return self._start(server), line

    def cluster(self, count: int = 3) -> list[KafkaNode]:
        """Start the brokers of a Kafka, each of which has a copy of everything."""
        nodes = cluster(self._folder, count)
        if not nodes[0].have():
            absent("the programs of kafka are not here: `make services` gets them")
        self._begun += nodes
        for node in nodes:
            node.begin()
        for node in nodes:
            node.wait()
        return nodes

    def remove(self) -> None:
        """End them all and remove their data."""
        for line in self._lines:
            line.close()
        for server in self._begun:
            server.remove()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _new(self, name: str) -> Server:
        server = (SERVERS | PRIVATE | FETCHED)[name](self._folder / f"{name}-{len(self._begun)}")
        if name in FETCHED:
            _fetched(server)
        elif not server.have():
            absent(f"the programs of {name} are not here: `make services` gets them")
        self._begun.append(server)
        return server

    def _start(self, server: Server) -> Server:
        try:
            server.start()
        except Missing as problem:
            absent(f"{server.name}: {problem}")
        return server


@pytest.fixture(scope="session")
def kafka_url() -> str:
    """The bootstrap servers of a Kafka."""
    return shared("kafka")


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """`postgresql://user:password@host:port/database`; its user may make databases."""
    return shared("postgres")


@pytest.fixture(scope="session")
def redis_url() -> str:
    """`redis://:password@host:port/0`."""
    return shared("redis")


@pytest.fixture(scope="session")
def s3() -> S3:
    """MinIO."""
    return S3.of(shared("minio"))


@pytest.fixture(scope="session")
def s3_second() -> S3:
    """An S3 server of another make than `s3`."""
    return S3.of(shared("versity"))


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """As `redis_url`; where none is named in the environment it is started."""
    if named := os.environ.get(Valkey.variable):
        yield named
        return
    with _private() as start:
        yield start(Valkey.name).url


@pytest.fixture
def private_server() -> Iterator[Private]:
    """Starts servers of one's own: `private_server("kafka").kill()`; they and their data are gone after the test."""
    with _private() as start:
        yield start


@contextmanager
def _private() -> Iterator[Private]:
    # not below pytest's folder, which only its owner may enter: PostgreSQL is run by another user where the owner is root
    folder = Path(tempfile.mkdtemp(prefix="tickhouse-private-"))
    folder.chmod(0o711)
    private = Private(folder)
    try:
        yield private
    finally:
        private.remove()


def shared(name: str) -> str:
    """The URL of a shared server, from the environment or from what `make services` wrote; skips the test where there is none."""
    variable = SERVERS[name].variable
    url = os.environ.get(variable) or _written().get(variable)
    return url or absent(f"{name} is not running: `make services` starts it (or set {variable})")


def _fetched(server: Server) -> None:
    """Get a server that `make services` does not, as only a few tests need it."""
    if server.name in OLD and not offered(server.name):
        pytest.skip(f"{server.name} is offered for Linux on x86-64 only")
    try:
        server.fetch()
    except Missing as problem:
        absent(f"{server.name}: {problem}")


def absent(why: str) -> NoReturn:
    """Skip the test; in CI, where everything is required, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def _written() -> dict[str, str]:
    file = PLACE / "env"
    lines = file.read_text().splitlines() if file.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line)
