"""Every benchmark, each in a process of its own.

python -m benchmarks.run            small: whether each runs and its results are right; exits non-zero when not
python -m benchmarks.run --full     full sizes: writes docs/figures.md and docs/figures.json
python -m benchmarks.run --full --hours 1        and watches the memory of a live session for so long
python -m benchmarks.run --only live,load        only some; with --full their figures replace those of an earlier run

Those that need servers run where `make services` has said where they are (`set -a; . .services/env`), and are named where not.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.figures import machine, write

RAW = Path("docs/figures.json")

SMALL = {
    "failover": "failover --runs 1",
    "feeds": "feeds --megabytes 0.2",
    "main": "main_job --ticks 50000 --runs 1 --peers duckdb_batch,pandas_batches",
    "columnar": "main_job --columnar --ticks 50000 --runs 1",
    "latency": "engine_latency --seconds 0.5 --rates 10000 --symbols 100",
    "load": "load --ticks 50000",
    "live": "live --rate 1000 --symbols 50 --seconds 3 --warm 3",
    "state": "memory --symbols 100,1000",
    "start": "start --runs 1",
    "stores": "stores --rows 20000",
    "api": "api --symbols 5 --requests 20",
    "fanout": "fanout --clients 100 --seconds 2 --warm 2",
    "parse": "parse --messages 50000",
    "journal": "journal --messages 50000",
    "lake": "lake --messages 50000",
}

FULL = {
    "main": "main_job",
    "main_1000": "main_job --symbols 1000 --peers duckdb_batch --runs 2",
    "main_10000": "main_job --symbols 10000 --peers duckdb_batch --runs 2",
    "main_20m": "main_job --ticks 20000000 --peers duckdb_batch --runs 1",
    "columnar": "main_job --columnar",
    "latency": "engine_latency",
    "load": "load --runs 3",
    "live": "live --seconds 30",
    "memory": "live --seconds 120 --warm 1 --rate 1000 --once",
    "state": "memory",
    "start": "start",
    "stores": "stores",
    "api": "api",
    "fanout": "fanout",
    "parse": "parse",
    "feeds": "feeds",
    "polled": "polled",
    "quota": "quota_day",
    "journal": "journal",
    "lake": "lake",
    "failover": "failover",
}

SERVERS = {
    "kafka": ("kafka --server $TICKHOUSE_TEST_KAFKA --messages 40000 --each 4096", "KAFKA"),
    "postgres": ("postgres --rows 4000", "POSTGRES"),
    "redis": ("redis --values 20000 --rates 500 --symbols 20 --seconds 2", "REDIS"),
    "s3": ("s3 --server $TICKHOUSE_TEST_S3 --messages 40000 --objects 200", "S3"),
    "listing": ("listing --objects 4000", "S3_SECOND"),
    "visible": ("visible --rates 500 --symbols 10 --seconds 3 --warm 3", "KAFKA POSTGRES REDIS S3"),
}
"""Small ones that need servers, and the ends of the variables `TICKHOUSE_TEST_...` that name these. A command names
the variable, not its value: a key is in some."""

SERVERS_FULL = {
    "kafka": "kafka --server $TICKHOUSE_TEST_KAFKA --messages 2000000",
    "postgres": "postgres --rows 100000 --batch 1000",
    "redis": "redis --rates 1000 10000 50000 --seconds 10",
    "s3": "s3 --server $TICKHOUSE_TEST_S3 --messages 1000000 --objects 20000",
    "listing": "listing",
    "visible": "visible",
}

SHARE = ("main", "columnar", "load", "main_1000", "main_10000", "main_20m")
"""Those that keep their inputs for each other."""
PATIENCE = 1200.0
"""Seconds that a benchmark may take beside the time for which it is told to watch."""


def run(command: str, work: Path | None, watched: float) -> tuple[dict[str, Any] | None, str]:
    """The figures of one benchmark, or None and what went wrong. One that watches for hours has so many seconds more."""
    module, *arguments = map(os.path.expandvars, shlex.split(command))
    arguments += ["--work", str(work)] if work else []
    child = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        capture_output=True, text=True, check=False, timeout=PATIENCE + watched,
    )  # fmt: skip
    if child.returncode:
        return None, child.stderr.strip()[-2000:]
    return json.loads(child.stdout), ""


def without_servers(name: str) -> list[str]:
    """The variables that a benchmark needs and that name no server."""
    needed = (f"TICKHOUSE_TEST_{end}" for end in SERVERS[name][1].split()) if name in SERVERS else ()
    return [variable for variable in needed if not os.environ.get(variable)]


def all_of(plan: dict[str, str], work: Path, watched: float) -> tuple[dict[str, Any], list[str]]:
    """Run a plan, one after the other; the figures with their commands, and the names of those that failed."""
    figures, failed = {}, []
    for name, command in plan.items():
        if absent := without_servers(name):
            print(f"{name:12} {'':6}    not run: {', '.join(absent)} is not set; `make services` starts it", flush=True)
            continue
        began = time.monotonic()
        found, trouble = run(command, work if name in SHARE else None, watched)
        took = time.monotonic() - began
        print(
            f"{name:12} {took:6.1f} s  {'FAILED' if found is None else 'ok'}  python -m benchmarks.{command}",
            flush=True,
        )
        if found is None:
            failed.append(name)
            print(trouble, file=sys.stderr, flush=True)
        else:
            figures[name] = {
                "command": f"python -m benchmarks.{command}",
                "seconds": round(took, 1),
                **machine(),
                "figures": found,
            }
        if name == "main_20m":
            for path in work.glob("20000000x*.ndjson"):
                path.unlink()
    return figures, failed


def side_by_side(plan: dict[str, str], work: Path) -> list[str]:
    """Run a plan three at a time, where its results matter and not how long they take; the names of those that failed."""
    shared = {name: command for name, command in plan.items() if name in SHARE}
    parts = [shared, *({name: command} for name, command in plan.items() if name not in SHARE)]
    with ThreadPoolExecutor(3) as three:
        return [name for _, failed in three.map(lambda part: all_of(part, work, 0.0), parts) for name in failed]


def main() -> None:
    """Run what is asked for, and write it down if it is the full size."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--full", action="store_true")
    options.add_argument("--only", default="", help="names with commas between them")
    options.add_argument("--hours", type=float, default=0.0, help="how long the memory of a live session is watched")
    options.add_argument("--work", type=Path, help="where inputs are kept for the next run")
    given = options.parse_args()
    plan = FULL | SERVERS_FULL if given.full else SMALL | {name: command for name, (command, _) in SERVERS.items()}
    if given.hours and given.full:
        plan["memory"] = f"live --seconds {given.hours * 3600:g} --warm 1 --rate 1000 --once"
    only = given.only.split(",") if given.only else list(plan)
    if unknown := set(only) - set(plan):
        options.error(f"no benchmark named {', '.join(sorted(unknown))}; there are {', '.join(plan)}")
    with tempfile.TemporaryDirectory() as place:
        work = given.work or Path(place)
        work.mkdir(parents=True, exist_ok=True)
        plan, work = {name: plan[name] for name in only}, work.resolve()
        figures, failed = all_of(plan, work, given.hours * 3600) if given.full else ({}, side_by_side(plan, work))
    if given.full:
        earlier = json.loads(RAW.read_text()) if given.only and RAW.exists() else {}
        RAW.write_text(json.dumps({**earlier, **figures}, indent=1) + "\n")
        write({**earlier, **figures}, Path("docs/figures.md"))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
