"""State of the engine with 100, 1,000 and 10,000 symbols: its arrays in memory, and its snapshot. Prints JSON.

    python -m benchmarks.memory [--symbols 100,1000,10000]

Every symbol has traded for 26 minutes, 10 ticks a minute, with all default indicators, so windows, rings and series
are full. Memory is what tracemalloc sees after the input is gone (numpy tells it of its arrays); the snapshot is what
a checkpoint stores.
"""

import argparse
import gc
import time
import tracemalloc
from typing import Any

import numpy as np

from benchmarks.engine_latency import BEGIN, MINUTE, engine, ticks
from benchmarks.measure import Wrong, show
from tickhouse.core.batches import LIVE, Record

MINUTES, A_MINUTE = 26, 10


def fed(symbols: int) -> Any:
    """An engine that has seen the symbols for a while."""
    house, ids = engine(), np.full(symbols, 1000)
    for minute in range(MINUTES):
        count = symbols * A_MINUTE
        batch = ticks(count, symbols, BEGIN + minute * MINUTE, MINUTE / count, ids).journaled(house.position)
        at = int(batch.received_at[-1])
        out = house.process([Record(house.position, count, "binance", "trade", LIVE, at, ticks=batch)])
    if sum(len(bars) for bars in out.bars) < symbols * 0.9:
        raise Wrong("the last minute did not close")
    # What came out is stored now, and let go with the next call.
    batch = ticks(1, symbols, BEGIN + MINUTES * MINUTE, 1.0, ids).journaled(house.position)
    house.process([Record(house.position, 1, "binance", "trade", LIVE, int(batch.received_at[-1]), ticks=batch)])
    return house


def allocated(make: Any, symbols: int) -> tuple[int, Any]:
    """Bytes that stay allocated after making something."""
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    made = make(symbols)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return after - before, made


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--symbols", default="100,1000,10000")
    found = []
    fed(10)  # kernels and modules are loaded before anything is measured
    for symbols in map(int, options.parse_args().symbols.split(",")):
        size, house = allocated(fed, symbols)
        began = time.perf_counter()
        snapshot = house.snapshot()
        took = time.perf_counter() - began
        fresh = engine()
        fresh.restore(snapshot)
        if fresh.position != house.position:
            raise Wrong("a snapshot was not restored")
        found.append({
            "symbols": symbols, "arrays_mib": round(size / (1 << 20), 2), "snapshot_mib": round(len(snapshot) / (1 << 20), 2),
            "mib_per_1000_symbols": round(size / symbols * 1000 / (1 << 20), 2), "snapshot_ms": round(took * 1e3, 1),
        })  # fmt: skip
        del house, fresh
    show({"state": found})


if __name__ == "__main__":
    main()
