"""Upserts of the warm store beside bare sqlite3 `executemany` of the same bars into a table of the same shape. Prints JSON.

    python -m benchmarks.stores [--rows 200000] [--batch 1000]

Both files have the same pragmas (WAL, synchronous=FULL); `again` writes the same keys once more, so every row
replaces one. The store also keeps its summary of symbols, its ledger and its position in the same transaction.
"""

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Wrong, show
from tickhouse.core.batches import BarBatch, Output
from tickhouse.core.model import BAR, Query, State
from tickhouse.stores import sqlite

MINUTE = 60_000_000
BEGIN = 1_767_225_600_000_000
NAMES = (*BAR.names, "position")
KEY = ("symbol", "interval", "start", "source", "version")


def bars(first: int, count: int, symbols: int) -> BarBatch:
    """Bars number `first` on: minute after minute, each of all symbols."""
    number = np.arange(first, first + count)
    price = 100.0 + number % 977 / 7
    start = BEGIN + number // symbols * MINUTE
    floats = (price, price + 1, price - 1, price + 0.5, price * 3, price + 0.1)
    return BarBatch(
        "binance", [f"SYM{i:05d}" for i in range(symbols)], (number % symbols).astype(np.int32), np.full(count, MINUTE),
        start, *floats, number % 50 + 1, np.ones(count), np.full(count, int(State.FINAL), np.uint8),
        np.zeros(count, np.int32), number * 10, number * 10 + 9, start + MINUTE,
    )  # fmt: skip


def store(path: Path) -> tuple[Any, Callable[[int, BarBatch], None]]:
    """A new warm store, and what writes a batch to it."""
    warm = sqlite.open(f"sqlite:///{path}")
    warm.upgrade()
    return warm, lambda at, batch: warm.write("process", Output(at, (batch,)), None)


def bare(path: Path) -> tuple[sqlite3.Connection, Callable[[int, BarBatch], None]]:
    """A plain table with the same columns and key, and what writes a batch to it."""
    connection = sqlite3.connect(path)
    for name, value in sqlite.PRAGMAS.items():
        connection.execute(f"PRAGMA {name} = {value}")
    quoted = [f'"{name}"' for name in NAMES]
    connection.execute(f"CREATE TABLE bars ({', '.join(quoted)}, PRIMARY KEY ({', '.join(KEY)})) WITHOUT ROWID")
    changes = ", ".join(f'"{n}" = excluded."{n}"' for n in NAMES if n not in KEY)
    marks = ", ".join("?" * len(NAMES))
    statement = f"INSERT INTO bars VALUES ({marks}) ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET {changes}"  # noqa: S608

    def write(at: int, batch: BarBatch) -> None:
        table = batch.to_arrow()
        for name in ("start", "known_at"):
            table = table.set_column(table.schema.get_field_index(name), name, table[name].cast("int64"))
        columns = [table[name].to_pylist() for name in BAR.names]
        with connection:
            connection.executemany(statement, zip(*columns, [at] * len(batch), strict=True))

    return connection, write


def timed(write: Callable[[int, BarBatch], None], batches: Sequence[BarBatch], base: int) -> int:
    """Rows a second."""
    began = time.perf_counter()
    for number, batch in enumerate(batches, 1):
        write(base + number, batch)
    return round(sum(map(len, batches)) / (time.perf_counter() - began))


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--batch", type=int, default=1000)
    given = options.parse_args()
    batches = [bars(i, given.batch, given.batch) for i in range(0, given.rows, given.batch)]
    with tempfile.TemporaryDirectory() as place:
        warm, ours = store(Path(place) / "warm.db")
        plain, theirs = bare(Path(place) / "bare.db")
        found: dict[str, Any] = {"rows": given.rows, "rows_a_transaction": given.batch}
        for name, base in (("new", 0), ("again", len(batches))):
            rates = timed(ours, batches, base), timed(theirs, batches, base)
            found[name] = dict(zip(("store_per_s", "sqlite3_per_s"), rates, strict=True))
            found[name]["ratio"] = round(rates[0] / rates[1], 2)
        stored = sum(warm.bars(Query((f"SYM{i:05d}",), "1m")).num_rows for i in range(given.batch))
        held = plain.execute("SELECT count(*) FROM bars").fetchone()[0]
        if stored != given.rows or held != given.rows:
            raise Wrong(f"{given.rows} bars were written, {stored} and {held} are there")
        warm.close()
        plain.close()
    show(found)


if __name__ == "__main__":
    main()
