"""What the SQLite journal costs, beside bare sqlite3 inserts of the same bytes in the same run. Prints JSON.

    python -m benchmarks.journal [--messages 1000000] [--folder DIR]

`raw` has the messages alone; `bare` inserts each entry's payload bytes and tick columns as two blobs a row, uncompressed, one
transaction each, in the same mode (WAL, synchronous=FULL), with nothing of what makes a journal.
"""

import argparse
import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.messages import entries
from tickhouse.core.batches import Entry
from tickhouse.journal.sqlite import open as open_journal

COLUMNS = ("symbol", "event_time", "received_at", "price", "size", "first_id", "last_id", "raw", "condition")


def timed(work: Callable[[Entry], Any], batches: Sequence[Entry]) -> dict[str, float]:
    """Rates over all batches, and the milliseconds of one."""
    took = []
    wall, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        began = time.perf_counter()
        work(batch)
        took.append(time.perf_counter() - began)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    messages = sum(len(b.raw) for b in batches)
    took.sort()
    return {
        "messages_per_s": round(messages / wall), "messages_per_cpu_s": round(messages / cpu),
        "p50_ms": round(statistics.median(took) * 1e3, 3), "p99_ms": round(took[int(len(took) * 0.99)] * 1e3, 3),
        "max_ms": round(took[-1] * 1e3, 3),
    }  # fmt: skip


def bare(path: Path) -> tuple[sqlite3.Connection, Callable[[Entry], Any]]:
    """Plain inserts into a plain table."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE blobs (first INTEGER PRIMARY KEY, raw BLOB, ticks BLOB)")

    def insert(entry: Entry) -> None:
        ticks = b"".join(getattr(entry.ticks, name).tobytes() for name in COLUMNS) if entry.ticks else None
        connection.execute("INSERT INTO blobs (raw, ticks) VALUES (?, ?)", (entry.raw.data.tobytes(), ticks))

    return connection, insert


def fsync_ms(folder: Path) -> float:
    """The median of an appended page and its fdatasync."""
    took = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(100):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return round(statistics.median(took) * 1e3, 3)


def appends(folder: Path, name: str, batches: Sequence[Entry]) -> dict[str, Any]:
    """The journal and the bare table with the same batches, in turn."""
    journal = open_journal(f"sqlite:///{folder}/{name}.db")
    ours = timed(lambda entry: journal.append([entry]), batches)
    journal.close()
    connection, insert = bare(folder / f"{name}.bare.db")
    plain = timed(insert, batches)
    connection.close()
    sizes = {
        key: (folder / f"{name}{end}").stat().st_size
        for key, end in (("journal_bytes", ".db"), ("bare_bytes", ".bare.db"))
    }
    return {
        "journal": ours,
        "bare": plain,
        "ratio": round(ours["messages_per_s"] / plain["messages_per_s"], 2),
        **sizes,
    }


def reads(folder: Path, name: str) -> dict[str, int]:
    """Messages a second of both topics, and of verify."""
    journal = open_journal(f"sqlite:///{folder}/{name}.db")
    found = {}
    for topic in ("raw", "ticks"):
        position, began = 0, time.perf_counter()
        while records := journal.read("raw" if topic == "raw" else "ticks", position):
            position = records[-1].end
        found[f"read_{topic}_per_s"] = round(position / (time.perf_counter() - began))
    began = time.perf_counter()
    check = journal.verify()
    found["verify_per_s"] = round(check.messages / (time.perf_counter() - began))
    if check.faults:
        raise RuntimeError(check.faults[0])
    journal.close()
    return found


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--messages", type=int, default=1_000_000)
    options.add_argument(
        "--folder", type=Path, default=None, help="where the files are written; default: the temporary folder"
    )
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        folder = Path(place)
        each = 16_384
        big = entries(max(1, given.messages // each), each)
        small = entries(max(20, min(500, given.messages // 100)), 10)
        figures: dict[str, Any] = {
            "message_bytes": round(big[0].raw.size / each, 1),
            "fsync_ms": fsync_ms(folder),
            "append_10": appends(folder, "small", small),
            "append_1000": appends(folder, "middle", entries(max(10, given.messages // 20_000), 1000)),
            f"append_{each}": appends(folder, "big", big),
            f"append_{each}_raw": appends(folder, "raw", [replace(e, ticks=None) for e in big]),
            **reads(folder, "big"),
        }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
