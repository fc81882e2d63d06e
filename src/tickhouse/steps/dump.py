"""A copy of a warm store that is on a PostgreSQL server, by the server's own tool."""

import os
import shutil
import subprocess
from pathlib import Path

from tickhouse.core.errors import Final, SettingsError


def dump(url: str, to: Path) -> None:
    """Write the database of a URL into a file that `pg_restore` reads, as it is at one moment, also while it is written to.

    Raises `SettingsError` where there is no pg_dump, `Final` with its words when it fails.
    """
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    tool = shutil.which("pg_dump")
    if tool is None:
        raise SettingsError(
            "the warm store is on a server and is copied by pg_dump, of PostgreSQL's client tools: install them"
        )
    given = conninfo_to_dict(url)
    password = given.pop("password", None)  # others see the command line of a process, not its environment
    hidden = {} if password is None else {"PGPASSWORD": str(password)}
    command = [tool, "--format=custom", "--no-owner", f"--file={to}", f"--dbname={make_conninfo('', **given)}"]
    done = subprocess.run(command, env={**os.environ, **hidden}, capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
        raise Final(f"the warm store was not copied to {to}: {said}; the copy is not whole, remove it and try again")
