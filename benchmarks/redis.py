"""The hot store on Redis: writes beside bare pipelining of the same values, and from the socket to visible in Redis. Prints JSON.

    python -m benchmarks.redis [--values 200000] [--rates 1000 10000] [--symbols 100] [--seconds 15]

A server of its own is started, with its file on. `writes`: the same hashes, batch after batch, by `RedisHot` (which compares inside
the server and keeps the list of keys) and by a redis-py pipeline of HSET and PEXPIRE (which does neither), turn by turn; redis-py's
pipeline takes 500 values at a time, as the store does. `visible`: exchange and pipeline are processes; the age of a
tick, from its receipt at the socket, when a reader that asks all the time first sees it in Redis. Journaling is in it.
"""

import argparse
import json
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from tools.services.redis import Redis as Server

from benchmarks.measure import TICKHOUSE, Wrong, exchange, free_port, process, quantiles, settings_file, show
from benchmarks.stores import bars
from tickhouse.core.batches import BarBatch, TickBatch
from tickhouse.stores import redis

BEGIN = 1_767_225_600_000_000
AT_ONCE = 500
KEPT_MS = 7 * 86_400_000
SERIES = 5000


def ticks(number: int, series: int) -> TickBatch:
    """One tick of each symbol."""
    n = np.arange(series)
    time_ = np.full(series, BEGIN + number * 1000)
    price = 100.0 + (n * 31 + number) % 977 / 7
    symbols = [f"SYM{i:05d}" for i in range(series)]
    return TickBatch("binance", "live", symbols, n.astype(np.int32), time_, time_ + 900, price, price / 3, n, n, n)


def hashes(batch: TickBatch | BarBatch) -> list[tuple[str, dict[str, Any]]]:
    """What a batch is in Redis, as a client of its own would write it."""
    if isinstance(batch, TickBatch):
        names = ("price", "size", "event_time", "received_at")
        columns = [getattr(batch, name).tolist() for name in names]
        return [
            (f"bare:price:{s}:binance", {"symbol": s, "source": "binance", **dict(zip(names, row, strict=True))})
            for s, *row in zip(batch.symbols, *columns, strict=True)
        ]
    named = batch.columns()
    rows = [dict(zip(named, row, strict=True)) for row in zip(*named.values(), strict=True)]
    return [(f"bare:bar:{row['symbol']}:{row['interval']}:binance", row) for row in rows]


def bare(client: Any, batch: TickBatch | BarBatch) -> None:
    """Write a batch with a pipeline."""
    rows = hashes(batch)
    for at in range(0, len(rows), AT_ONCE):
        pipeline = client.pipeline(transaction=False)
        for key, values in rows[at : at + AT_ONCE]:
            pipeline.hset(key, mapping=values)
            pipeline.pexpire(key, KEPT_MS)
        pipeline.execute()


def store(hot: redis.RedisHot, batch: TickBatch | BarBatch) -> None:
    """Write a batch with the store, and wait until Redis has it."""
    (hot.ticks if isinstance(batch, TickBatch) else hot.bars)(batch)  # type: ignore[arg-type]
    if not hot.flush(30):
        raise Wrong("Redis did not take what was written")


def writes(server: Server, batches: list[Any]) -> dict[str, Any]:
    """Values a second, both ways, in turn."""
    hot = redis.open(f"{server.url}?prefix=bench")
    client = hot.address.connect()
    spent = [0.0, 0.0]
    for batch in batches:
        for way, write in enumerate((lambda b: store(hot, b), lambda b: bare(client, b))):
            began = time.perf_counter()
            write(batch)
            spent[way] += time.perf_counter() - began
    count = sum(map(len, batches))
    if client.zcard("bench:prices") + client.zcard("bench:bars") != SERIES:
        raise Wrong("not every series is in Redis")
    client.flushall()
    hot.close()
    client.close()
    rates = [round(count / seconds) for seconds in spent]
    return {
        "values": count,
        "store_per_s": rates[0],
        "pipelining_per_s": rates[1],
        "ratio": round(rates[0] / rates[1], 2),
    }


def visible(server: Server, rate: float, symbols: int, seconds: float) -> dict[str, Any]:
    """The age of ticks when they are first seen, at one rate."""
    with tempfile.TemporaryDirectory() as place, exchange(rate, symbols, seconds + 90) as market:
        url = f"{server.url}?prefix=live{rate:g}"
        config = settings_file(Path(place), market, free_port(), f'[hot]\nurl = "{url}"')
        hot = redis.open(url)
        client, prefix = hot.address.connect(), hot.address.prefix
        with process(*TICKHOUSE, "run", "ingest", "process", "--config", str(config), "--json") as run:
            until = time.monotonic() + 60
            while client.zcard(f"{prefix}:prices") < min(symbols, 20):
                if time.monotonic() > until:
                    raise Wrong("nothing came to Redis")
                time.sleep(0.05)
            time.sleep(5)
            ages, gaps = seen(client, [f"{prefix}:price:{s}:binance" for s in market["symbols"][:20]], seconds)
            run.terminate()
            said = run.stdout.read() if run.stdout else b""
        hot.close()
        client.close()
    processed = round(json.loads(said)["ticks_per_second"])
    shown = {"wanted_per_s": rate, "ticks_per_s": processed, "symbols": symbols, "seen": len(ages)}
    return {**shown, **quantiles(ages), "looked_every": quantiles(gaps)}


def seen(client: Any, keys: list[str], seconds: float) -> tuple[list[float], list[float]]:
    """Age in seconds of every value that is new, and the time between two looks."""
    last, ages, looks = dict.fromkeys(keys, b""), [], []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pipeline = client.pipeline(transaction=False)
        for key in keys:
            pipeline.hget(key, "received_at")
        found = pipeline.execute()
        now = time.time()
        looks.append(now)
        for key, value in zip(keys, found, strict=True):
            if value and value != last[key]:
                if last[key]:
                    ages.append(now - int(value) / 1e6)
                last[key] = value
        time.sleep(0.0005)
    return ages, [b - a for a, b in pairwise(looks)]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--values", type=int, default=200_000)
    options.add_argument("--rates", type=float, nargs="*", default=[1_000, 10_000])
    options.add_argument("--symbols", type=int, default=100)
    options.add_argument("--seconds", type=float, default=15)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        server = Server(Path(place) / "redis")
        server.start()
        try:
            count = given.values // SERIES
            found: dict[str, Any] = {
                "prices": writes(server, [ticks(number, SERIES) for number in range(count)]),
                "bars": writes(server, [bars(number * SERIES, SERIES, SERIES) for number in range(count // 4)]),
                "visible": [visible(server, rate, given.symbols, given.seconds) for rate in given.rates],
            }
        finally:
            server.remove()
    show(found)


if __name__ == "__main__":
    main()
