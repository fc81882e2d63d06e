"""Compile every kernel once, so that the first real run starts at once: `python -m tickhouse.targets.rehearse`.

A few hundred made-up trades go through the whole pipeline in a folder that is thrown away.
"""

import sys
import tempfile
import time
from pathlib import Path

from tickhouse.core.batches import RawBatch
from tickhouse.core.model import Query
from tickhouse.core.settings import load
from tickhouse.pipeline import Pipeline

MINUTE_MS = 60_000
BEGAN_MS = 1_767_225_600_000


def message(number: int) -> bytes:
    """One made-up trade in Binance's words; every third is wrapped as on a combined stream."""
    at = BEGAN_MS + number * MINUTE_MS // 4
    trade = b'{"e":"trade","E":%d,"s":"BTCUSDT","t":%d,"p":"%d.50000000","q":"0.10000000","T":%d,"m":true,"M":true}'
    made = trade % (at, 1000 + number, 60_000 + number % 50, at)
    return b'{"stream":"btcusdt@trade","data":%b}' % made if number % 3 == 0 else made


def rehearse(folder: Path, trades: int = 400) -> int:
    """Run the trades through a pipeline in `folder`; returns how many bars it made."""
    pipeline = Pipeline(load(None, folder))
    try:
        ingest, process, archive = pipeline.ingest(), pipeline.process(), pipeline.archive()
        messages = [message(n) for n in range(trades)]
        messages[50], messages[60] = messages[61], b"not a trade"
        times = [1000 * (BEGAN_MS + n * MINUTE_MS // 4) for n in range(trades)]
        for cut in range(0, trades, 100):
            ingest.take([RawBatch.of("binance", "trade", messages[cut : cut + 100], times[cut : cut + 100])])
            process.step(0)
        process.catch_up()
        archive.catch_up()
        return int(pipeline.warm.bars(Query(("BTC-USDT",))).num_rows)
    finally:
        pipeline.close()


def main() -> None:
    """Compile, and say how long it took."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tickhouse-rehearsal-") as folder:
        rehearse(Path(folder))
    sys.stdout.write(f"kernels compiled in {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
