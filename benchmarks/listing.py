"""What it takes to list the objects of a lake on S3, beside obstore's bare list of the same bucket, and the memory for it. JSON.

    python -m benchmarks.listing [--objects 1000000]

The server is VersityGW on a folder, in which the objects are made as empty files with the names of a lake's: ten sources of two
channels each, on fifty days. Each listing is by a process of its own, by turns, the best of two; first of a tenth of the objects,
then of all of them. Memory is the most that a listing had more than after its first object.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import obstore
from tools.services.s3 import BUCKET
from tools.services.versity import Versity

from benchmarks.measure import Wrong, show
from benchmarks.s3 import address, resident
from tickhouse.lake import _names as names
from tickhouse.lake.s3 import open as open_s3

SOURCES, CHANNELS, DAYS = 10, ("trade", "quote"), 50
BEGIN = date(2026, 1, 1)
MESSAGES = 500
"""Positions of an object."""
ROUNDS = 2
PAGE = 1000
"""Names in one answer of the server, as the lake asks for them."""


def made(root: Path, count: int) -> int:
    """Make empty files with the names of about so many objects; how many there are."""
    each = max(1, count // (SOURCES * len(CHANNELS) * DAYS))
    for source in range(SOURCES):
        for channel in CHANNELS:
            for day in range(DAYS):
                folder = f"{names.folder('bronze', f's{source}', channel)}/date={BEGIN + timedelta(day)}"
                (root / folder).mkdir(parents=True)
                for number in range(day * each, (day + 1) * each):
                    first = number * MESSAGES
                    (root / names.inside(folder, first, first + MESSAGES - 1)).touch()
    return each * SOURCES * len(CHANNELS) * DAYS


def by_lake(url: str) -> Iterator[str]:
    """The names that the lake gives."""
    return (item.name for item in open_s3(url).objects())


def bare(url: str) -> Iterator[str]:
    """The names that obstore gives."""
    return (one["path"] for page in obstore.list(open_s3(url)._store, "bronze", chunk_size=PAGE) for one in page)


WALKS: dict[str, Callable[[str], Iterator[str]]] = {"bare": bare, "lake": by_lake}


def walked(how: str, url: str) -> dict[str, Any]:
    """Walk over all names; the seconds to the first and to the last, and by how much memory grew from the first on, in MB."""
    began, found = time.perf_counter(), WALKS[how](url)
    next(found)
    first = time.perf_counter() - began
    Path("/proc/self/clear_refs").write_text("5")  # the most that was in use is measured from here on
    before, count, earlier = resident("VmRSS"), 1, ""
    for name in found:
        if name <= earlier:
            raise Wrong(f"{name} comes after {earlier}")
        count, earlier = count + 1, name
    took = time.perf_counter() - began
    return {
        "objects": count, "first_s": round(first, 2), "seconds": round(took, 2), "per_s": round(count / took),
        "grown_MB": round((resident("VmHWM") - before) / 1024, 1),
    }  # fmt: skip


def apart(how: str, url: str, expected: int) -> dict[str, Any]:
    """A walk by a process of its own."""
    command = [sys.executable, "-m", "benchmarks.listing", "--walk", how, "--url", url]
    found: dict[str, Any] = json.loads(subprocess.check_output(command))
    if found["objects"] != expected:
        raise Wrong(f"{how} listed {found['objects']} objects of {expected}")
    return found


def measured(folder: Path, objects: int) -> dict[str, Any]:
    """Both listings of a lake of about so many objects."""
    server = Versity(folder)
    try:
        server.start()
        url = address(server.url, "lake")
        began = time.perf_counter()
        count = made(folder / "data" / BUCKET / "lake", objects)
        took = time.perf_counter() - began
        found: dict[str, Any] = {"objects": count, "made_s": round(took, 1)}
        rounds = [{how: apart(how, url, count) for how in WALKS} for _ in range(ROUNDS)]
        found |= {how: min((one[how] for one in rounds), key=lambda one: one["seconds"]) for how in WALKS}
        found |= {f"{how}_grown_MB": max(one[how]["grown_MB"] for one in rounds) for how in WALKS}
        return found | {"times_bare": round(found["lake"]["seconds"] / found["bare"]["seconds"], 2)}
    finally:
        server.remove()


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--objects", type=int, default=1_000_000)
    options.add_argument("--walk", choices=WALKS, help=argparse.SUPPRESS)
    options.add_argument("--url", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.walk:
        show(walked(given.walk, given.url))
        return
    with tempfile.TemporaryDirectory() as place:
        sizes = {"tenth": given.objects // 10, "whole": given.objects}
        show({name: measured(Path(place) / name, size) for name, size in sizes.items()})


if __name__ == "__main__":
    main()
