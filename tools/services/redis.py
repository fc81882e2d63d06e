"""Redis, or Valkey, from the system's packages."""

import shutil
import socket

from tools.services.fetch import package
from tools.services.server import HOST, Launch, NotReady, Server

PROGRAMS = ("redis-server", "valkey-server")


class Redis(Server):
    """Redis with a password, which writes each change to its file before it answers: what it acknowledged outlives a kill."""

    name = "redis"
    variable = "TICKHOUSE_TEST_REDIS"

    @property
    def url(self) -> str:
        return f"redis://:{self.secret}@{HOST}:{self.port}/0"

    def fetch(self) -> None:
        if not self.have():
            package("redis-server", debian="redis-server", brew="redis", found=self.have)

    def have(self) -> bool:
        return bool(_program())

    def make(self) -> None:
        (self.folder / "data").mkdir()

    def launch(self) -> Launch:
        lines = [f"bind {HOST}", f"port {self.inner}", f"requirepass {self.secret}", f"dir {self.folder / 'data'}"]
        lines += ["appendonly yes", "appendfsync everysec", 'save ""', "daemonize no"]
        conf = self.folder / "redis.conf"
        conf.write_text("\n".join(lines) + "\n")
        conf.chmod(0o600)
        return Launch([self.program(), str(conf)])

    def program(self) -> str:
        """The path of its program."""
        return _program()

    def greet(self) -> None:
        """Give the password and ping; while it loads its data it says LOADING."""
        with socket.create_connection((HOST, self.inner), 2) as talk:
            talk.settimeout(2)
            talk.sendall(f"AUTH {self.secret}\r\nPING\r\n".encode())
            said = b""
            while said.count(b"\r\n") < 2 and (more := talk.recv(400)):
                said += more
        if said != b"+OK\r\n+PONG\r\n":
            raise NotReady(f"redis said {said.decode(errors='replace').strip() or 'nothing'}")


def _program() -> str:
    return next((found for name in PROGRAMS if (found := shutil.which(name))), "")
