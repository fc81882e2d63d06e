"""Read-only SQL over the warm store and the lake, with limits on time and memory."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from tickhouse.core.errors import BadQuery

TABLES = (
    "bars",
    "indicators",
    "anomalies",
    "findings",
    "coverage",
    "ledger",
    "quality_metrics",
    "symbols",
    "observations",
    "actions",
)
TIMES = ("start", "end", "known_at", "at", "event_time", "received_at", "first_start", "last_start")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one statement may use."""

    seconds: float = 30.0
    memory: str = "1GB"
    rows: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where the data are: the SQLite file of the warm store and the lake's globs."""

    warm: Path
    ticks: str | None = None
    bronze: str | None = None


def query(place: Place, statement: str, limits: Limits | None = None) -> pa.Table:
    """The answer to one SELECT. Tables: bars, indicators, anomalies, findings, coverage, ledger, quality_metrics, symbols
    (times as TIMESTAMP WITH TIME ZONE), observations and actions; every version of a row in `versions.<table>`, every vintage in
    `versions.observations`; `ticks` and `bronze` from the lake.

    Raises `BadQuery` with DuckDB's own words for a statement that is wrong, writes, or needs more than the limits.
    """
    limits = limits or Limits()
    with _connected(place, limits) as connection:
        try:
            found = connection.extract_statements(statement)
            if len(found) != 1 or found[0].type != duckdb.StatementType.SELECT:
                raise BadQuery("one SELECT statement at a time; this house is read only here")
            answer = connection.execute(found[0])
            return answer.to_arrow_table().slice(0, limits.rows)
        except duckdb.InterruptException:
            raise BadQuery(f"the statement ran longer than {limits.seconds:g} s; ask for less") from None
        except duckdb.Error as error:
            raise BadQuery(str(error).strip()) from error


@contextmanager
def _connected(place: Place, limits: Limits) -> Iterator[Any]:
    connection = duckdb.connect(config={"memory_limit": limits.memory, "autoinstall_known_extensions": False})
    timer = threading.Timer(limits.seconds, connection.interrupt)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.load_extension(str(_sqlite_extension()))
        connection.execute(f"ATTACH {_quoted(place.warm)} AS warm (TYPE sqlite, READ_ONLY)")
        _views(connection, place)
        folders = [str(Path(re.split(r"[*?\[]", glob)[0]).resolve()) for glob in (place.ticks, place.bronze) if glob]
        allowed = ", ".join(_quoted(folder) for folder in folders)
        connection.execute(f"SET allowed_directories = [{allowed}]")
        connection.execute(f"SET allowed_paths = [{', '.join(_quoted(p) for p in _files(place.warm))}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        timer.start()
        yield connection
    finally:
        timer.cancel()
        connection.close()


def _views(connection: Any, place: Place) -> None:
    rows = connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'warm' ORDER BY column_index"
    ).fetchall()
    columns: dict[str, list[str]] = {}
    for table, column in rows:
        columns.setdefault(table, []).append(column)
    connection.execute("CREATE SCHEMA versions")
    for table in TABLES:
        if table in columns:
            names = [name for name in columns[table] if name != "position"]
            # a table without rowid is counted by a column, so the view names one
            every = f'SELECT {", ".join(_shown(n) for n in names)} FROM warm."{table}" WHERE "{names[0]}" IS NOT NULL'
            connection.execute(f'CREATE VIEW versions."{table}" AS {every}')
            connection.execute(f'CREATE VIEW "{table}" AS {every} {_newest(names)}')
    if place.ticks and _any(place.ticks):
        connection.execute(
            f"CREATE VIEW ticks AS SELECT * FROM read_parquet({_quoted(place.ticks)}, hive_partitioning = true)"
        )
    if place.bronze and _any(place.bronze):
        connection.execute(
            f"CREATE VIEW bronze AS SELECT * FROM read_json({_quoted(place.bronze)}, format = 'newline_delimited', "
            "columns = {position: 'BIGINT', source: 'VARCHAR', channel: 'VARCHAR', lane: 'VARCHAR', received_at: 'BIGINT', "
            "payload: 'JSON', text: 'VARCHAR', base64: 'VARCHAR'})"
        )


def _shown(name: str) -> str:
    return f'make_timestamptz("{name}") AS "{name}"' if name in TIMES else f'"{name}"'


def _newest(columns: list[str]) -> str:
    version = next((name for name in ("version", "vintage") if name in columns), None)
    if version is None:
        return ""
    keys = [name for name in ("symbol", "series", "interval", "start", "date", "source", "detector") if name in columns]
    quoted = ", ".join(f'"{key}"' for key in keys)
    return f"QUALIFY row_number() OVER (PARTITION BY {quoted} ORDER BY {version} DESC) = 1"


def _any(glob: str) -> bool:
    root, _, rest = glob.partition("*")
    folder = Path(root)
    return folder.is_dir() and next(folder.rglob("*" + rest.rsplit("*", 1)[-1]), None) is not None


def _files(warm: Path) -> list[str]:
    path = warm.resolve()
    return [str(path), f"{path}-wal", f"{path}-shm", f"{path}-journal"]


def _quoted(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _sqlite_extension() -> Path:
    folder = resources.files("duckdb_extension_sqlite_scanner")
    with resources.as_file(folder) as root:
        return next(Path(root).rglob("*.duckdb_extension"))
