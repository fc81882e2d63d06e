"""Ten thousand polled symbols, each asked for every minute: memory, processor time and length of a round. Prints JSON.

    python -m benchmarks.polled [--symbols 10000] [--seconds 130]

`tickhouse run ingest process archive` and the provider are a process each. The provider is the simulated FMP of a paid plan, which
answers for a hundred symbols at once; it knows 10,000 names, which share the prices of the instruments of a small market. A round
lasts from the first answer to the last as they are journaled, so the provider's own time is in it. Its processor time is that
of the house until the next round begins.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import LEAN, Wrong, process, rss_mib, show
from tickhouse.core.clock import SECOND, SystemClock
from tickhouse.core.settings import load
from tickhouse.exchange.floor import Floor
from tickhouse.exchange.fmp import Fmp
from tickhouse.exchange.market import Market
from tickhouse.exchange.server import Exchange
from tickhouse.exchange.snapshots import Snapshot
from tickhouse.exchange.terms import Terms
from tickhouse.pipeline import Pipeline

INSTRUMENTS, PAUSE, CHANNEL = 60, 20 * SECOND, "batch_quote"
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
SETTINGS = """
data = "{data}"
[feeds.fmp]
key = "simulated00simulated00simulated0"
market = "crypto"
per_day = 0
every = "60s"
url = "{url}"
options = {{ batch = "yes" }}
symbols = {symbols}
"""


class Many(Fmp):
    """FMP with any number of names for a few instruments, whose prices it looks up once a second."""

    TERMS = Terms(plan="paid")

    def use(self, world: Any) -> None:
        """Speak of this world."""
        super().use(world)
        names = [one.name for one in self.chronicle.history.instruments if one.market == "crypto"]
        kept = lru_cache(4 * INSTRUMENTS)(lambda name, _: super(Many, self).snapshot(name))
        self._kept = lambda symbol: kept(names[zlib.crc32(symbol.encode()) % len(names)], self.now() // SECOND)

    def snapshot(self, symbol: str) -> Snapshot | None:
        """That of the instrument behind a name."""
        return self._kept(symbol)


async def serve(seconds: float) -> None:
    """Be the provider until told to stop, or for a time."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.call_later(seconds, stop.set)
    market = Market(7, INSTRUMENTS, 200.0, 60.0, Floor(7))
    async with Exchange(market, SystemClock(), dialect=Many()) as exchange:
        for one in exchange.history.instruments:
            exchange.dialects.root.snapshot(one.name)  # type: ignore[attr-defined]
        print(json.dumps({"url": exchange.url}), flush=True)
        await stop.wait()


def cpu_s(pid: int) -> float:
    """Processor seconds of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def watched(pid: int, seconds: float) -> list[tuple[int, float, float]]:
    """Moment (us), processor seconds and resident MiB of a process, twice a second."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        found.append((time.time_ns() // 1000, cpu_s(pid), rss_mib(pid)[0]))
        time.sleep(0.5)
    return found


def journaled(config: Path) -> tuple[list[list[int]], int]:
    """The receipts of the answers (us), round by round, and how many symbols had a price."""
    pipeline = Pipeline(load(config), SystemClock())
    try:
        records = list(pipeline.journal.read("raw", 0, 1 << 30))
        raws = [one.raw for one in records if one.raw is not None and one.channel == CHANNEL]
        times = sorted(int(at) for raw in raws for at in raw.received_at)
        symbols = {row["symbol"] for raw in raws for text in raw.payloads() for row in json.loads(text)}
    finally:
        pipeline.close()
    cuts = np.flatnonzero(np.diff(times) > PAUSE) + 1
    return [part.tolist() for part in np.split(np.array(times), cuts)], len(symbols)


def told(rounds: list[list[int]], samples: list[tuple[int, float, float]]) -> list[dict[str, float]]:
    """Every round that was followed by another one: how long it took, and what of the processor until the next began."""
    moments, cpu = np.array([row[0] for row in samples]), np.array([row[1] for row in samples])
    starts = [times[0] for times in rounds]
    spent = np.diff(np.interp(starts, moments, cpu))
    return [
        {"answers": len(times), "round_s": round((times[-1] - times[0]) / SECOND, 2), "cpu_s": round(float(one), 2)}
        for times, one in zip(rounds, spent, strict=False)
    ]


def measured(symbols: int, seconds: float, place: Path) -> dict[str, Any]:
    """The figures of one house. Raises `Wrong` when a symbol had no price."""
    names = [f"S{number:05}" for number in range(symbols)]
    with process(sys.executable, "-m", "benchmarks.polled", "--serve", str(seconds + 120)) as provider:
        assert provider.stdout is not None
        url = json.loads(provider.stdout.readline())["url"]
        config = place / "tickhouse.toml"
        config.write_text(SETTINGS.format(data=place / "house", url=url, symbols=json.dumps(names)))
        with process(*LEAN, "run", "ingest", "process", "archive", "--config", str(config), "--json") as house:
            samples = watched(house.pid, seconds)
    rounds, priced = journaled(config)
    if priced != symbols or len(rounds) < 2:
        raise Wrong(f"{priced} of {symbols} symbols had a price, in {len(rounds)} rounds")
    return {
        "symbols": symbols, "symbols_with_a_price": priced, "seconds": seconds, "rounds": told(rounds, samples),
        "peak_rss_mib": round(max(row[2] for row in samples), 1), "last_rss_mib": round(samples[-1][2], 1),
        "cpu_s_in_all": round(samples[-1][1], 2),
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--symbols", type=int, default=10_000)
    options.add_argument("--seconds", type=float, default=130.0)
    options.add_argument("--serve", type=float, default=0.0, help="be the provider for so many seconds")
    given = options.parse_args()
    if given.serve:
        asyncio.run(serve(given.serve))
        return
    with tempfile.TemporaryDirectory() as place:
        show({"polled": measured(given.symbols, given.seconds, Path(place))})


if __name__ == "__main__":
    main()
