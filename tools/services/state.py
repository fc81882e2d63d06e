"""What was started, as it is kept between `up` and `down`: a state file for us, an env file for the tests."""

import fcntl
import json
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.services.known import SERVERS
from tools.services.process import Process
from tools.services.server import Server, say

ROOT = Path(__file__).resolve().parents[2]
PLACE = Path(os.environ.get("TICKHOUSE_SERVICES") or ROOT / ".services")


@dataclass
class State:
    """The servers that were started, by name, the folder of their data, and what runs them: `native` or `docker`."""

    place: Path
    folder: Path
    engine: str = ""
    servers: dict[str, Server] = field(default_factory=dict)
    _alone: threading.Lock = field(default_factory=threading.Lock)

    @property
    def env(self) -> Path:
        """The file of `KEY=VALUE` lines that tests read."""
        return self.place / "env"

    def server(self, name: str) -> Server:
        """The server of that name: as it was started, or else a new one."""
        if name not in self.servers:
            self.folder.mkdir(exist_ok=True)
            self.folder.chmod(0o711)  # the user of PostgreSQL has to reach its own folder inside
            self.servers[name] = SERVERS[name](self.folder / name)
        return self.servers[name]

    def save(self) -> None:
        """Write both files, which hold passwords, so that only their owner reads them; without a server there are none."""
        if not self.servers:
            shutil.rmtree(self.folder, ignore_errors=True)
            (self.place / "state.json").unlink(missing_ok=True)
            self.env.unlink(missing_ok=True)
            return
        with self._alone:
            self._save()

    def forget(self, name: str) -> None:
        """Take a server off the files."""
        del self.servers[name]
        self.save()

    def _save(self) -> None:
        kept = {name: _kept(server) for name, server in self.servers.items()}
        whole = {"engine": self.engine, "folder": str(self.folder), "servers": kept}
        _write(self.place / "state.json", json.dumps(whole, indent=2) + "\n")
        up = [server for server in self.servers.values() if server.process or self.engine == "docker"]
        lines = [f"{server.variable}={server.url}\n" for server in up]
        _write(self.env, "".join(sorted(lines)))


@contextmanager
def held(place: Path = PLACE) -> Iterator[State]:
    """The state, held so that no other `up` or `down` works on it at the same time."""
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run works on these servers: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield _load(place)


def _load(place: Path) -> State:
    file = place / "state.json"
    if not file.exists():
        return State(place, Path(tempfile.gettempdir()) / f"tickhouse-services-{secrets.token_hex(4)}")
    kept = json.loads(file.read_text())
    state = State(place, Path(kept["folder"]), kept["engine"])
    for name, one in kept["servers"].items():
        server = SERVERS[name](state.folder / name, one["port"], one["secret"])
        server.process = Process(one["pid"], one["born"]) if one["pid"] else None
        state.servers[name] = server
    return state


def _kept(server: Server) -> dict[str, Any]:
    process = server.process
    told = {"pid": process.pid, "born": process.born} if process else {"pid": None, "born": None}
    return {"port": server.port, "secret": server.secret, **told}


def _write(file: Path, text: str) -> None:
    draft = file.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(file)
