"""The main job, tickhouse against its peers, each as a whole process, in turn (A B A B), every result checked.

    python -m benchmarks.main_job [--ticks 2000000] [--symbols 100] [--runs 3] [--peers duckdb_batch,polars_batch,pandas,csp]

Ratios are of the rates in the job (start-up left out); all runs of a pair happen one after the other on the same machine.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "peers"
OURS = "tickhouse_engine"


def call(script: str, *arguments: str) -> str:
    """Run one of the scripts beside this file and return what it printed."""
    command = [sys.executable, str(HERE / f"{script}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE, check=False)
    if done.returncode and script != "job":
        raise RuntimeError(f"{script} failed: {done.stderr[-2000:]}")
    return done.stdout.strip()


def once(peer: str, data: Path, reference: Path, out: Path) -> dict[str, Any]:
    """One run of one peer, with its result checked against the batch reference."""
    shutil.rmtree(out, ignore_errors=True)
    began = time.perf_counter()
    call(peer, "--data", str(data), "--out", str(out))
    wall = time.perf_counter() - began
    stats = json.loads((out / "stats.json").read_text())
    verdict = call("job", "check", "--ref", str(reference), "--got", str(out))
    return {"peer": peer, "job_s": stats["job_s"], "wall_s": wall, "check": verdict, "version": stats.get("version")}


def compare(ticks: int, symbols: int, runs: int, peers: list[str], work: Path) -> dict[str, Any]:
    """Every peer against tickhouse: rates and ratios."""
    data, reference = work / f"{ticks}x{symbols}.ndjson", work / f"{ticks}x{symbols}.ref"
    if not data.exists():
        call("job", "gen", "--n", str(ticks), "--symbols", str(symbols), "--out", str(data))
        call("job", "ref", "--data", str(data), "--out", str(reference))
    answer: dict[str, Any] = {"ticks": ticks, "symbols": symbols, "peers": {}, "tickhouse": []}
    once(OURS, data, reference, work / "out")
    for peer in peers:
        pairs = []
        for _ in range(runs):
            theirs, ours = once(peer, data, reference, work / "out"), once(OURS, data, reference, work / "out")
            if ours["check"] != "equal":
                raise RuntimeError(f"tickhouse differs from the reference: {ours['check']}")
            pairs.append((theirs, ours))
            answer["tickhouse"].append(round(ticks / ours["job_s"]))
        answer["peers"][peer] = {
            "ticks_per_second": round(statistics.median(ticks / t["job_s"] for t, _ in pairs)),
            "ratio_in_the_job": [round(t["job_s"] / o["job_s"], 2) for t, o in pairs],
            "ratio_as_a_process": [round(t["wall_s"] / o["wall_s"], 2) for t, o in pairs],
            "result": pairs[-1][0]["check"] or "equal",
            "version": pairs[-1][0]["version"],
        }
    answer["ticks_per_second"] = round(statistics.median(answer["tickhouse"])) if answer["tickhouse"] else None
    return answer


def main() -> None:
    """Parse the options, compare, print JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--ticks", type=int, default=2_000_000)
    options.add_argument("--symbols", type=int, default=100)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--peers", default="duckdb_batch,polars_batch,pandas,csp")
    options.add_argument("--work", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        print(json.dumps(compare(given.ticks, given.symbols, given.runs, given.peers.split(","), work)))


if __name__ == "__main__":
    main()
