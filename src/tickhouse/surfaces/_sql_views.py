"""The tables of SQL: views over the warm store and the lake, in a DuckDB connection that can open nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

from tickhouse.surfaces._sql_lake import any_at, root
from tickhouse.surfaces._sql_warm import attach
from tickhouse.surfaces._sql_warm import quoted as _quoted

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
CHOSEN = """
CREATE VIEW chosen.bars AS
WITH lengths(unit, seconds) AS (VALUES ('s', 1), ('m', 60), ('h', 3600), ('d', 86400), ('w', 604800)),
used AS (
    SELECT s.symbol, s.since, lead(s.since) OVER (PARTITION BY s.symbol ORDER BY s.since) AS until, coalesce(f.rank, 0) AS rank
    FROM (
        SELECT symbol, "at" AS since, to_source FROM main.switches
        UNION ALL SELECT symbol, make_timestamptz(0), source FROM chosen.feeds WHERE rank = 0
    ) s LEFT JOIN chosen.feeds f ON f.symbol = s.symbol AND f.source = s.to_source
),
windows AS (
    SELECT DISTINCT b.symbol, b.interval, b.start, b.start + to_seconds(seconds * rtrim(b.interval, 'smhdw')::BIGINT) AS ends
    FROM main.bars b JOIN lengths l ON l.unit = right(b.interval, 1) WHERE b.symbol IN (SELECT symbol FROM chosen.feeds)
),
reach AS (
    SELECT w.symbol, w.interval, w.start, max(u.rank) AS reach
    FROM windows w JOIN used u ON u.symbol = w.symbol AND u.since < w.ends AND (u.until IS NULL OR u.until > w.start)
    GROUP BY ALL
)
SELECT b.* FROM main.bars b
LEFT JOIN reach r ON r.symbol = b.symbol AND r.interval = b.interval AND r.start = b.start
LEFT JOIN chosen.feeds f ON f.symbol = b.symbol AND f.source = b.source
QUALIFY r.reach IS NULL OR row_number() OVER (
    PARTITION BY b.symbol, b.interval, b.start
    ORDER BY CASE WHEN f.rank IS NULL THEN 2 WHEN f.rank > r.reach THEN 1 ELSE 0 END,
        coalesce(b.completeness, 0) DESC, f.rank, b.source
) = 1
"""
BRONZE = (
    "{position: 'BIGINT', source: 'VARCHAR', channel: 'VARCHAR', lane: 'VARCHAR', received_at: 'BIGINT', "
    "payload: 'JSON', text: 'VARCHAR', base64: 'VARCHAR'}"
)


def furnish(
    connection: Any, warm: str, globs: Mapping[str, str | None], groups: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Make the views, then lock the connection: no other file, no setting, no object of Python can be had by it.

    `warm` is the URL of the warm store, `globs` are those of the lake's `ticks` and `bronze`, `groups` the feeds of each symbol
    of a group, the first choice first.
    """
    connection.execute("SET TimeZone = 'UTC'")
    attached = attach(connection, warm)
    _warm(connection, attached.schema)
    _chosen(connection, groups or {})
    found = {name: glob for name, glob in globs.items() if glob and any_at(glob)}
    if "ticks" in found:
        rows = f"read_parquet({_quoted(found['ticks'])}, hive_partitioning = true)"
        connection.execute(f"CREATE VIEW ticks AS SELECT * FROM {rows}")
    if "bronze" in found:
        rows = f"read_json({_quoted(found['bronze'])}, format = 'newline_delimited', columns = {BRONZE})"
        connection.execute(f"CREATE VIEW bronze AS SELECT * FROM {rows}")
    folders = ", ".join(_quoted(root(glob)) for glob in found.values())
    connection.execute(f"SET allowed_directories = [{folders}]")
    connection.execute(f"SET allowed_paths = [{', '.join(_quoted(path) for path in attached.files)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _warm(connection: Any, schema: str) -> None:
    rows = connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'warm' AND schema_name = ? "
        "ORDER BY column_index",
        [schema.partition(".")[2].strip('"')],
    ).fetchall()
    columns: dict[str, list[str]] = {}
    for table, column in rows:
        columns.setdefault(table, []).append(column)
    connection.execute("CREATE SCHEMA versions")
    for table in TABLES:
        if table in columns:
            names = [name for name in columns[table] if name != "position"]
            # a table without rowid is counted by a column, so the view names one
            every = (
                f'SELECT {", ".join(_shown(n) for n in names)} FROM {schema}."{table}" WHERE "{names[0]}" IS NOT NULL'
            )
            connection.execute(f'CREATE VIEW versions."{table}" AS {every}')
            connection.execute(f'CREATE VIEW "{table}" AS {every} {_newest(names)}')


def _chosen(connection: Any, groups: Mapping[str, Sequence[str]]) -> None:
    """`chosen.bars`: the rule of `steps/picking.py`, which tells why."""
    connection.execute("CREATE SCHEMA chosen")
    ranks = [(symbol, feed, rank) for symbol, feeds in groups.items() for rank, feed in enumerate(feeds)]
    known = {
        row[0]
        for row in connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'warm'").fetchall()
    }
    if not ranks or not {"bars", "switches"} <= known:
        if "bars" in known:
            connection.execute("CREATE VIEW chosen.bars AS SELECT * FROM main.bars")
        return
    connection.execute("CREATE TABLE chosen.feeds (symbol VARCHAR, source VARCHAR, rank INTEGER)")
    connection.executemany("INSERT INTO chosen.feeds VALUES (?, ?, ?)", ranks)
    connection.execute(CHOSEN)


def _shown(name: str) -> str:
    return f'make_timestamptz("{name}") AS "{name}"' if name in TIMES else f'"{name}"'


def _newest(columns: list[str]) -> str:
    version = next((name for name in ("version", "vintage") if name in columns), None)
    if version is None:
        return ""
    keys = [name for name in ("symbol", "series", "interval", "start", "date", "source", "detector") if name in columns]
    quoted = ", ".join(f'"{key}"' for key in keys)
    return f"QUALIFY row_number() OVER (PARTITION BY {quoted} ORDER BY {version} DESC) = 1"
