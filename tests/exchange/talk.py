"""What the tests of the exchange share: a served market with a clock moved by hand, and ways to listen to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tickhouse.core.clock import ManualClock
from tickhouse.exchange import Instrument, Play, Trades
from tickhouse.exchange.faults import Faults
from tickhouse.exchange.limits import Limits
from tickhouse.exchange.market import Market
from tickhouse.exchange.server import Exchange

IDLE = 0.08
EASY = Limits(messages_a_second=1000, ping_every=1e9, lifetime=1e9)
START = 1_767_225_600_000_000


class Script:
    """A source of given trades: rows of (code, id, price, quantity, ms after the start, maker, order), one block."""

    waits = False

    def __init__(self, rows: list[tuple[int, ...]], instruments: list[Instrument] | None = None) -> None:
        self.instruments = instruments or [
            Instrument("BTCUSDT", "BTC", "USDT", 2, 5, 6_000_000),
            Instrument("ETHUSDT", "ETH", "USDT", 2, 4, 300_000),
        ]
        self._columns = np.array(rows, np.int64).reshape(-1, 7).T

    def play(self, now: int) -> Play:
        code, id_, price, quantity, time, maker, order = self._columns
        trades = Trades(code, id_, price, quantity, now + time * 1000, maker > 0, order)
        return Play(iter([trades] if len(trades) else []), now)

    def past(self, code: int) -> None:
        return None

    def about(self) -> dict[str, object]:
        return {"source": "script"}


@asynccontextmanager
async def served(
    source: Any = None, clock: Any = None, faults: Faults | None = None, limits: Limits = EASY, **more: Any
) -> AsyncIterator[Exchange]:
    """A running exchange; 8 symbols and 200 trades a second unless another source is given."""
    clock = clock or ManualClock(START)
    async with Exchange(
        source or Market(seed=3, symbols=8, rate=200), clock, faults or Faults(), limits=limits, **more
    ) as exchange:
        yield exchange


def streams(exchange: Exchange, topic: str = "trade", count: int | None = None) -> str:
    """The address of a combined stream of the first symbols."""
    names = [f"{one.symbol.lower()}@{topic}" for one in exchange.history.instruments[:count]]
    return f"{exchange.ws_url}/stream?streams={'/'.join(names)}"


def dial(url: str, **more: Any) -> Any:
    """A client that takes everything."""
    return connect(url, compression=None, max_queue=None, ping_interval=None, close_timeout=0.2, **more)


async def hear(ws: ClientConnection, idle: float = IDLE) -> list[bytes]:
    """Every message until there is none for a while, or the connection ends.

    Twice in a row, since one pause may be this process waiting for its turn on a busy machine.
    """
    found, pauses = [], 0
    while pauses < 2:
        try:
            found.append(await asyncio.wait_for(ws.recv(decode=False), idle / 2))
            pauses = 0
        except TimeoutError:
            pauses += 1
        except ConnectionClosed:
            break
    return found


async def ask(exchange: Exchange, path: str, **params: Any) -> httpx.Response:
    """One request of its own."""
    async with httpx.AsyncClient(base_url=exchange.url, timeout=10, verify=False) as http:
        return await http.get(path, params=params)


async def tell(exchange: Exchange, path: str, **body: Any) -> httpx.Response:
    """One POST to the control."""
    async with httpx.AsyncClient(base_url=exchange.url, timeout=10, verify=False) as http:
        return await http.post(f"/_control/{path}", json=body)


def data(frame: bytes) -> dict[str, Any]:
    """The payload of a combined or raw frame."""
    value = json.loads(frame)
    return value.get("data", value)


def shape(value: Any) -> Any:
    """Keys in order and the types of values; a decimal text is told from another text, with its places."""
    if isinstance(value, dict):
        return [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [shape(item) for item in value]
    if isinstance(value, str) and value.replace(".", "", 1).isdigit() and "." in value:
        return f"decimal {len(value.partition('.')[2])}"
    return type(value).__name__


def one_shape(values: list[Any]) -> Any:
    """The shape that all the values have."""
    shapes = [shape(value) for value in values]
    assert all(each == shapes[0] for each in shapes)
    return shapes[0]


async def passed(exchange: Exchange, clock: ManualClock, seconds: float) -> None:
    """Move the clock, and wait until everything due is out."""
    clock.move(seconds)
    await until(lambda: exchange.pump.timeline and exchange.history.visible >= exchange.pump.timeline.now())


async def until(condition: Any, seconds: float = 5.0) -> None:
    """Wait until something holds; fails when it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
