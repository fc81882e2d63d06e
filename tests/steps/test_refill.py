"""Holes are asked for together, inside the provider's pages, and tried again as long as they are open."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from tickhouse.core.batches import RawBatch
from tickhouse.core.clock import ManualClock
from tickhouse.core.errors import Unreachable
from tickhouse.core.marks import Event, decode
from tickhouse.core.model import Hole
from tickhouse.core.requests import Answer
from tickhouse.feeds import binance
from tickhouse.steps.refill import FIRST_WAIT, Refill


class Provider:
    """Stands where the transport stands: answers every request with one empty trade page, or is down."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []
        self.down = False

    async def ask(self, feed: str, pace: Any, classify: Any, conversation: Any) -> AsyncIterator[Any]:
        request = next(conversation)
        self.asked.append((request.params["symbol"], request.params["fromId"], request.params["limit"]))
        if self.down:
            raise Unreachable("nobody answers")
        answer = Answer(200, {}, b"[]", 5)
        yield request, answer


class Journal:
    """Counts what it is given."""

    def __init__(self) -> None:
        self.batches: list[RawBatch] = []

    async def take(self, batches: Sequence[RawBatch]) -> int:
        self.batches += batches
        return len(self.batches)


def hole(first: int, last: int, symbol: str = "BTC-USDT") -> Hole:
    return Hole("binance", symbol, first, last, 1_000, 2_000)


@pytest.fixture
def parts(clock: ManualClock) -> tuple[Refill, Provider, Journal]:
    provider, journal = Provider(), Journal()
    feed = binance.open()
    return Refill({"binance": (feed, feed.pace)}, provider, journal.take, clock), provider, journal  # type: ignore[arg-type]


async def while_running(refill: Refill, seconds: float = 0.25) -> None:
    task = asyncio.create_task(refill.run())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_holes_beside_each_other_are_one_request_and_others_are_not(parts):
    refill, provider, _ = parts
    refill.want([hole(10, 12), hole(300, 301), hole(9000, 9001), hole(5, 6, "ETH-USDT")], 0)
    await while_running(refill)
    assert sorted(provider.asked) == [("BTCUSDT", 10, 292), ("BTCUSDT", 9000, 2), ("ETHUSDT", 5, 2)]
    assert refill.filled == 4


async def test_each_page_is_journaled_in_the_frame_of_begin_and_end(parts):
    refill, _, journal = parts
    refill.want([hole(10, 12)], 0)
    await while_running(refill)
    assert [batch.channel for batch in journal.batches] == ["link", "historicalTrades:BTCUSDT", "link"]
    assert [decode(journal.batches[n].payload(0)).event for n in (0, 2)] == [Event.BEGIN, Event.END]
    assert {batch.lane for batch in journal.batches} == {"refill"}


async def test_a_hole_that_stays_open_is_tried_again_with_longer_waits(parts, clock):
    refill, provider, journal = parts
    provider.down = True
    refill.want([hole(10, 12)], 0)
    await while_running(refill)
    assert len(provider.asked) == 1 and not journal.batches and refill.filled == 0
    for tries, wait in ((2, FIRST_WAIT), (3, 2 * FIRST_WAIT)):
        clock.move(wait - 1)
        await while_running(refill)
        assert len(provider.asked) == tries - 1
        clock.move(1)
        await while_running(refill)
        assert len(provider.asked) == tries


async def test_what_was_said_before_the_last_page_was_known_is_not_asked_again(parts):
    """The engine's word counts only when it has seen all that was journaled."""
    refill, provider, journal = parts
    refill.want([hole(10, 12)], 0)
    await while_running(refill)
    refill.want([hole(11, 12)], 1)
    await while_running(refill)
    assert len(provider.asked) == 1
    refill.want([hole(11, 12)], len(journal.batches))
    await while_running(refill)
    assert len(provider.asked) == 2


async def test_a_hole_that_is_filled_is_forgotten_and_one_of_an_unknown_source_is_nobodys(parts):
    refill, provider, _ = parts
    refill.want([hole(10, 12), Hole("csv", "A", 1, 2, 0, 1)], 0)
    await while_running(refill)
    refill.want([], 100)
    await while_running(refill)
    assert refill.open == 0 and len(provider.asked) == 1
