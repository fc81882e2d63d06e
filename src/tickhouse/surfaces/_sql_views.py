"""The tables of SQL: views over the warm store and the lake, in a DuckDB connection that can open nothing else."""

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

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
    "switches",
)
TIMES = ("start", "end", "known_at", "at", "event_time", "received_at", "first_start", "last_start")
BRONZE = (
    "{position: 'BIGINT', source: 'VARCHAR', channel: 'VARCHAR', lane: 'VARCHAR', received_at: 'BIGINT', "
    "payload: 'JSON', text: 'VARCHAR', base64: 'VARCHAR'}"
)


def furnish(connection: Any, warm: Path, globs: Mapping[str, str | None]) -> None:
    """Make the views, then lock the connection: no other file, no setting, no object of Python can be had by it.

    `globs` are those of the lake's `ticks` and `bronze`.
    """
    connection.execute("SET TimeZone = 'UTC'")
    connection.load_extension(str(_sqlite_extension()))
    connection.execute(f"ATTACH {_quoted(warm)} AS warm (TYPE sqlite, READ_ONLY)")
    _warm(connection)
    found = {name: glob for name, glob in globs.items() if glob and _any(glob)}
    if "ticks" in found:
        rows = f"read_parquet({_quoted(found['ticks'])}, hive_partitioning = true)"
        connection.execute(f"CREATE VIEW ticks AS SELECT * FROM {rows}")
    if "bronze" in found:
        rows = f"read_json({_quoted(found['bronze'])}, format = 'newline_delimited', columns = {BRONZE})"
        connection.execute(f"CREATE VIEW bronze AS SELECT * FROM {rows}")
    folders = [str(Path(re.split(r"[*?\[]", glob)[0]).resolve()) for glob in found.values()]
    connection.execute(f"SET allowed_directories = [{', '.join(_quoted(folder) for folder in folders)}]")
    connection.execute(f"SET allowed_paths = [{', '.join(_quoted(path) for path in _files(warm))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _warm(connection: Any) -> None:
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
