"""The warm store of a house as the database `warm` of a DuckDB connection, which only reads it."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb

from tickhouse.core.errors import MissingExtra, Unreachable

PATIENCE = "connect_timeout=5 application_name=tickhouse-sql options='-c statement_timeout=30s'"
OWN = {"host": "HOST", "port": "PORT", "dbname": "DATABASE", "user": "USER", "password": "PASSWORD"}
"""What libpq calls it, and what a secret of DuckDB does."""


@dataclass(frozen=True, slots=True)
class Attached:
    """Where its tables are, and the files that may be opened for them."""

    schema: str
    files: tuple[str, ...] = ()


def attach(connection: Any, url: str) -> Attached:
    """Attach the warm store of a URL. Raises `MissingExtra`, and `Unreachable` for a server that does not let us in."""
    scheme, _, rest = url.partition("://")
    return _server(connection, url) if scheme == "postgresql" else _file(connection, Path(rest.removeprefix("/")))


def _file(connection: Any, path: Path) -> Attached:
    connection.load_extension(str(extension("sqlite")))
    connection.execute(f"ATTACH {quoted(path)} AS warm (TYPE sqlite, READ_ONLY)")
    whole = path.resolve()
    return Attached("warm.main", (str(whole), f"{whole}-wal", f"{whole}-shm", f"{whole}-journal"))


def _server(connection: Any, url: str) -> Attached:
    """The schema of a server that our tables are in, and no other.

    What may not be seen is a secret of DuckDB, of which no function tells that a statement may name.
    """
    try:
        from psycopg.conninfo import conninfo_to_dict, make_conninfo

        connection.load_extension(str(extension("postgres")))
    except ModuleNotFoundError as missing:
        raise MissingExtra("postgres", package=(missing.name or "").replace("_", "-")) from missing
    given = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    secret = ", ".join(f"{OWN[key]} {quoted(given.pop(key))}" for key in OWN if key in given)
    connection.execute(f"CREATE SECRET tickhouse (TYPE postgres, {secret})")
    how = f"ATTACH {quoted(make_conninfo(PATIENCE, **given))} AS warm (TYPE postgres, SECRET tickhouse, READ_ONLY"
    try:
        connection.execute(f"{how})")
    except duckdb.Error as error:
        said = str(error).rpartition(" failed: ")[2].partition("\n")[0].rpartition(": ")[2].strip()
        raise Unreachable(f"the server of the warm store does not let us in: {said}") from error
    (schema,) = connection.execute("SELECT * FROM postgres_query('warm', 'SELECT current_schema()')").fetchone()
    connection.execute("DETACH warm")
    connection.execute(f"{how}, SCHEMA {quoted(schema)})")
    return Attached(f'warm."{schema}"')


def extension(scanner: str) -> Path:
    """The file of one of DuckDB's extensions that came with its package. Raises `ModuleNotFoundError`."""
    with resources.as_file(resources.files(f"duckdb_extension_{scanner}_scanner")) as root:
        return next(Path(root).rglob("*.duckdb_extension"))


def quoted(text: object) -> str:
    """A text as SQL has it."""
    return "'" + str(text).replace("'", "''") + "'"
