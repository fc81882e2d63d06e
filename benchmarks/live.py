"""From the socket to a bar on the WebSocket: exchange, `tickhouse up` and one client, each a process of its own. Prints JSON.

    python -m benchmarks.live [--rate 10000] [--symbols 1000] [--seconds 30]

All three share the processors of the machine. The client hears all symbols, notes when each message came, and decodes afterwards.
`received_to_bar` is from the receipt of a bar's newest tick at the socket (its known_at) to the receipt of the forming bar by the
client; `sent_to_bar` from the time of the trade, which the exchange stamps (in whole ms) when it is due. `quiet` is the same at a
hundredth of the rate, in the same run: what is the pipeline, and what is the crowd. Memory is that of `up`, second by second.
"""

import argparse
import asyncio
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.measure import (
    LEAN,
    Wrong,
    connected,
    exchange,
    free_port,
    heard,
    process,
    quantiles,
    rss_mib,
    settings_file,
    show,
)
from tickhouse.core.times import instant

QUIET_SECONDS = 8.0


class Row(msgspec.Struct):
    """What is looked at of a row of the stream."""

    symbol: str
    state: str = ""
    known_at: str = ""
    event_time: str = ""


class Told(msgspec.Struct):
    """A message of the stream."""

    type: str
    bars: list[Row] = []
    ticks: list[Row] = []


def ages(messages: list[tuple[int, bytes]]) -> tuple[list[float], list[float]]:
    """Seconds from receipt to bar and from trade to bar, of every forming bar heard."""
    received, sent = [], []
    decode = msgspec.json.Decoder(Told).decode
    for at, text in messages:
        told = decode(text)
        if told.type != "changes":
            continue
        newest = {row.symbol: row.event_time for row in told.ticks}
        for row in told.bars:
            if row.state == "forming":
                received.append((at - instant(row.known_at, 0)) / 1e6)
                if row.symbol in newest:
                    sent.append((at - instant(newest[row.symbol], 0)) / 1e6)
    return received, sent


async def watched(
    pid: int, url: str, warm: float, seconds: float
) -> tuple[list[tuple[int, bytes]], list[tuple[float, float]]]:
    """The messages of a time, after a time to get warm, and the memory of the process second by second."""
    stream = await connected(url)
    memory: list[tuple[float, float]] = []

    async def sample() -> None:
        while True:
            memory.append(rss_mib(pid))
            await asyncio.sleep(1.0)

    sampler = asyncio.create_task(sample())
    try:
        await heard(stream, warm)
        found = await heard(stream, seconds)
    finally:
        sampler.cancel()
        stream.transport.abort()
    return found, memory


def session(rate: float, symbols: int, seconds: float, warm: float) -> dict[str, Any]:
    """One run at one rate."""
    with tempfile.TemporaryDirectory() as place, exchange(rate, symbols, seconds + warm + 120) as market:
        port = free_port()
        config = settings_file(Path(place), market, port)
        with process(*LEAN, "up", "--config", str(config), "--json") as up:
            url = f"ws://127.0.0.1:{port}/v1/stream?topics=bars,ticks&interval=1m"
            began = resource.getrusage(resource.RUSAGE_SELF)
            messages, memory = asyncio.run(watched(up.pid, url, warm, seconds))
            used = resource.getrusage(resource.RUSAGE_SELF)
            cpu = _cpu(up.pid)
            up.terminate()
            said = up.stdout.read() if up.stdout else b""
    summary = json.loads(said)
    ledger = summary["ledger"]["binance"]
    if not ledger["balanced"]:
        raise Wrong(f"the ledger does not balance: {ledger}")
    received, sent = ages(messages)
    whole, own = (list(column) for column in zip(*memory, strict=True))
    tail = whole[len(whole) // 2 :]
    slope = float(np.polyfit(np.arange(len(tail)) / 60, tail, 1)[0]) if len(tail) > 5 else 0.0
    client = used.ru_utime + used.ru_stime - began.ru_utime - began.ru_stime
    return {
        "ticks_per_s": round(summary["ticks_per_second"]), "symbols": symbols, "seconds": seconds,
        "bars_heard": len(received), "messages": len(messages),
        "received_to_bar": quantiles(received), "sent_to_bar": quantiles(sent), "inside": summary["lag_ms"],
        "up_cpu_s": cpu, "client_cpu_s": round(client, 1),
        "rss_mib": {"first": round(whole[0]), "last": round(whole[-1]), "most": round(max(whole)), "own": round(own[-1]),
                    "second_half_mib_per_minute": round(slope, 2)},
    }  # fmt: skip


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return round((int(fields[11]) + int(fields[12])) / 100, 1)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rate", type=float, default=10_000)
    options.add_argument("--symbols", type=int, default=1000)
    options.add_argument("--seconds", type=float, default=30.0)
    options.add_argument("--warm", type=float, default=10.0, help="seconds before the measuring")
    options.add_argument("--once", action="store_true", help="without the quiet session, to watch memory for long")
    given = options.parse_args()
    began = time.monotonic()
    busy = session(given.rate, given.symbols, given.seconds, given.warm)
    found = {"busy": busy}
    if not given.once:
        found["quiet"] = session(given.rate / 100, given.symbols, min(QUIET_SECONDS, given.seconds), given.warm)
    show({**found, "took_s": round(time.monotonic() - began, 1)})


if __name__ == "__main__":
    main()
