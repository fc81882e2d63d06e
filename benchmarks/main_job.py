"""The main job, tickhouse against its peers, each as a whole process, in turn (A B A B), every result checked.

    python -m benchmarks.main_job [--ticks 2000000] [--symbols 100] [--runs 3] [--peers duckdb_batch,csp_nodes]
    python -m benchmarks.main_job --columnar        the same job from a Parquet file of ticks, against DuckDB

The job is in peers/job.py. Ratios are peer / tickhouse, so above 1 tickhouse is faster; "in the job" is from the
first byte read to the last file written, without start-up; "as a process" has everything. All runs of a pair happen
one after the other.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import Wrong, show

HERE = Path(__file__).parent / "peers"
OURS = "tickhouse_engine"
PEERS = "duckdb_batch,polars_batch,pandas_batches,csp_nodes"
CSP = ("csp==0.19.1", "polars", "orjson", "numpy")
SHORTEST = 2_000_000
"""Fewer ticks than that cover the same time, so that there are bars enough for indicators."""


def call(script: str, *arguments: str, python: str = sys.executable) -> str:
    """Run one of the scripts of the peers and return what it printed."""
    command = [python, str(HERE / f"{script}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE, check=False)
    if done.returncode and script != "job":
        raise Wrong(f"{script} failed: {done.stderr[-2000:]}")
    return done.stdout.strip()


def csp_python(work: Path) -> str:
    """The interpreter of an environment of its own that has csp; made with uv. Raises `Wrong` when it cannot be made."""
    uv = next((str(p) for p in (Path(".tools/bin/uv"), Path(shutil.which("uv") or "-")) if p.exists()), None)
    place = work / "csp-venv"
    python = place / "bin" / "python"
    if uv is None:
        raise Wrong("there is no uv to install csp with")
    if not python.exists():
        for arguments in (["venv", "-p", sys.executable, str(place)], ["pip", "install", "-p", str(python), *CSP]):
            done = subprocess.run([uv, "-q", *arguments], capture_output=True, text=True, check=False)
            if done.returncode:
                shutil.rmtree(place, ignore_errors=True)
                raise Wrong(f"csp cannot be installed: {done.stderr.strip()[-300:]}")
    return str(python)


def once(peer: str, data: Path, reference: Path, out: Path, python: str = sys.executable) -> dict[str, Any]:
    """One run of one peer, with its result checked against the batch reference."""
    shutil.rmtree(out, ignore_errors=True)
    began = time.perf_counter()
    call(peer, "--data", str(data), "--out", str(out), python=python)
    wall = time.perf_counter() - began
    stats = json.loads((out / "stats.json").read_text())
    verdict = call("job", "check", "--ref", str(reference), "--got", str(out))
    if peer == OURS and verdict != "equal":
        raise Wrong(f"tickhouse differs from the reference: {verdict}")
    return {**stats, "wall_s": wall, "check": verdict}


def inputs(ticks: int, symbols: int, work: Path) -> tuple[Path, Path]:
    """The messages of the job and its reference, made when they are not there."""
    data, reference = work / f"{ticks}x{symbols}.ndjson", work / f"{ticks}x{symbols}.ref"
    rate = str(1000 * min(1.0, ticks / SHORTEST))
    if not data.exists():
        call("job", "gen", "--n", str(ticks), "--symbols", str(symbols), "--rate", rate, "--out", str(data))
    if not reference.exists():
        call("job", "ref", "--data", str(data), "--out", str(reference))
    return data, reference


def ticks_file(data: Path, reference: Path) -> tuple[Path, Path]:
    """The ticks of a file of messages as Parquet; the reference is the same, without malformed messages."""
    from tickhouse.core.model import TICK
    from tickhouse.feeds import binance
    from tickhouse.feeds._capture import read_ndjson

    path, same = data.with_suffix(".parquet"), reference.with_suffix(".columnar")
    if same.exists():
        return path, same
    import pyarrow as pa
    import pyarrow.parquet as pq

    feed, tables, position = binance.open(), [], 0
    for raw, _ in read_ndjson(data, "binance", "trade", "load:job", 0):
        ticks = feed.parse(raw).ticks
        if ticks is not None:
            tables.append(ticks.journaled(position).to_arrow().cast(TICK))
        position += len(raw)
    pq.write_table(pa.concat_tables(tables), path, row_group_size=131_072)
    shutil.copytree(reference, same)
    stats = json.loads((same / "stats.json").read_text())
    (same / "stats.json").write_text(json.dumps({**stats, "malformed": 0}))
    return path, same


def compare(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Every peer against tickhouse: rates and ratios."""
    data, reference = inputs(given.ticks, given.symbols, work)
    if given.columnar:
        data, reference = ticks_file(data, reference)
    run = partial(once, data=data, reference=reference, out=work / "out")
    ours, answer = [run(OURS)], {"ticks": given.ticks, "symbols": given.symbols, "peers": {}}
    version = ours.pop()["version"]  # the first run only warms the caches
    for peer in given.peers.split(","):
        try:
            python = csp_python(work) if peer == "csp_nodes" else sys.executable
        except Wrong as why:
            answer["peers"][peer] = {"skipped": str(why)}
            continue
        pairs = []
        for _ in range(given.runs):
            pairs.append((run(peer, python=python), run(OURS)))
        ours += [mine for _, mine in pairs]
        answer["peers"][peer] = {
            "ticks_per_s": round(statistics.median(given.ticks / theirs["job_s"] for theirs, _ in pairs)),
            "ratio_in_the_job": [round(theirs["job_s"] / mine["job_s"], 2) for theirs, mine in pairs],
            "ratio_as_a_process": [round(theirs["wall_s"] / mine["wall_s"], 2) for theirs, mine in pairs],
            "result": pairs[-1][0]["check"],
            "version": pairs[-1][0]["version"],
        }
    rates = [round(given.ticks / one["job_s"]) for one in ours]
    return {
        **answer, "ticks_per_s": round(statistics.median(rates)), "each_run": rates,
        "ticks_per_s_as_a_process": round(statistics.median(given.ticks / one["wall_s"] for one in ours)),
        "start_s": round(statistics.median(one["start_s"] for one in ours), 2), "result": "equal", "version": version,
    }  # fmt: skip


def main() -> None:
    """Parse the options, compare, print JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--ticks", type=int, default=2_000_000)
    options.add_argument("--symbols", type=int, default=100)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--peers")
    options.add_argument("--columnar", action="store_true", help="from ticks in Parquet instead of messages")
    options.add_argument(
        "--work", type=Path, help="where inputs are kept for the next run; default: a temporary folder"
    )
    given = options.parse_args()
    given.peers = given.peers or ("duckdb_batch" if given.columnar else PEERS)
    with ExitStack() as stack:
        work = given.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        show(compare(given, work.resolve()))


if __name__ == "__main__":
    main()
