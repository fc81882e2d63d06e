"""A server of one's own: started, killed, frozen, thawed and started again on the same port with the same data."""

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tools.services.process import Process

HOST = "127.0.0.1"
# Below the range from which systems take the ports of outgoing connections: a port stays free while its server is down.
PORTS = range(20_000, 32_000)


class Missing(Exception):
    """A server cannot be had here; the message says why and what helps."""


class NotReady(Exception):
    """A server does not answer as it should; the message says what it said or where its log is."""


@dataclass
class Launch:
    """How a server is started: its command, further environment, and the user it runs as where that matters."""

    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    user: str | None = None


class Server:
    """One server: `name` on the command line, `variable` in the env file.

    Port, secret and folder make it what it is: given again, the same server comes back with the same data. Clients go to `port`; it
    listens on `inner`, which is another one only where a line lies between (see `line.py`)."""

    name: ClassVar[str]
    variable: ClassVar[str]
    patience: ClassVar[float] = 60.0
    """Seconds within which it answers on a busy machine."""
    farewell: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, folder: Path, port: int = 0, secret: str = "") -> None:
        self.folder = folder
        self.port = port or free_port()
        self.inner = self.port
        self.secret = secret or secrets.token_hex(12)
        self.process: Process | None = None
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, with what it takes to be let in."""
        raise NotImplementedError

    @property
    def log(self) -> Path:
        """What it wrote while it ran."""
        return self.folder / "log"

    def fetch(self) -> None:
        """Get its programs, which the first time may take minutes; raises `Missing`."""
        raise NotImplementedError

    def have(self) -> bool:
        """Whether its programs are here, so that it can be started without fetching or building anything."""
        raise NotImplementedError

    def make(self) -> None:
        """Lay out its empty data in `self.folder`."""
        raise NotImplementedError

    def launch(self) -> Launch:
        """How it is started."""
        raise NotImplementedError

    def greet(self) -> None:
        """Ask it something in its own protocol; raises OSError or `NotReady` as long as it does not answer well."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and return when it answers; raises `Missing` or `NotReady`."""
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Start it without waiting until it answers; raises `Missing` or `NotReady`."""
        self.fetch()
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700, parents=True)
            self.make()
        launch = self.launch()
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                launch.command,
                env={**os.environ, **launch.env},
                user=launch.user,
                group=launch.user,
                extra_groups=[] if launch.user else None,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._find(self._child.pid)

    def wait(self) -> None:
        """Wait until it answers; raises `NotReady` where it ends or stays silent."""
        limit = time.monotonic() + self.patience
        while True:
            try:
                return self.greet()
            except (OSError, NotReady) as problem:
                if not self.alive():
                    raise NotReady(f"{self.name} ended while it started: {self._last_words()}") from problem
                if time.monotonic() > limit:
                    self.kill()
                    why = f"{self.name} did not answer within {self.patience:.0f} s ({problem}): {self._last_words()}"
                    raise NotReady(why) from problem
            time.sleep(0.05)

    def alive(self) -> bool:
        """Whether its process runs, answering or not."""
        return self.process is not None and self.process.alive()

    def freeze(self) -> None:
        """Stop it where it stands, as a machine that hangs: connections stay open and nothing answers."""
        self._running().freeze()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._running().thaw()

    def kill(self) -> None:
        """End it at once, as a crash does; its data stay."""
        if self.process:
            self.process.kill()
            self._reap()

    def stop(self) -> None:
        """End it as an operator does; its data stay."""
        if self.process:
            self.process.thaw()
            self.process.send(self.farewell)
            if not self.process.gone(20):
                self.process.kill()
            self._reap()

    def restart(self) -> None:
        """Start it again after `kill` or `stop`, on the same port with the same data; kills it first where it still runs."""
        self.kill()
        self.start()

    def remove(self) -> None:
        """End it and remove its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _find(self, pid: int) -> None:
        try:
            self.process = Process.of(pid)
        except ProcessLookupError as problem:
            raise NotReady(f"{self.name} ended as soon as it was started: {self._last_words()}") from problem

    def _running(self) -> Process:
        if self.process is None:
            raise NotReady(f"{self.name} was not started")
        return self.process

    def _reap(self) -> None:
        if self._child:
            self._child.wait(20)
            self._child = None
        elif self.process and not self.process.gone(20):
            raise NotReady(f"{self.name} (process {self.process.pid}) cannot be ended")
        self.process = None

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-8:] if self.log.exists() else []
        return " | ".join(lines) or f"it wrote nothing to {self.log}"


def free_port() -> int:
    """A loopback port on which nothing listens."""
    for _ in range(200):
        port = random.choice(PORTS)
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((HOST, port))
            except OSError:
                continue
            return port
    raise Missing(f"no free port from {PORTS.start} to {PORTS.stop}")


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
