"""What a lake on S3 costs: archived to a folder and to servers, beside a bare put of the same bytes; what a listing holds. JSON.

python -m benchmarks.s3 --server http://key:secret@127.0.0.1:9000/bucket [--server ...] [--messages 1000000] [--objects 20000]
"""

import argparse
import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore

from benchmarks.lake import records
from benchmarks.messages import SYMBOLS, T0, entries
from tickhouse.core.batches import Record
from tickhouse.lake import Lake
from tickhouse.lake.local import open as open_local
from tickhouse.lake.s3 import S3Lake
from tickhouse.lake.s3 import open as open_s3

ROUNDS = 3
AT_ONCE = 32


def address(server: str, prefix: str) -> str:
    """The URL of a lake on a server, which is given as `http://key:secret@host:port/bucket`."""
    at = urlsplit(server)
    return (
        f"s3://{at.username}:{at.password}@{at.path.strip('/')}/{prefix}?endpoint={at.scheme}://{at.hostname}:{at.port}"
    )


def archived(lake: Lake, runs: Sequence[Sequence[Record]]) -> tuple[float, list[Any]]:
    """Seconds that it takes to write runs as objects, and these."""
    began = time.perf_counter()
    items = [item for run in runs for item in lake.write(run)]
    return time.perf_counter() - began, items


def bare(lake: S3Lake, contents: dict[str, bytes]) -> float:
    """Seconds that obstore takes to put the same bytes, one object after the other."""
    began = time.perf_counter()
    for name, content in contents.items():
        obstore.put(lake._store, f"bare/{name}", content, use_multipart=False)
    return time.perf_counter() - began


def measured(server: str, runs: Sequence[Sequence[Record]], contents: dict[str, bytes], rows: int) -> dict[str, Any]:
    """Archive and bare put by turns, the best of each; then reads."""
    prefix, best, least = f"bench-{secrets.token_hex(4)}", float("inf"), float("inf")
    root = open_s3(address(server, prefix))
    try:
        for number in range(ROUNDS):
            lake = open_s3(address(server, f"{prefix}/{number}"))
            best, least = min(best, archived(lake, runs)[0]), min(least, bare(lake, contents))
        size = sum(map(len, contents.values()))
        began = time.perf_counter()
        count = sum(batch.size > 0 for item in lake.objects() for batch in lake.read(item))
        read = time.perf_counter() - began
        began = time.perf_counter()
        found = sum(len(batch) for batch in lake.ticks("binance", SYMBOLS[0], T0, T0 + 10_000_000))
        first = time.perf_counter() - began
        began = time.perf_counter()
        sum(len(batch) for batch in lake.ticks("binance", SYMBOLS[0], T0, T0 + 10_000_000))
        return {
            "archive": {"rows_per_s": round(rows / best), "MB_per_s": round(size / best / 1e6, 1)},
            "bare_put": {"MB_per_s": round(size / least / 1e6, 1), "share_of_archive": round(least / best, 2)},
            "read_bronze": {"rows_per_s": round(rows / read), "batches": count},
            "ticks_of_10_s": {
                "ticks": found, "first_ms": round(first * 1e3, 1), "again_ms": round((time.perf_counter() - began) * 1e3, 1),
            },
        }  # fmt: skip
    finally:
        emptied(root)


def emptied(lake: S3Lake) -> None:
    """Remove every object."""
    for page in obstore.list(lake._store, chunk_size=1000):
        obstore.delete(lake._store, [one["path"] for one in page])


async def filled(lake: S3Lake, count: int) -> None:
    """Put so many tiny objects of one channel on 28 days."""
    alone = asyncio.Semaphore(AT_ONCE)

    async def put(n: int) -> None:
        name = f"bronze/source=s/channel=c/date=2026-01-{1 + 28 * n // count:02d}/{n:020d}-{n:020d}.ndjson.gz"
        async with alone:
            await obstore.put_async(lake._store, name, b"x", use_multipart=False)

    for start in range(0, count, 10_000):
        await asyncio.gather(*(put(n) for n in range(start, min(start + 10_000, count))))


def listed(server: str, count: int) -> dict[str, Any]:
    """What a process of its own needs to walk over so many objects, by the memory that it has at most."""
    prefix = f"bench-{secrets.token_hex(4)}"
    lake = open_s3(address(server, prefix))
    try:
        began = time.perf_counter()
        asyncio.run(filled(lake, count))
        put = time.perf_counter() - began
        command = [sys.executable, "-m", "benchmarks.s3", "--walk", address(server, prefix)]
        return {"objects": count, "put_s": round(put, 1)} | json.loads(subprocess.check_output(command))
    finally:
        emptied(lake)


def walk(url: str) -> dict[str, Any]:
    """Walk over a lake; how much memory it needs more than before, in MB."""
    lake = open_s3(url)
    next(lake.objects(), None)
    Path("/proc/self/clear_refs").write_text("5")  # the most that was in use is measured from here on
    before, began = resident("VmRSS"), time.perf_counter()
    count = sum(1 for _ in lake.objects())
    took = time.perf_counter() - began
    return {"walked": count, "walk_s": round(took, 1), "grown_MB": round((resident("VmHWM") - before) / 1024, 1)}


def resident(name: str) -> int:
    """Memory of this process in KiB, by its name in /proc."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--server", action="append", default=[], help="http://key:secret@host:port/bucket")
    options.add_argument("--messages", type=int, default=1_000_000)
    options.add_argument("--objects", type=int, default=20_000, help="tiny objects that are listed")
    options.add_argument("--walk", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.walk:
        print(json.dumps(walk(given.walk)))
        return
    each = 16_384
    batches = entries(max(1, given.messages // each), each)
    rows = len(batches) * each
    whole = records(batches, True)
    runs = [whole[i : i + 32] for i in range(0, len(whole), 32)]
    with tempfile.TemporaryDirectory() as folder:
        archived(open_local(f"file://{folder}/warm"), [records(batches[:1], True)])
        took = []
        for number in range(ROUNDS):
            local = open_local(f"file://{folder}/{number}")
            seconds, items = archived(local, runs)
            took.append(seconds)
        contents = {item.name: local.content(item) for item in items}
    size = sum(map(len, contents.values()))
    figures: dict[str, Any] = {"rows": rows, "objects": len(contents), "bytes": size}
    figures["folder"] = {"rows_per_s": round(rows / min(took)), "MB_per_s": round(size / min(took) / 1e6, 1)}
    for number, server in enumerate(given.server):
        figures[f"server_{number}"] = measured(server, runs, contents, rows)
        if given.objects:
            figures[f"server_{number}"]["listing"] = listed(server, given.objects)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
