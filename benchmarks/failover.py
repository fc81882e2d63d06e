"""From the fault of a feed to the first price of the next one, on loopback with the real thing. Prints JSON.

    python -m benchmarks.failover [--runs 3]

`tickhouse up` follows a simulated exchange, BTC-USDT and ETH-USDT by a group of Binance and Finnhub; Binance is reached through a
gate that is shut (every connection breaks) or hushed (connections stay open and say nothing). Measured is what a WebSocket
client sees: from the fault to the first price whose source is Finnhub, and from the gate's opening to the first of Binance. What
settings ask for is taken off: `beyond` is the time above `switch_after` (hushed: and above `stale_after`).
"""

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import websockets

from benchmarks.gate import Gate, gate
from benchmarks.measure import LEAN, Wrong, connected, exchange, free_port, process, show

SWITCH, RETURN, STALE = 2.0, 3.0, 3.0
PATIENCE = 120.0
SETTINGS = """
data = "{data}"
[serve]
port = {port}
[feeds.binance]
symbols = {symbols}
url = "http://127.0.0.1:{gate}"
ws_url = "ws://127.0.0.1:{gate}"
[feeds.finnhub]
channel = "trade"
key = "simulated00simulated00simulated0"
url = "{url}/finnhub"
ws_url = "{ws_url}/finnhub"
[groups.majors]
symbols = {symbols}
feeds = ["binance", "finnhub"]
switch_after = "{switch}s"
return_after = "{back}s"
stale_after = "{stale}s"
"""


async def until_from(stream: websockets.ClientConnection, source: str) -> None:
    """Read until a price of this source comes."""
    wanted = f'"source":"{source}"'.encode()
    async with asyncio.timeout(PATIENCE):
        while wanted not in await stream.recv(decode=False):
            pass


async def one(port: int, way: Gate, fault: str) -> dict[str, float]:
    """Seconds of one fault and of what follows it."""
    stream = await connected(f"ws://127.0.0.1:{port}/v1/stream?topics=ticks")
    await until_from(stream, "binance")
    await asyncio.sleep(3)
    await drained(stream)
    began = time.perf_counter()
    way.shut() if fault == "shut" else way.hush()
    await until_from(stream, "finnhub")
    left = time.perf_counter() - began
    await asyncio.sleep(3)
    await drained(stream)
    began = time.perf_counter()
    way.open()
    await until_from(stream, "binance")
    back = time.perf_counter() - began
    stream.transport.abort()
    return {"to_the_next_s": left, "back_s": back, "beyond_s": left - SWITCH - (STALE if fault == "hush" else 0.0)}


async def drained(stream: websockets.ClientConnection) -> None:
    """Read what has come already."""
    try:
        async with asyncio.timeout(0.3):
            while True:
                await stream.recv(decode=False)
    except TimeoutError:
        return


def followed(fault: str) -> dict[str, float]:
    """One fault of a house of its own."""
    with (
        exchange(200, 2, 300) as market,
        gate(int(market["url"].rpartition(":")[2])) as way,
        TemporaryDirectory() as place,
    ):
        port, config = free_port(), Path(place) / "tickhouse.toml"
        config.write_text(
            SETTINGS.format(
                data=f"{place}/house", port=port, gate=way.port, symbols=json.dumps(market["symbols"]), switch=SWITCH,
                back=RETURN, stale=STALE, url=market["url"], ws_url=market["ws_url"],
            )
        )  # fmt: skip
        httpx.get(f"{market['url']}/finnhub/api/v1/quote", timeout=60)  # the dialect is made when it is first asked
        with process(*LEAN, "up", "--config", str(config), "--json"):
            return asyncio.run(one(port, way, fault))


def measured(fault: str, runs: int) -> dict[str, Any]:
    """The median of some runs."""
    found = [followed(fault) for _ in range(runs)]
    middle = {name: round(statistics.median(run[name] for run in found), 2) for name in found[0]}
    if middle["beyond_s"] < 0:
        raise Wrong(f"{fault}: another feed was taken {-middle['beyond_s']} s before the settings allow it")
    return {**middle, "worst_to_the_next_s": round(max(run["to_the_next_s"] for run in found), 2)}


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=3)
    runs = options.parse_args().runs
    asked = {"switch_after_s": SWITCH, "return_after_s": RETURN, "stale_after_s": STALE}
    show({"failover": {**asked, "shut": measured("shut", runs), "hushed": measured("hush", runs)}})


if __name__ == "__main__":
    main()
