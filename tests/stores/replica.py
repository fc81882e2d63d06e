"""A replica of a private PostgreSQL server, by streaming."""

import os
import subprocess
from pathlib import Path

from tools.services.postgres import OWNER, Postgres
from tools.services.server import HOST, NotReady


class Replica(Postgres):
    """Follows another server; it may be killed, frozen and started again as any."""

    def __init__(self, folder: Path, of: Postgres) -> None:
        super().__init__(folder, secret=of.secret)
        self._of = of

    def make(self) -> None:
        """Copy the data of the other server, with what it takes to follow it."""
        self.give(self.folder)
        command = [
            str(self.programs() / "pg_basebackup"),
            "-D",
            str(self.folder / "data"),
            "-h",
            HOST,
            "-p",
            str(self._of.port),
        ]
        command += ["-U", OWNER, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync"]
        command += ["-C", "-S", f"replica_{self.port}"]  # the server keeps its log for a replica that is away
        environment = {**os.environ, "PGPASSWORD": self.secret}
        made = subprocess.run(
            command, user=self._user, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise NotReady(f"pg_basebackup failed: {made.stderr.strip()}")
