"""Upserts of bars into PostgreSQL through tickhouse beside COPY of the same bars into a table of the same shape. Prints JSON.

    python -m benchmarks.postgres [--rows 200000] [--batch 1000] [--server postgresql://...]

The server is that of TICKHOUSE_TEST_POSTGRES where none is given; a database is made for the time. COPY sends text that psycopg
makes of plain rows (`copy_per_s`), or text that was made before the clock began (`ready_per_s`, which is the server alone), one
transaction a batch as the store does. They take turns with the store, a batch each. `again` writes other prices for the same keys,
so that every row replaces one, which COPY cannot: it adds new rows to another table meanwhile. `same` writes these rows once more,
as after a crash. The store also keeps its summary of symbols and its position in the same transaction.

`ticks` are as many ticks, in partitions by day with the same indexes on both sides, their times as PostgreSQL's own.
"""

import argparse
import io
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import psycopg
import pyarrow.csv as pc
from sqlalchemy.engine import make_url

from benchmarks.measure import Wrong, show
from benchmarks.stores import bars
from tickhouse.core.batches import BarBatch, Output, TickBatch
from tickhouse.core.model import BAR, TICK
from tickhouse.stores import postgres

Write = Callable[[int, Any], None]
DAY = "2026-11-26"


@contextmanager
def database(server: str) -> Iterator[str]:
    """A new database on the server: its URL."""
    name = f"tickhouse_bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield make_url(server).set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def plain(batch: BarBatch) -> Any:
    """The columns of a batch, times as numbers."""
    table = batch.to_arrow()
    for name in ("symbol", "source", "interval", "state"):
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast("string"))
    for name in ("start", "known_at"):
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast("int64"))
    return table


def copied(connection: psycopg.Connection[Any], into: str) -> Write:
    """COPY of plain rows, as psycopg does it."""
    columns = ", ".join(f'"{name}"' for name in (*BAR.names, "position"))

    def write(at: int, batch: BarBatch) -> None:
        table = plain(batch)
        values = [table[name].to_pylist() for name in BAR.names]
        with connection.cursor().copy(f"COPY {into} ({columns}) FROM STDIN") as copy:
            for row in zip(*values, [at] * len(batch), strict=True):
                copy.write_row(row)
        connection.commit()

    return write


def ready(connection: psycopg.Connection[Any], table: str, batches: Sequence[BarBatch], base: int) -> Write:
    """COPY of text that is ready."""
    columns, texts = ", ".join(f'"{name}"' for name in (*BAR.names, "position")), []
    for at, batch in enumerate(batches, base + 1):
        text = io.BytesIO()
        pc.write_csv(
            plain(batch).append_column("position", [[at] * len(batch)]), text, pc.WriteOptions(include_header=False)
        )
        texts.append(text.getvalue())

    def write(at: int, _: BarBatch) -> None:
        with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT csv)") as copy:
            copy.write(texts[at - base - 1])
        connection.commit()

    return write


def ticks(number: int, rows: int) -> TickBatch:
    """Ticks of fifty symbols, each from a message of its own, one after the other within a day."""
    n = np.arange(number * rows, (number + 1) * rows)
    at = round(datetime.fromisoformat(f"{DAY}T00:00Z").timestamp()) * 1_000_000 + n * 1000
    price = 100 + (n % 997) / 100
    return TickBatch(
        "binance", "live", [f"SYM{i}-USDT" for i in range(50)], (n % 50).astype(np.int32), at, at + 40_000, price, price / 7,
        n, n, n,
    )  # fmt: skip


def copied_ticks(connection: psycopg.Connection[Any]) -> Write:
    """COPY of plain rows into a table like ours."""
    connection.execute("CREATE TABLE ticks_copied (LIKE ticks INCLUDING ALL) PARTITION BY RANGE (event_time)")
    connection.execute(
        f"CREATE TABLE ticks_day PARTITION OF ticks_copied FOR VALUES FROM ('{DAY}') TO ('{DAY}'::date + 1)"
    )
    connection.commit()

    def write(_: int, batch: TickBatch) -> None:
        table = batch.to_arrow()
        values = [table[name].to_pylist() for name in TICK.names]
        with connection.cursor().copy(f"COPY ticks_copied ({', '.join(TICK.names)}, number) FROM STDIN") as copy:
            for row in zip(*values, [0] * len(batch), strict=True):
                copy.write_row(row)
        connection.commit()

    return write


