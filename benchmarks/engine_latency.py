"""One tick in, its updated bar out: the engine (all default indicators) beside Polars run once per call. Prints JSON.

    python -m benchmarks.engine_latency [--seconds 5] [--rates 10000,100000] [--symbols 100,1000]

Ticks are due at even times; each call gets whatever has come due during the call before, and the latency of a tick is from when it
was due to when its forming bar is out. 1m and 5m bars; a minute closes half way, with everything that follows from it. What is
before the engine (socket, parser, journal) and after it is measured by `benchmarks.live`.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

from benchmarks.measure import Wrong, quantiles, show
from tickhouse.core.batches import LIVE, Record, TickBatch
from tickhouse.core.marks import LINK, Event, Mark
from tickhouse.core.model import BAR, Ids
from tickhouse.process import catalog
from tickhouse.process.analysis import Analysis
from tickhouse.process.engines.embedded import Embedded
from tickhouse.process.rules import Rules

MINUTE = 60_000_000
BEGIN = 1_767_225_600_000_000
LATENESS = 5_000_000
PEER_SECONDS = 2.0


class NoPast:
    """Nothing is stored, so nothing can be asked."""

    def bars(self, query: Any) -> Any:
        """No bars."""
        return BAR.empty_table()

    indicators = anomalies = bars

    def ticks(self, *given: Any) -> list[TickBatch]:
        """No ticks."""
        return []


def engine() -> Embedded:
    """The engine as a house has it by default."""
    detectors = [catalog.detector("returns(20,3)"), catalog.detector("volume(20,3)")]
    rules = Rules((MINUTE, 5 * MINUTE), LATENESS, ids={"binance": Ids.DENSE})
    return Embedded(rules, Analysis(catalog.default_indicators(), detectors, NoPast()), NoPast())


def ticks(count: int, symbols: int, start: int, step: float, ids: np.ndarray[Any, Any]) -> TickBatch:
    """Ticks of random symbols with dense ids, `step` microseconds apart."""
    rng = np.random.default_rng(start % 1000 + symbols)
    symbol = rng.integers(0, symbols, count).astype(np.int32)
    order = np.argsort(symbol, kind="stable")
    rank = np.arange(count) - np.searchsorted(symbol[order], symbol[order])
    trade = np.empty(count, np.int64)
    trade[order] = ids[symbol[order]] + rank
    ids += np.bincount(symbol, minlength=symbols)
    at = start + (np.arange(count) * step).astype(np.int64)
    price = 100.0 + np.round(rng.normal(0, 1, count), 2)
    names = [f"SYM{i:05d}" for i in range(symbols)]
    return TickBatch(
        "binance", LIVE, names, symbol, at, at + 500, price, np.ones(count), trade, trade, np.arange(count)
    )


class Ours:
    """The engine, warmed by 25 minutes of bars; a mark says each second that the line is alive."""

    def __init__(self, symbols: int) -> None:
        self.house, self.ids, self.shown, self.marked = engine(), np.full(symbols, 1000), 0, 0
        names = tuple(f"SYM{i:05d}" for i in range(symbols))
        self._mark(Mark(Event.CONNECTED, BEGIN, "binance-0", "trade", names))
        for minute in range(25):
            start = BEGIN + minute * MINUTE
            self._record(ticks(symbols * 4, symbols, start, MINUTE / (symbols * 4), self.ids))
        self.start = BEGIN + 25 * MINUTE + LATENESS

    def __call__(self, batch: TickBatch) -> None:
        """Take the ticks in and see the forming bars."""
        self._record(batch)
        if batch.event_time[-1] - self.marked > 1_000_000:
            self.marked = int(batch.event_time[-1])
            self._mark(Mark(Event.ALIVE, self.marked, "binance-0"))

    def _record(self, batch: TickBatch) -> None:
        at = self.house.position
        record = Record(at, len(batch), "binance", "trade", LIVE, int(batch.received_at[-1]), ticks=batch.journaled(at))
        self.shown += sum(len(bars) for bars in self.house.process([record]).forming)

    def _mark(self, mark: Mark) -> None:
        record = Record(self.house.position, 1, "binance", LINK, LIVE, mark.at, marks=(mark,))
        self.house.process([record])


class Peer:
    """Forming 1m bars as a Polars frame: what came is grouped and joined to what there was. No ids, no lateness, no indicators."""

    def __init__(self, symbols: int) -> None:
        self.ids, self.start, self.open = np.full(symbols, 1000), BEGIN + 25 * MINUTE, pl.DataFrame()
        self.shown = 0

    def __call__(self, batch: TickBatch) -> None:
        """Take the ticks in and make the changed bars."""
        price = pl.col("p")
        new = (
            pl.DataFrame({"s": batch.symbol, "at": batch.event_time, "p": batch.price, "q": batch.size})
            .group_by("s", pl.col("at") // MINUTE)
            .agg(o=price.first(), h=price.max(), l=price.min(), c=price.last(), v=pl.col("q").sum(), n=pl.len())
        )
        merged = pl.concat([self.open, new]).group_by("s", "at", maintain_order=True)
        aggregated = merged.agg(
            pl.col("o").first(), pl.col("h").max(), pl.col("l").min(), pl.col("c").last(), pl.col("v", "n").sum()
        )
        self.open = aggregated.filter(pl.col("at") == pl.col("at").max())
        self.shown += new.height


def paced(work: Callable[[TickBatch], None], batch: TickBatch, rate: float) -> tuple[Any, int]:
    """Latency of each tick (s) and the number of calls, when tick i is due i / rate seconds after the beginning."""
    latency, done, calls = np.empty(len(batch)), 0, 0
    parts = [batch.take(slice(i, i + 1)) for i in range(20)]
    for part in parts:
        work(part)
    began = time.perf_counter()
    done = len(parts)
    while done < len(batch):
        due = min(len(batch), len(parts) + int((time.perf_counter() - began) * rate))
        if due == done:
            continue
        work(batch.take(slice(done, due)))
        at = time.perf_counter() - began
        latency[done:due] = at - (np.arange(done, due) - len(parts)) / rate
        done, calls = due, calls + 1
    return latency[len(parts) :], calls


def measured(kind: Any, symbols: int, rate: float, seconds: float) -> dict[str, Any]:
    """The latencies of one engine at one rate."""
    work, count = kind(symbols), int(rate * seconds)
    start = work.start - round(seconds / 2 * 1e6) + MINUTE
    batch = ticks(count, symbols, start, 1e6 / rate, work.ids)
    before = work.shown
    latency, calls = paced(work, batch, rate)
    if work.shown - before < calls:
        raise Wrong(f"{work.shown - before} forming bars came out of {calls} calls")
    return {**quantiles(latency), "ticks_a_call": round(count / calls, 1)}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--rates", default="10000,100000")
    options.add_argument("--symbols", default="100,1000")
    given = options.parse_args()
    found = []
    for symbols in map(int, given.symbols.split(",")):
        for rate in map(float, given.rates.split(",")):
            measured(Ours, symbols, rate, 0.2)  # kernels are loaded before anything is measured
            row = {"ticks_per_s": int(rate), "symbols": symbols, "engine": measured(Ours, symbols, rate, given.seconds)}
            found.append({**row, "polars": measured(Peer, symbols, rate, min(given.seconds, PEER_SECONDS))})
    show({"latency": found})


if __name__ == "__main__":
    main()
