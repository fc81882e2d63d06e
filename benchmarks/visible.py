"""Tick received to visible: on the WebSocket, and to a SELECT of another connection; on servers and in a folder. Prints JSON.

    python -m benchmarks.visible [--rates 1000 10000 50000] [--symbols 100] [--seconds 15] [--where folder servers]

Exchange, `tickhouse up` and the one who looks are processes that share the machine; it looks at one thing at a time. `servers` has
its journal on Kafka, its warm store on PostgreSQL, its hot store on Redis, its lake on S3, those of TICKHOUSE_TEST_*; `folder` is
the default. `websocket` is the age of a bar's newest tick when a client hears of the bar. `warm` asks the store over and over how
far it is: the position is written with the bars, in one transaction, at once when any bar closes and else once a second. So `every`
is the age of every tick when a SELECT first sees it taken in, and `newest` that of the newest tick of each write.
"""

import argparse
import asyncio
import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.live import ages
from benchmarks.measure import (
    TICKHOUSE,
    Wrong,
    connected,
    exchange,
    free_port,
    heard,
    process,
    quantiles,
    settings_file,
    show,
)
from tickhouse.core.plugins import open_url

VARIABLES = {"journal": "KAFKA", "warm": "POSTGRES", "hot": "REDIS", "lake": "S3"}
GROUP = "process"
AT_A_TIME = 65_536
PAUSE = 0.0005
"""Seconds between two looks."""
Seen = list[tuple[float, int]]
"""When a position was first seen (s), and which."""


def lacking() -> list[str]:
    """The variables that name no server."""
    names = (f"TICKHOUSE_TEST_{name}" for name in VARIABLES.values())
    return [name for name in names if not os.environ.get(name)]


@contextmanager
def servers() -> Iterator[dict[str, str]]:
    """A place on each of the servers, empty, and removed afterwards: its URL by the part of a house."""
    from benchmarks.kafka import place
    from benchmarks.postgres import database
    from benchmarks.s3 import address, emptied
    from tickhouse.lake.s3 import open as open_s3
    from tickhouse.stores import redis

    at = {part: os.environ[f"TICKHOUSE_TEST_{name}"] for part, name in VARIABLES.items()}
    name = f"bench-{secrets.token_hex(4)}"
    journal, lake, hot = f"kafka://{at['journal']}/{name}", address(at["lake"], name), f"{at['hot']}?prefix={name}"
    with ExitStack() as stack:
        where = place(journal)
        stack.callback(deleted, where)
        stack.callback(lambda: emptied(open_s3(lake)))
        newest = stack.enter_context(closing(redis.open(hot)))
        client = stack.enter_context(closing(newest.address.connect()))
        stack.callback(lambda: [client.delete(key) for key in client.scan_iter(f"{name}:*")])
        yield {"journal": journal, "warm": stack.enter_context(database(at["warm"])), "hot": hot, "lake": lake}


def deleted(where: Any) -> None:
    """Delete the topics of a place."""
    from benchmarks.kafka import topics

    with where.admin() as admin:
        topics.delete(admin, where)


@contextmanager
def folder() -> Iterator[dict[str, str]]:
    """A house as it is by default."""
    yield {}


PLACES = {"folder": folder, "servers": servers}


def session(urls: Mapping[str, str], rate: float, symbols: int, seconds: float, warm: float) -> dict[str, Any]:
    """One run at one rate. Raises `Wrong` when the ledger does not balance."""
    with tempfile.TemporaryDirectory() as where, exchange(rate, symbols, 3 * seconds + warm + 120) as market:
        port, house = free_port(), Path(where) / "house"
        sections = "".join(f"[{part}]\nurl = {json.dumps(url)}\n" for part, url in urls.items())
        config = settings_file(Path(where), market, port, sections)
        with process(*TICKHOUSE, "up", "--config", str(config), "--json") as up:
            found, messages = asyncio.run(
                listened(f"ws://127.0.0.1:{port}/v1/stream?topics=bars&interval=1m", warm, seconds)
            )
            looked = looks(urls.get("warm", f"sqlite:///{house}/warm.db"), seconds)
            up.terminate()
            said = up.stdout.read() if up.stdout else b""
        summary = json.loads(said)
        if not summary["ledger"]["binance"]["balanced"]:
            raise Wrong(f"the ledger does not balance: {summary['ledger']}")
        every, newest = stored(urls.get("journal", f"sqlite:///{house}/journal.db"), looked[0])
    return {
        "wanted_per_s": rate, "ticks_per_s": round(summary["ticks_per_second"]), "symbols": symbols,
        "websocket": {**quantiles(found), "bars": len(found), "messages": messages},
        "warm": {"every": quantiles(every), "newest": quantiles(newest), "ticks": len(every), "writes": len(newest),
                 "looked_every": quantiles(looked[1])},
    }  # fmt: skip


async def listened(url: str, warm: float, seconds: float) -> tuple[list[float], int]:
    """The ages of bars that a client hears of in a time, and how many messages these were."""
    stream = await connected(url)
    try:
        await heard(stream, warm)
        messages = await heard(stream, seconds)
    finally:
        stream.transport.abort()
    return ages(messages)[0], len(messages)


def looks(url: str, seconds: float) -> tuple[Seen, list[float]]:
    """Every position that a connection of its own sees in a time, and the time between two looks."""
    seen, times = list[tuple[float, int]](), list[float]()
    with closing(open_url("stores", url, upgrade=False)) as store:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            position = store.position(GROUP)
            now = time.time()
            times.append(now)
            if position is not None and (not seen or position > seen[-1][1]):
                seen.append((now, position))
            time.sleep(PAUSE)
    if len(seen) < 2:
        raise Wrong("the store did not move while it was looked at")
    return seen, [b - a for a, b in pairwise(times)]


def stored(url: str, seen: Seen) -> tuple[list[float], list[float]]:
    """The age of every tick when it was first seen, and of the newest tick of each position that was seen."""
    first, end = seen[0][1], seen[-1][1]
    received = np.zeros(end - first, np.int64)
    with closing(open_url("journal", url)) as journal:
        position = first
        while position < end and (records := journal.read("ticks", position, AT_A_TIME)):
            for record in records:
                if record.ticks is not None:
                    at = record.ticks.raw - first
                    inside = (at >= 0) & (at < len(received))
                    received[at[inside]] = record.ticks.received_at[inside]
            position = records[-1].end
    every, newest = list[float](), list[float]()
    for (_, before), (when, after) in pairwise(seen):
        part = received[before - first : after - first]
        told = when - part[part > 0] / 1e6
        every += told.tolist()
        newest += told[-1:].tolist()
    return every, newest


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rates", type=float, nargs="*", default=[1_000, 10_000, 50_000])
    options.add_argument("--symbols", type=int, default=100)
    options.add_argument("--seconds", type=float, default=15.0, help="for which each of the two is looked at")
    options.add_argument("--warm", type=float, default=8.0, help="seconds before the measuring")
    options.add_argument("--where", nargs="*", choices=PLACES, default=list(PLACES))
    given = options.parse_args()
    figures: dict[str, Any] = {}
    for name in given.where:
        if name == "servers" and (names := lacking()):
            figures[name] = f"not measured: {', '.join(names)} is not set; `make services` starts them"
            continue
        figures[name] = []
        for rate in given.rates:
            with PLACES[name]() as urls:
                figures[name].append(session(urls, rate, given.symbols, given.seconds, given.warm))
    show(figures)


if __name__ == "__main__":
    main()