def measured_ticks(url: str, batches: Sequence[TickBatch]) -> dict[str, Any]:
    """The figures of ticks. Raises `Wrong` when one is missing."""
    with closing(postgres.open(url)) as warm, psycopg.connect(url) as connection:
        warm.write("process", Output(0, ticks=(batches[0],)), None)  # the day is there
        store = partial(stored, warm, lambda batch: {"ticks": (batch,)})
        copied, rate = in_turns((copied_ticks(connection), store), batches[1:])
        counts = connection.execute(
            "SELECT (SELECT count(*) FROM ticks), (SELECT count(*) FROM ticks_copied)"
        ).fetchone()
        if counts != (len(batches) * len(batches[0]), (len(batches) - 1) * len(batches[0])):
            raise Wrong(f"{counts} ticks are there")
    return {"copy_per_s": copied, "store_per_s": rate, "ratio": round(rate / copied, 2)}


def stored(warm: Any, what: Callable[[Any], dict[str, Any]], at: int, batch: Any) -> None:
    """A batch into the store."""
    warm.write("process", Output(at, **what(batch)), None)


def in_turns(writes: Sequence[Write], batches: Sequence[Any], base: int = 0) -> list[int]:
    """Rows a second of each way to write, batch by batch in turns, so that all meet the same server."""
    took = [0.0] * len(writes)
    for number, batch in enumerate(batches, base + 1):
        for way, write in enumerate(writes):
            began = time.perf_counter()
            write(number, batch)
            took[way] += time.perf_counter() - began
    return [round(sum(map(len, batches)) / one) for one in took]


def measured(url: str, batches: Sequence[BarBatch]) -> dict[str, Any]:
    """The figures of one database. Raises `Wrong` when a row is missing."""
    other = [replace(batch, close=batch.close + 1) for batch in batches]
    found: dict[str, Any] = {}
    with closing(postgres.open(url)) as warm, psycopg.connect(url) as connection:
        store = partial(stored, warm, lambda batch: {"bars": (batch,)})
        for name, given in (("new", batches), ("again", other), ("same", other)):
            base = len(found) * len(batches)
            for table in (f"copied_{name}", f"ready_{name}"):
                connection.execute(f"CREATE TABLE {table} (LIKE bars INCLUDING INDEXES)")
            connection.commit()
            bare = copied(connection, f"copied_{name}"), ready(connection, f"ready_{name}", given, base)
            copy, text, rate = in_turns((*bare, store), given, base)
            found[name] = {"copy_per_s": copy, "ready_per_s": text, "store_per_s": rate,
                           "ratio": round(rate / copy, 2), "ratio_to_ready": round(rate / text, 2)}  # fmt: skip
            for table in ("bars", f"copied_{name}", f"ready_{name}"):
                held = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
                if held != (sum(map(len, batches)),):
                    raise Wrong(f"{sum(map(len, batches))} bars were written, {held} are in {table}")
    return found


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=200_000)
    options.add_argument("--batch", type=int, default=1000)
    options.add_argument("--server", default=os.environ.get("TICKHOUSE_TEST_POSTGRES"))
    given = options.parse_args()
    if not given.server:
        options.error("TICKHOUSE_TEST_POSTGRES names no server; `make services` starts one")
    batches = [bars(i, given.batch, min(given.batch, 1000)) for i in range(0, given.rows, given.batch)]
    with database(given.server) as url:
        measured(url, batches[:1])  # what the first use of everything costs is of neither side
    with database(given.server) as url:
        found = measured(url, batches)
        found["ticks"] = measured_ticks(url, [ticks(n, given.batch) for n in range(given.rows // given.batch)])
    show({"rows": given.rows, "rows_a_transaction": given.batch, **found})


if __name__ == "__main__":
    main()
