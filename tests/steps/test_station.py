"""One feed at work: what it does with more symbols, fewer, and a key that is refused."""

import asyncio
from pathlib import Path

import pytest

from tests.core.servers import response, site
from tickhouse.core.clock import SystemClock
from tickhouse.core.errors import BadCredentials
from tickhouse.core.inbox import Inbox
from tickhouse.core.marks import LINK, Event, Mark, decode
from tickhouse.core.secrets import Secret
from tickhouse.core.settings import FeedSettings
from tickhouse.core.transport import Transport
from tickhouse.feeds import finnhub
from tickhouse.steps.station import Station, Wanted


async def first_mark(inbox: Inbox, line: str) -> Mark:
    """The first evidence of a line."""
    while True:
        raws = [raw for raw in await inbox.take() if raw.channel == LINK]
        found = [mark for raw in raws for mark in map(decode, raw.payloads()) if mark.line == line]
        if found:
            return found[0]


def station(folder: Path, url: str, spare: bool) -> Station:
    feed = finnhub.open(rest_url=url, ws_url=url.replace("http", "ws"), key=Secret("a-secret"), channel="trade")
    transport = Transport(SystemClock(), folder)
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
