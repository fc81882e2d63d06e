"""A PostgreSQL server of one's own, which a test may kill, freeze and start again; its data are gone after the test."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)


class Server:
    """A server that listens on this machine alone; its only user has a password."""

    def __init__(self) -> None:
        found = shutil.which("initdb") or next(map(str, BINARIES), None)
        if found is None:
            why = "PostgreSQL's programs are not here"
            pytest.fail(why) if os.environ.get("CI") == "true" else pytest.skip(why)
        self._programs = Path(found).resolve().parent
        self._folder = Path(tempfile.mkdtemp(prefix="tickhouse-postgres-"))
        self._user = "postgres" if os.geteuid() == 0 else None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (self._folder / "password").write_text("own-secret")
        if self._user:
            for path in (self._folder, self._folder / "password"):
                shutil.chown(path, self._user)
        options = [
            "-U",
            "tickhouse",
            "-A",
            "scram-sha-256",
            f"--pwfile={self._folder / 'password'}",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        self._run("initdb", "-D", str(self._folder / "data"), *options).communicate()
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://tickhouse:own-secret@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it answers."""
        place = ["-D", str(self._folder / "data"), "-p", str(self.port)]
        rules = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"]
        self._process = self._run("postgres", *place, *rules)
        until = time.monotonic() + 30
        while True:
            try:
                return psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError:
                assert time.monotonic() < until, "the server does not start"
                time.sleep(0.05)

    def kill(self) -> None:
        """End it and all its processes at once, as a power cut would."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        (self._folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def freeze(self) -> None:
        """Make it hang: it takes connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """End it and remove its data."""
        if self._process.poll() is None:
            self.thaw()
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, name: str, *words: str) -> "subprocess.Popen[bytes]":
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = [str(self._programs / name), *words]
        return subprocess.Popen(command, user=self._user, cwd=self._folder, start_new_session=True, **quiet)

    def _signal(self, number: int) -> None:
        """To each process of the server: its children have sessions of their own."""
        parent, ids = self._process.pid, [self._process.pid]
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                    ids.append(int(status.parent.name))
            except OSError:
                continue
        for one in ids:
            try:
                os.kill(one, number)
            except ProcessLookupError:
                continue
