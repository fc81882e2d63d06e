"""Everything on: `tickhouse load` of a tape at full speed into a new house, beside the engine alone on the same file. Prints JSON.

    python -m benchmarks.load [--ticks 2000000] [--symbols 100]

The journal is durable (synchronous=FULL), and lake, stores, quality and all default indicators are on. The rate is
from the first byte read to the last row stored: the time of the whole command less that of loading five lines. The
bars are compared with the batch reference of the main job, and the ledger must balance.
"""

import argparse
import json
import resource
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.main_job import OURS, inputs, once
from benchmarks.measure import TICKHOUSE, Wrong, ran, show

MINUTES = {"1m": "bars1m", "5m": "bars5m"}


def loaded(tape: Path, house: Path) -> tuple[float, float, dict[str, Any]]:
    """Load a tape with the command; its seconds, those of the processor, and its report."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    took, said = ran(*TICKHOUSE, "load", str(tape), "--as", "binance", "--data", str(house), "--json")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, json.loads(said)[0]


def check(house: Path, reference: Path) -> int:
    """Raise `Wrong` where the house's bars are not the reference's or its ledger does not balance; returns how many bars."""
    _, said = ran(*TICKHOUSE, "status", "--data", str(house), "--json")
    ledger = json.loads(said)["ledger"]["binance"]
    expected = json.loads((reference / "stats.json").read_text())
    if not ledger["balanced"] or ledger["received"] != expected["rows"]:
        raise Wrong(f"the ledger does not balance: {ledger}")
    if (ledger["rejected"], ledger["duplicate"]) != (expected["malformed"], expected["duplicates"]):
        raise Wrong(f"rejected and duplicate are not {expected}: {ledger}")
    from tickhouse.house import House

    compared = 0
    with House.at(house) as opened:
        symbols = [row["symbol"] for row in opened.reader.symbols()]
        for interval, name in MINUTES.items():
            wanted = pl.read_parquet(reference / f"{name}.parquet")
            found = opened.bars(symbols, interval).with_columns(wstart=pl.col("start").dt.epoch("ms"), n="trades")
            both = wanted.join(found, on=["symbol", "wstart"], suffix="_ours")
            columns = ("open", "high", "low", "close", "volume", "vwap", "n")
            far = both.select(((pl.col(c) - pl.col(f"{c}_ours")).abs() / pl.col(c)).max() for c in columns).row(0)
            if both.height != wanted.height or max(far) > 1e-9:
                raise Wrong(
                    f"{interval} bars differ: {both.height} of {wanted.height} found, relative error {max(far):.1e}"
                )
            compared += both.height
    return compared


def main() -> None:
    """Load, check, print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--ticks", type=int, default=2_000_000)
    options.add_argument("--symbols", type=int, default=100)
    options.add_argument("--runs", type=int, default=1)
    options.add_argument("--work", type=Path, help="where inputs are kept for the next run")
    given = options.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work = given.work or folder
        work.mkdir(parents=True, exist_ok=True)
        tape, reference = inputs(given.ticks, given.symbols, work.resolve())
        few = folder / "few.ndjson"
        with tape.open("rb") as whole:
            few.write_bytes(b"".join(whole.readline() for _ in range(5)))
        loaded(few, folder / "warm")
        rates, engines = [], []
        for run in range(given.runs):
            start, start_cpu, _ = loaded(few, folder / f"few{run}")
            took, cpu, report = loaded(tape, folder / f"house{run}")
            engines.append(given.ticks / once(OURS, tape, reference, folder / "out")["job_s"])
            rates.append(given.ticks / (took - start))
        sizes = {name: _size(folder / "house0" / name) for name in ("journal.db", "warm.db", "lake")}
        bars = check(folder / "house0", reference)
    show({
        "ticks": given.ticks, "symbols": given.symbols, "ticks_per_s": round(statistics.median(rates)),
        "each_run": [round(r) for r in rates],
        "start_s": round(start, 2), "whole_s": round(took, 2), "ingest_s": report["seconds"],
        "ticks_per_cpu_s": round(given.ticks / (cpu - start_cpu)), "engine_ticks_per_s": round(statistics.median(engines)),
        "share_of_engine": [round(r / e, 2) for r, e in zip(rates, engines, strict=True)],
        "bars_equal_to_reference": bars, "mib": sizes,
    })  # fmt: skip


def _size(path: Path) -> float:
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    return round(sum(f.stat().st_size for f in files) / (1 << 20), 1)


if __name__ == "__main__":
    main()
