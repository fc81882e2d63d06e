"""The API: a day of 1m bars of one symbol over HTTP, beside the same question to bare sqlite3 and json. Prints JSON.

    python -m benchmarks.api [--symbols 50] [--requests 400]

A house with a day of closed 1m bars of all symbols is served by `tickhouse run serve` in a process of its own; one
client asks for one symbol after the other (`?interval=1m&last=24h&limit=10000`, 1,440 bars) over one connection. The
peer has the file open in this process.
"""

import argparse
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from benchmarks.measure import TICKHOUSE, Wrong, free_port, process, quantiles, show
from benchmarks.stores import bars
from tickhouse.core.batches import Output
from tickhouse.core.model import BAR
from tickhouse.core.settings import load
from tickhouse.pipeline import Pipeline

DAY = 1440
COLUMNS = ", ".join(f'"{name}"' for name in BAR.names)
SELECT = f"SELECT {COLUMNS} FROM bars WHERE symbol = ? AND interval = '1m' ORDER BY start"  # noqa: S608 - our names


def house(folder: Path, symbols: int) -> Path:
    """A house with a day of bars; returns the file of its warm store."""
    pipeline = Pipeline(load(None, folder))
    step = symbols * 60
    for first in range(0, symbols * DAY, step):
        pipeline.warm.write("process", Output(first + step, (bars(first, step, symbols),)), None)
    pipeline.close()
    return folder / "warm.db"


def timed(ask: Callable[[str], int], symbols: int, requests: int) -> list[float]:
    """Seconds of each request. Raises `Wrong` when an answer has not all the bars."""
    found = []
    for number in range(requests):
        symbol = f"SYM{number % symbols:05d}"
        began = time.perf_counter()
        count = ask(symbol)
        found.append(time.perf_counter() - began)
        if count != DAY:
            raise Wrong(f"{count} bars of {symbol} came, not {DAY}")
    return found


def over_http(port: int, symbols: int, requests: int, form: str) -> list[float]:
    """The API's times, in one format, after a few requests to get warm."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Accept": form}, timeout=30) as client:
        _ready(client)

        def ask(symbol: str) -> int:
            answer = client.get(f"/v1/bars/{symbol}", params={"interval": "1m", "last": "24h", "limit": 10_000})
            answer.raise_for_status()
            text = answer.content
            return text.count(b'"known_at"') if "json" in form else text.count(b"\n") - 1

        timed(ask, symbols, 20)
        return timed(ask, symbols, requests)


def _ready(client: httpx.Client) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            client.get("/v1/health").raise_for_status()
            return
        except (httpx.TransportError, httpx.HTTPStatusError):
            time.sleep(0.05)
    raise Wrong("the API did not answer within a minute")


def bare(path: Path) -> Callable[[str], int]:
    """The same question to the file, answered as JSON."""
    connection = sqlite3.connect(path)

    def ask(symbol: str) -> int:
        rows = [dict(zip(BAR.names, row, strict=True)) for row in connection.execute(SELECT, (symbol,))]
        return json.dumps(rows).count('"known_at"')

    return ask


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--symbols", type=int, default=50)
    options.add_argument("--requests", type=int, default=400)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        path = house(Path(place) / "house", given.symbols)
        port = free_port()
        config = Path(place) / "tickhouse.toml"
        config.write_text(f"data = {json.dumps(str(path.parent))}\n[serve]\nport = {port}\n")
        found: dict[str, Any] = {"symbols": given.symbols, "bars_an_answer": DAY, "requests": given.requests}
        with process(*TICKHOUSE, "run", "serve", "--config", str(config)):
            found["json"] = quantiles(over_http(port, given.symbols, given.requests, "application/json"))
            found["csv"] = quantiles(over_http(port, given.symbols, given.requests, "text/csv"))
        ask = bare(path)
        timed(ask, given.symbols, 20)
        found["bare_sqlite3_and_json"] = quantiles(timed(ask, given.symbols, given.requests))
    show(found)


if __name__ == "__main__":
    main()
