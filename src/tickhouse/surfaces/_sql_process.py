"""The process of one SQL statement: `python -m tickhouse.surfaces._sql_process`.

It reads the job as JSON from standard input, writes the rows as an Arrow stream to standard output, and then one JSON object to
standard error: `{"cut": why or null}`, or `{"refused": why}`, where `"fault"` tells when it is not that of the statement.
"""

import contextlib
import json
import math
import os
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from tickhouse.core.errors import Temporary, TickhouseError
from tickhouse.surfaces._sql_lake import reach
from tickhouse.surfaces._sql_views import furnish

ROWS_AT_ONCE = 2048
"""One vector of DuckDB: more are not in memory at a time."""
SPILL = "8GB"
"""What a statement may put in temporary files."""
MOST_THREADS = 4
FIRST_DAY, LAST_DAY = -719_162, 2_932_897
"""Days from 1970 to the first one of the year 1 and of the year 10000."""
HARMLESS = frozenset(
    (
        "range", "generate_series", "unnest", "repeat", "json_each", "json_tree", "pragma_table_info", "pg_timezone_names",
        "icu_calendar_names", "duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_functions",
        "duckdb_indexes", "duckdb_keywords", "duckdb_schemas", "duckdb_settings", "duckdb_tables", "duckdb_types",
        "duckdb_views", "pragma_version",
    )
)  # fmt: skip
"""Functions that stand for a table and open no file and run no text as SQL. `sqlite_scan` would open any file: its extension does
not ask DuckDB whether it may."""


class Refused(Exception):
    """The statement is not answered; says why."""


def main() -> None:
    """Answer the job on standard input."""
    verdict = _verdict(json.load(sys.stdin))
    sys.stdout.close()
    json.dump(verdict, sys.stderr)
    sys.stderr.flush()
    os._exit(0)  # at once, also in the middle of a statement


def _verdict(job: dict[str, Any]) -> dict[str, str | None]:
    try:
        return {"cut": _answer(job)}
    except Refused as refused:
        return {"refused": str(refused)}
    except (duckdb.OutOfMemoryException, MemoryError, pa.ArrowMemoryError):
        return {"refused": f"the statement needs more than {job['memory'] / 1e6:,.0f} MB of memory; ask for less"}
    except TickhouseError as error:
        return {"refused": str(error), "fault": "away" if isinstance(error, Temporary) else "settings"}
    except duckdb.Error as error:
        return {"refused": str(error).strip()}
    except pa.ArrowException as error:
        return {"refused": f"the answer cannot be given: {error}"}


def _answer(job: dict[str, Any]) -> str | None:
    connection = duckdb.connect(config=_config(job["memory"], job["spill"]))
    reach(connection, job["reach"])
    furnish(connection, job["warm"], {"ticks": job["ticks"], "bronze": job["bronze"]}, job["groups"])
    statement = one(connection, job["statement"])
    _bound(job["memory"], job["seconds"])
    reader = connection.execute(statement).to_arrow_reader(ROWS_AT_ONCE)
    _suitable(reader.schema)
    return send(reader, sys.stdout.buffer, job["rows"], job["bytes"])


def _config(memory: int, spill: str) -> dict[str, Any]:
    return {
        "memory_limit": f"{memory // 2}B", "threads": min(MOST_THREADS, os.cpu_count() or 1), "temp_directory": spill,
        "max_temp_directory_size": SPILL, "autoinstall_known_extensions": False, "autoload_known_extensions": False,
        "python_enable_replacements": False,
    }  # fmt: skip


def _bound(memory: int, seconds: float) -> None:
    """Let this process have so many bytes more than it has now, and be the first to go when the machine has no more.

    The time is kept by who started it; should that one be gone, this process ends all the same.
    """
    most = math.ceil(seconds) * MOST_THREADS + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, most))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    with contextlib.suppress(OSError, ValueError):
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        most = int(status["VmData"].split()[0]) * 1024 + memory
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def one(connection: Any, text: str) -> Any:
    """The one SELECT of a text. Raises `Refused` for another, and for one that names a function which could open a file."""
    found = connection.extract_statements(text)
    if len(found) != 1 or found[0].type != duckdb.StatementType.SELECT:
        raise Refused("one SELECT statement at a time; this house is read only here")
    try:
        tree = json.loads(connection.execute("SELECT json_serialize_sql(?)", [text]).fetchone()[0])
        if tree["error"]:
            raise Refused(tree["error_message"])
        bad = sorted({name for name in _table_functions(tree) if name not in HARMLESS})
    except RecursionError:
        raise Refused("the statement is nested too deeply") from None
    if bad:
        raise Refused(f"{bad[0]}() is not possible here: a statement reads the tables of this house and no other place")
    return found[0]


def _suitable(schema: pa.Schema) -> None:
    """Refuse columns that cannot be told apart, and those of types that JSON, CSV and Parquet do not have."""
    twice = [name for name, count in Counter(schema.names).items() if count > 1]
    if twice:
        raise Refused(f"two columns have the name {twice[0]}; give one of them another with AS")
    for field in schema:
        if pa.types.is_union(field.type) or pa.types.is_interval(field.type):
            raise Refused(f"the column {field.name} is an interval or a union; cast it to VARCHAR")


def _common_times(batch: pa.RecordBatch) -> None:
    """Refuse times that calendars of programs do not have: those before the year 1, after 9999, and infinite ones."""
    for field, column in zip(batch.schema, batch.columns, strict=True):
        per_day = 1 if pa.types.is_date32(field.type) else 0
        if pa.types.is_timestamp(field.type):
            per_day = 86_400 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[field.type.unit]
        if not per_day:
            continue
        found = pc.min_max(column.view(pa.int32() if per_day == 1 else pa.int64())).as_py()
        if found["min"] is not None and not FIRST_DAY * per_day <= found["min"] <= found["max"] < LAST_DAY * per_day:
            raise Refused(f"the column {field.name} has a time outside of the years 1 to 9999; cast it to VARCHAR")


def _table_functions(tree: object) -> Iterator[str]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if node.get("type") == "TABLE_FUNCTION":
                yield str(node["function"].get("function_name", "this")).lower()
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def send(reader: pa.RecordBatchReader, out: BinaryIO, most_rows: int, most_bytes: int) -> str | None:
    """Write batches as they come, up to the limits; returns why the rows end before their end, if they do."""
    rows = size = 0
    with pa.ipc.new_stream(out, reader.schema) as writer:
        for batch in reader:
            _common_times(batch)
            kept = _fitting(batch, most_rows - rows, most_bytes - size)
            writer.write_batch(kept)
            rows, size = rows + len(kept), size + kept.nbytes
            if len(kept) < len(batch):
                if not rows:
                    raise Refused(f"one row is larger than {most_bytes / 1e6:,.0f} MB, the most an answer may be")
                limit = f"{most_rows:,} rows" if rows == most_rows else f"{most_bytes / 1e6:,.0f} MB"
                return f"only the first {rows:,} rows: an answer has at most {limit}"
    return None


def _fitting(batch: pa.RecordBatch, rows: int, size: int) -> pa.RecordBatch:
    kept = batch.slice(0, rows)
    while len(kept) and kept.nbytes > size:
        kept = kept.slice(0, len(kept) // 2)
    return kept


if __name__ == "__main__":
    main()
