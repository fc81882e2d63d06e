"""What the lake costs: bronze and ticks written and read, beside bare sqlite3 inserts and plain gzip of the same bytes. JSON.

python -m benchmarks.lake [--messages 1000000] [--folder DIR]
"""

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.journal import bare, timed
from benchmarks.messages import SYMBOLS, T0, entries
from tickhouse.core.batches import Entry, Record
from tickhouse.lake.local import LocalLake
from tickhouse.lake.local import open as open_lake


def rate(work: Callable[[], Any], messages: int) -> dict[str, int]:
    """Messages a second of a piece of work, by the clock and by the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"messages_per_s": round(messages / wall), "messages_per_cpu_s": round(messages / cpu)}


def records(batches: Sequence[Entry], ticks: bool) -> list[Record]:
    """The batches as a journal hands them to the archiver."""
    found, first = [], 0
    for batch in batches:
        raw, n = replace(batch.raw, first=first), len(batch.raw)
        rows = batch.ticks.journaled(first) if ticks and batch.ticks else None
        found.append(
            Record(first, n, raw.source, raw.channel, raw.lane, int(raw.received_at[-1]), raw, batch.kinds, rows)
        )
        first += n
    return found


def written(lake: LocalLake, runs: Sequence[Sequence[Record]]) -> None:
    """Write runs as objects."""
    for run in runs:
        lake.write(run)


def read_all(lake: LocalLake) -> None:
    """Read every message again."""
    for item in lake.objects():
        for batch in lake.read(item):
            batch.size  # noqa: B018 - touch it


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--messages", type=int, default=1_000_000)
    options.add_argument(
        "--folder", type=Path, default=None, help="where the files are written; default: the temporary folder"
    )
    given = options.parse_args()
    each = 16_384
    batches = entries(max(1, given.messages // each), each)
    messages = len(batches) * each
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        folder = Path(place)
        warm = open_lake(f"file://{folder}/warm")  # the kernels are compiled before the clock starts
        written(warm, [records(batches[:1], True)])
        read_all(warm)
        figures: dict[str, Any] = {"messages": messages, "message_bytes": round(batches[0].raw.size / each, 1)}
        for name, ticks in (("bronze", False), ("bronze_and_ticks", True)):
            whole = records(batches, ticks)
            runs = [whole[i : i + 32] for i in range(0, len(whole), 32)]
            lake = open_lake(f"file://{folder}/{name}")
            figures[f"write_{name}"] = rate(lambda lake=lake, runs=runs: written(lake, runs), messages)  # type: ignore[misc]
            figures[f"{name}_bytes"] = sum(o.size for kind in ("bronze", "ticks") for o in lake.objects(kind))
        figures["read_bronze"] = rate(lambda: read_all(lake), messages)
        figures["verify"] = rate(lake.verify, messages)
        began = time.perf_counter()
        found = sum(len(b) for b in lake.ticks("binance", SYMBOLS[0], T0, T0 + 10_000_000))
        figures["ticks_of_10_s"] = {"ticks": found, "ms": round((time.perf_counter() - began) * 1e3, 1)}
        connection, insert = bare(folder / "bare.db")
        figures["bare_sqlite"] = timed(insert, batches)
        connection.close()
        figures["plain_gzip_1"] = rate(lambda: [gzip.compress(b.raw.data.tobytes(), 1) for b in batches], messages)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
