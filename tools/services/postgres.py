"""PostgreSQL from the system's packages, run by a user who is not root, whom it refuses."""

import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path

from tools.services.fetch import package
from tools.services.server import HOST, Launch, Missing, NotReady, Server

OWNER = "tickhouse"
PROTOCOL_3 = 196_608
# Safe for a killed server, which is what tests do; only a machine that loses its power would lose writes.
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "fsync": "off",
    "max_connections": "200",
    "timezone": "UTC",
    "max_prepared_transactions": "0",
}


class Postgres(Server):
    """PostgreSQL 14 or later; its only user may do everything and has a password."""

    name = "postgres"
    variable = "TICKHOUSE_TEST_POSTGRES"
    farewell = signal.SIGINT  # ends sessions rather than waiting for them

    @property
    def url(self) -> str:
        return f"postgresql://{OWNER}:{self.secret}@{HOST}:{self.port}/postgres"

    def fetch(self) -> None:
        if not self.have():
            package("initdb", debian="postgresql", brew="postgresql@16", found=self.have)

    def have(self) -> bool:
        return bool(_folders())

    def make(self) -> None:
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.secret)
        self.give(self.folder)
        self.give(secret)
        initdb = [str(self.programs() / "initdb"), "-D", str(self.folder / "data"), "-U", OWNER, "-E", "UTF8"]
        initdb += ["--no-locale", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync"]
        made = subprocess.run(initdb, user=self._user, cwd=self.folder, capture_output=True, text=True, check=False)
        if made.returncode:
            raise NotReady(f"initdb failed: {made.stderr.strip() or made.stdout.strip()}")

    def launch(self) -> Launch:
        settings = [word for key, value in SETTINGS.items() for word in ("-c", f"{key}={value}")]
        command = [str(self.programs() / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.inner), *settings]
        return Launch(command, user=self._user)

    def greet(self) -> None:
        """Begin a session; a server that can serve asks for the password, one that starts or recovers says so."""
        words = b"user\0" + OWNER.encode() + b"\0database\0postgres\0\0"
        with socket.create_connection((HOST, self.inner), 2) as talk:
            talk.settimeout(2)
            talk.sendall(struct.pack(">II", len(words) + 8, PROTOCOL_3) + words)
            said = talk.recv(400)
        if said[:1] != b"R":
            raise NotReady(f"postgres said {said[5:].decode(errors='replace') or 'nothing'}")

    def programs(self) -> Path:
        """The folder of its programs."""
        return _folders()[0]

    @property
    def _user(self) -> str | None:
        return _unprivileged() if os.geteuid() == 0 else None

    def give(self, path: Path) -> None:
        """Let the user that it runs as own a file."""
        if self._user:
            shutil.chown(path, self._user)


def _folders() -> list[Path]:
    """The folders that hold the server's programs, newest version first."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/opt/homebrew/opt").glob("postgresql@*/bin")]
    places += [*Path("/usr/local/opt").glob("postgresql@*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    places.sort(key=lambda place: int("".join(c for c in str(place) if c.isdigit()) or 0), reverse=True)
    onpath = shutil.which("initdb")
    places += [Path(onpath).resolve().parent] if onpath else []
    return [place for place in places if (place / "initdb").exists() and (place / "postgres").exists()]


def _unprivileged() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise Missing("PostgreSQL does not run as root, and there is neither a user 'postgres' nor 'nobody'")
