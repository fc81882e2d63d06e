"""A feed that asks the exchange over real HTTP and sockets, and what both say of it afterwards."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.exchange.talk import EASY, served
from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.clock import ManualClock
from tickhouse.core.inbox import Inbox
from tickhouse.core.line import LineOptions
from tickhouse.core.marks import LINK
from tickhouse.core.model import Kind, Want, interval_text
from tickhouse.core.plugins import load
from tickhouse.core.requests import Answer, Request
from tickhouse.core.retry import Retry
from tickhouse.core.secrets import Secret
from tickhouse.core.transport import Transport, TransportOptions
from tickhouse.exchange.faults import Faults
from tickhouse.exchange.floor import Floor
from tickhouse.exchange.market import Market
from tickhouse.exchange.server import Exchange

NOON = round(datetime(2026, 3, 11, 15, 0, 20, tzinfo=UTC).timestamp()) * 1_000_000
"""A Wednesday at eleven in New York, three days after its clocks were set."""
KEY = "0123456789abcdef0123456789abcdef"
DAY = 86_400_000_000
OPTIONS = TransportOptions(
    retry=Retry(attempts=1),
    line=LineOptions(tick=0.02, close_timeout=0.1, retry=Retry(attempts=9, first=0.01, most=0.02)),
)
Conversation = Generator[Request, Answer, None]


class House:
    """A feed, the exchange it is pointed to, and the transport between them. Waiting moves the clock."""

    def __init__(self, exchange: Exchange, clock: ManualClock, transport: Transport) -> None:
        self.exchange, self.clock, self.transport = exchange, clock, transport

    def feed(self, name: str, **options: Any) -> Any:
        """A feed of that name, pointed to its dialect."""
        here = f"/{name}" if name != "binance" else ""
        urls = {"rest_url": self.exchange.url + here, "ws_url": self.exchange.ws_url + here}
        key = options.pop("key", KEY)
        given = {**urls, **options, "key": Secret(key) if key else None}
        return load("feeds", name).open(**given)

    async def asked(self, feed: Any, conversation: Conversation) -> list[Parsed]:
        """Every answer of a conversation, parsed as it came."""
        pages = []
        async for request, answer in self.transport.ask(feed.name, feed.pace, feed.classify, conversation):
            pages.append(feed.parse(RawBatch.of(feed.name, request.channel, [answer.body], answer.received_at)))
        return pages

    async def heard(self, feed: Any, want: Want, seconds: float, idle: float = 0.15) -> list[RawBatch]:
        """What comes of a feed's subscription while the clock moves on; the frames, without evidence."""
        (subscription,) = feed.subscriptions(want)
        inbox = Inbox(feed.name, clock=self.clock)
        line = asyncio.create_task(self.transport.stream(subscription, inbox, line=feed.name))
        try:
            async with asyncio.timeout(20):
                while not any(len(one.desk.streams) == len(want.symbols) for one in self.exchange.clients.values()):
                    assert not line.done(), line.exception()
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            for _ in range(round(seconds)):
                self.clock.move(1)
                await asyncio.sleep(0.03)
            before = -1
            while before != inbox.depth:
                before = inbox.depth
                await asyncio.sleep(idle)
        finally:
            line.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await line
        return [batch for batch in inbox.drain() if batch.channel != LINK]


@asynccontextmanager
async def house(tmp_path: Path, faults: Faults | None = None, start: int = NOON, **more: Any) -> AsyncIterator[House]:
    """An exchange with coins, shares and currencies, at a moment at which all of them are traded."""
    clock = ManualClock(start)

    async def sleep(seconds: float) -> None:
        clock.move(seconds)
        await asyncio.sleep(0)

    market = Market(seed=3, symbols=8, rate=40, floor=Floor(3))
    async with (
        served(market, clock, faults, limits=EASY, **more) as exchange,
        Transport(clock, tmp_path, OPTIONS, sleep=sleep) as transport,
    ):
        yield House(exchange, clock, transport)


def understood(pages: list[Parsed]) -> dict[str, list[tuple[Any, ...]]]:
    """What a feed understood, by kind: quotes, bars, observations and actions as plain tuples."""
    found: dict[str, list[tuple[Any, ...]]] = {"quote": [], "bar": [], "observation": [], "action": []}
    for page in pages:
        assert not page.rejects, page.rejects[:3]
        for table, kind, names in (
            (page.quotes, "quote", ("symbol", "event_time", "price")),
            (page.observations, "observation", ("series", "date", "value", "vintage")),
            (page.actions, "action", ("symbol", "date", "kind", "value")),
        ):
            if table is not None:
                found[kind] += [tuple(_plain(row[name]) for name in names) for row in table.to_pylist()]
        if page.bars is not None:
            b = page.bars
            columns = (b.start, b.open, b.high, b.low, b.close, b.volume)
            rows = zip(*(column.tolist() for column in columns), strict=True)
            names = [
                (b.symbols[s], interval_text(i)) for s, i in zip(b.symbol.tolist(), b.interval.tolist(), strict=True)
            ]
            found["bar"] += [(*name, *row) for name, row in zip(names, rows, strict=True)]
    return found


def sent(exchange: Exchange, dialect: str) -> dict[str, list[tuple[Any, ...]]]:
    """What the exchange says that it said, likewise; bars that were not over are left out."""
    names = {
        "quote": ("symbol", "time", "price"), "observation": ("series", "date", "value", "vintage"),
        "action": ("symbol", "date", "action", "value"),
        "bar": ("symbol", "interval", "start", "open", "high", "low", "close", "volume"),
    }  # fmt: skip
    return {
        kind: [_keyed(row, keys) for row in exchange.sent.of(dialect, kind) if not row.get("forming")]
        for kind, keys in names.items()
    }


def _keyed(row: dict[str, Any], keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple("7d" if name == "interval" and row[name] == "1w" else row[name] for name in keys)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return round(value.timestamp() * 1_000_000)
    return value.isoformat() if hasattr(value, "isoformat") else value


def kinds(pages: list[Parsed]) -> list[Kind]:
    """What became of the messages."""
    return [Kind(int(kind)) for page in pages for kind in page.kinds]
