"""Cold starts: `import tickhouse` and `tickhouse --help` beside bare Python, and `up` to its first bar. Prints JSON.

    python -m benchmarks.start [--runs 7]

The commands are run in turn; each figure is the median. `up` follows a simulated exchange (50 symbols, 500 trades a
second) that is there already, and its first bar is the first forming one that a WebSocket client hears; kernels come
from the cache that `make setup` fills.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import LEAN, TICKHOUSE, Wrong, connected, exchange, free_port, process, ran, settings_file, show

COMMANDS = {
    "python": (sys.executable, "-c", "pass"),
    "import_tickhouse": (sys.executable, "-c", "import tickhouse"),
    "import_polars": (sys.executable, "-c", "import polars"),
    "help": (*TICKHOUSE, "--help"),
    "version": (*TICKHOUSE, "status", "--help"),
}
PATIENCE = 60.0


async def first_bar(port: int) -> None:
    """Wait until a client of the stream hears a bar."""
    stream = await connected(f"ws://127.0.0.1:{port}/v1/stream?topics=bars")
    async with asyncio.timeout(PATIENCE):
        while b'"bars":[{' not in await stream.recv(decode=False):
            pass
    stream.transport.abort()


def up(runs: int) -> list[float]:
    """Seconds from the start of `tickhouse up` to its first bar."""
    found = []
    with exchange(500, 50, 600) as market:
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as place:
                port = free_port()
                config = settings_file(Path(place), market, port)
                began = time.perf_counter()
                with process(*LEAN, "up", "--config", str(config), "--json"):
                    asyncio.run(first_bar(port))
                    found.append(time.perf_counter() - began)
    return found


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=7)
    runs = options.parse_args().runs
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, command in COMMANDS.items():
            times[name].append(ran(*command)[0])
    middle = {f"{name}_ms": round(statistics.median(took) * 1e3, 1) for name, took in times.items()}
    extra: Any = round(middle["import_tickhouse_ms"] - middle["python_ms"], 1)
    if extra > 150 and min(times["import_tickhouse"]) - min(times["python"]) > 0.15:
        raise Wrong(f"import tickhouse takes {extra} ms more than bare Python; 150 ms are allowed")
    bars = up(max(1, runs // 3))
    show({**middle, "import_beyond_python_ms": extra, "up_to_first_bar_s": [round(s, 2) for s in bars]})


if __name__ == "__main__":
    main()
