"""One feed at work: what it does with more symbols, fewer, and a key that is refused."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from tools.simulated.site import response, site
from websockets.asyncio.server import ServerConnection, serve

from tickhouse.core.clock import SystemClock
from tickhouse.core.errors import BadCredentials, Unreachable
from tickhouse.core.inbox import Inbox
from tickhouse.core.line import LineOptions
from tickhouse.core.marks import LINK, Event, Mark, decode
from tickhouse.core.secrets import Secret
from tickhouse.core.settings import FeedSettings
from tickhouse.core.transport import Transport, TransportOptions
from tickhouse.feeds import finnhub, yahoo
from tickhouse.steps.station import Station, Wanted
from tickhouse.targets.intake import _last


async def first_mark(inbox: Inbox, line: str) -> Mark:
    """The first evidence of a line."""
    while True:
        raws = [raw for raw in await inbox.take() if raw.channel == LINK]
        found = [mark for raw in raws for mark in map(decode, raw.payloads()) if mark.line == line]
        if found:
            return found[0]


def station(folder: Path, url: str, spare: bool) -> Station:
    feed = finnhub.open(rest_url=url, ws_url=url.replace("http", "ws"), key=Secret("a-secret"), channel="trade")
    transport = Transport(SystemClock(), folder, TransportOptions(line=LineOptions(tick=0.03)))
    return Station((feed, feed.pace), FeedSettings(channel="trade"), transport, Inbox("finnhub"), spare=spare)


@pytest.mark.parametrize("spare", [True, False])
async def test_a_socket_that_is_refused_for_good_ends_everything_unless_others_stand_by(
    tmp_path: Path, spare: bool
) -> None:
    async with site(lambda number, request: response(401, b"{}")) as refusing:
        one = station(tmp_path, refusing.url, spare)
        one.want(Wanted(("AAPL",)))
        running = asyncio.create_task(one.run())
        if spare:
            async with asyncio.timeout(10):
                left = await first_mark(one.inbox, one.idle)
            assert left.event is Event.DISCONNECTED and left.symbols == ("AAPL",), "it is blind, not quiet"
            health = one.health("AAPL")
            assert health is not None and health.state == "stopped" and "401" in health.error
            running.cancel()
        else:
            with pytest.raises(BadCredentials):
                await asyncio.wait_for(running, 10)
        await asyncio.gather(running, return_exceptions=True)
        await one.transport.close()


async def test_what_cannot_be_asked_of_a_feed_is_refused_before_it_begins(tmp_path: Path) -> None:
    one = station(tmp_path, "http://127.0.0.1:1", spare=True)
    one.check(("AAPL",))
    with pytest.raises(Exception, match="at most"):
        one.check(tuple(f"A{n}" for n in range(1000)))
    await one.transport.close()


@dataclass
class Socket:
    """A socket of Finnhub: how often it was opened, and who was subscribed in which order."""

    url: str = ""
    opened: int = 0
    subscribed: list[str] = field(default_factory=list)

    async def serve(self, connection: ServerConnection) -> None:
        """One connection."""
        self.opened += 1
        async for frame in connection:
            said = json.loads(frame)
            if said["type"] == "subscribe":
                self.subscribed.append(said["symbol"])


@asynccontextmanager
async def wanting(folder: Path, *symbols: str) -> AsyncIterator[tuple[Socket, Station, list[Mark]]]:
    """A station at work, and the evidence as it comes."""
    socket, evidence = Socket(), []
    async with serve(socket.serve, "127.0.0.1", 0) as server:
        one = station(folder, f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", spare=False)
        one.want(Wanted(symbols))

        async def listen() -> None:
            while True:
                raws = [raw for raw in await one.inbox.take() if raw.channel == LINK]
                evidence.extend(decode(payload) for raw in raws for payload in raw.payloads())

        tasks = [asyncio.create_task(one.run()), asyncio.create_task(listen())]
        try:
            yield socket, one, evidence
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await one.transport.close()


def connected(evidence: list[Mark]) -> list[tuple[str, ...]]:
    """The symbols of each CONNECTED mark."""
    return [mark.symbols for mark in evidence if mark.event is Event.CONNECTED]


async def until(condition: object) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(10):
        while not condition():  # type: ignore[operator]  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_symbol_that_joins_does_not_reopen_the_socket_of_the_others(tmp_path: Path) -> None:
    async with wanting(tmp_path, "AAPL", "MSFT") as (socket, one, evidence):
        await until(lambda: connected(evidence))
        one.want(Wanted(("AAPL", "MSFT", "KO", "PEP")))
        await until(lambda: len(connected(evidence)) == 2)
        one.want(Wanted(("KO", "IBM")))
        await until(lambda: len(connected(evidence)) == 3)
        assert socket.opened == 1 and socket.subscribed == ["AAPL", "MSFT", "KO", "PEP", "IBM"]
        assert connected(evidence) == [("AAPL", "MSFT"), ("KO", "PEP"), ("IBM",)], "heard from when they were asked for"
        assert one.line("IBM") == one.line("AAPL") == "finnhub-0"
        gone = [mark for mark in evidence if mark.event is Event.DISCONNECTED and mark.line == one.idle]
        assert [mark.symbols for mark in gone] == [("AAPL", "MSFT", "PEP")]


async def test_a_connection_made_after_a_symbol_joined_has_it_from_the_start(tmp_path: Path) -> None:
    async with wanting(tmp_path, "AAPL") as (socket, one, evidence):
        await until(lambda: connected(evidence))
        one.want(Wanted(("AAPL", "KO")))
        await until(lambda: len(connected(evidence)) == 2)
        one.transport.lines["finnhub-0"]._renewals.append("not json")  # the server drops who sends this
        await until(lambda: len(connected(evidence)) == 3)
        assert connected(evidence)[-1] == ("AAPL", "KO") and socket.subscribed == ["AAPL", "KO", "AAPL", "KO"]


@pytest.mark.slow
async def test_more_symbols_than_join_one_by_one_are_subscribed_on_a_new_connection(tmp_path: Path) -> None:
    many = tuple(f"A{n}" for n in range(40))
    async with wanting(tmp_path, "A0") as (socket, one, evidence):
        await until(lambda: connected(evidence))
        one.want(Wanted(many))
        await until(lambda: len(connected(evidence)) == 2)
        assert socket.opened == 2 and connected(evidence)[-1] == many


def test_a_feed_that_is_asked_while_the_journal_is_away_begins_without_a_past() -> None:
    class Away:
        def resume(self, key: str) -> str:
            raise Unreachable(f"it does not answer for {key}")

    assert _last(Away(), "yahoo") is None  # type: ignore[arg-type]


async def test_a_journal_that_hangs_does_not_hold_up_the_loop_when_a_polled_feed_is_taken(tmp_path: Path) -> None:
    """How the line was before is asked of the journal, which may be on a server that does not answer."""
    thawed = threading.Event()

    def frozen() -> None:
        assert thawed.wait(10)

    async with site(lambda number, request: response(503, b"{}")) as away:
        feed = yahoo.open(rest_url=away.url, channel="quote")
        transport = Transport(SystemClock(), tmp_path, TransportOptions())
        section = FeedSettings(channel="quote", market="crypto")
        one = Station((feed, feed.pace), section, transport, Inbox("yahoo"), before=partial(asyncio.to_thread, frozen))
        running = asyncio.create_task(one.run())
        one.want(Wanted(("AAPL",)))
        began, turns = time.monotonic(), 0
        while time.monotonic() < began + 0.3:
            await asyncio.sleep(0.005)
            turns += 1
        assert turns > 10 and one.poll is None
        thawed.set()
        for _ in range(500):
            await asyncio.sleep(0.01 if one.poll is None else 0)
        assert one.poll is not None
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await transport.close()
