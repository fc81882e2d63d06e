"""The exchange and the Binance feed understand each other: what is served is read as what was made."""

from collections.abc import Generator

import httpx
import numpy as np
import pytest

from tests.exchange.talk import START, Script, dial, hear, passed, served
from tickhouse.core.batches import Parsed, RawBatch, TickBatch
from tickhouse.core.clock import ManualClock
from tickhouse.core.errors import BadMessage, RateLimited, UnknownSymbol, Unreachable
from tickhouse.core.model import Hole, Kind, Want
from tickhouse.core.requests import Answer, Request
from tickhouse.exchange.faults import Faults
from tickhouse.exchange.limits import Limits
from tickhouse.exchange.server import Exchange
from tickhouse.feeds import binance

LATER = START + 3_600_000_000
SYMBOLS = ("BTC-USDT", "ETH-USDT", "BNB-USDT")


def feed_of(exchange: Exchange, **options) -> binance.Binance:
    return binance.open(rest_url=exchange.url, ws_url=exchange.ws_url, **options)


async def heard(exchange: Exchange, clock: ManualClock, want: Want) -> Parsed:
    """What the feed makes of some seconds of its own subscription."""
    feed = feed_of(exchange)
    (subscription,) = feed.subscriptions(want)
    async with dial(subscription.url) as ws:
        for frame in subscription.hello:
            await ws.send(frame)
        clock.move(5)
        return feed.parse(RawBatch.of("binance", subscription.channel, await hear(ws), clock.now()))


async def answered(feed: binance.Binance, asked: Generator[Request, Answer, None]) -> list[Parsed]:
    """The pages of a conversation, parsed; the first error that the feed makes of an answer is raised."""
    pages = []
    async with httpx.AsyncClient(verify=False) as http:
        try:
            request = next(asked)
            while True:
                got = await http.get(request.url, params=dict(request.params))
                answer = Answer(got.status_code, {k.lower(): v for k, v in got.headers.items()}, got.content, LATER)
                error = feed.classify(answer)
                if error:
                    raise error
                pages.append(feed.parse(RawBatch.of("binance", request.channel, [answer.body], LATER)))
                request = asked.send(answer)
        except StopIteration:
            return pages


def equals_truth(ticks: TickBatch, exchange: Exchange, symbol: str, ids: slice = slice(None)) -> bool:
    truth = exchange.truth().of(symbol)
    rows = ticks.symbol == list(ticks.symbols).index(symbol)
    return all(
        np.array_equal(ours[rows], column[ids])
        for ours, column in (
            (ticks.first_id, truth.id),
            (ticks.price, truth.price),
            (ticks.size, truth.quantity),
            (ticks.event_time, truth.time),
        )
    )


@pytest.mark.parametrize("symbols", [SYMBOLS[:1], SYMBOLS])
async def test_trades_by_socket_are_the_truth_to_the_last_bit(symbols):
    clock = ManualClock(START)
    async with served(clock=clock) as exchange:
        parsed = await heard(exchange, clock, Want(symbols, "trade"))
        assert not parsed.rejects and parsed.ticks is not None
        for symbol in symbols:
            assert equals_truth(parsed.ticks, exchange, symbol)


async def test_klines_by_socket_are_bars():
    clock = ManualClock(START + 57_000_000)
    async with served(clock=clock) as exchange:
        parsed = await heard(exchange, clock, Want(SYMBOLS, "kline:1m"))
        assert parsed.bars is not None and not parsed.rejects


async def test_a_hole_is_refilled_by_id_with_the_truth():
    clock = ManualClock(START)
    async with served(clock=clock) as exchange:
        await passed(exchange, clock, 30)
        feed, truth = feed_of(exchange), exchange.truth().of("BTC-USDT")
        hole = Hole(
            "binance", "BTC-USDT", int(truth.id[3]), int(truth.id[1200]), int(truth.time[3]), int(truth.time[1200])
        )
        pages = await answered(feed, feed.refill(hole))
        assert len(pages) == 2
        both = np.concatenate([page.ticks.price for page in pages])
        assert np.array_equal(both, truth.price[3:1201])


async def test_history_by_time_is_the_truth():
    clock = ManualClock(START)
    async with served(clock=clock) as exchange:
        await passed(exchange, clock, 90)
        feed = feed_of(exchange)
        pages = await answered(feed, feed.history(Want(SYMBOLS[:1], "aggTrades", START, START + 90_000_000)))
        truth = exchange.truth().of("BTC-USDT")
        covered = sum(int((page.ticks.last_id - page.ticks.first_id + 1).sum()) for page in pages)
        assert covered == len(truth) and len(pages) > 1
        (bars,) = await answered(feed, feed.history(Want(SYMBOLS[:1], "klines:1m", START, START + 60_000_000)))
        expected = exchange.history.bars("BTC-USDT", "1m", START, START + 60_000_000)[0]
        assert (bars.bars.high[0], bars.bars.volume[0]) == (expected["high"], expected["volume"])


async def test_spoiled_messages_are_rejected_and_no_other():
    clock = ManualClock(START)
    faults = Faults(malformed=0.05, half_frames=0.05, changed_fields=0.05)
    async with served(clock=clock, faults=faults) as exchange:
        parsed = await heard(exchange, clock, Want(SYMBOLS, "trade"))
        counts = exchange.account.counts
        bad = counts["malformed"] + counts["half_frames"] + counts["changed_fields"]
        assert bad > 50 and parsed.count(Kind.REJECTED) == len(parsed.rejects) == bad
        assert parsed.count(Kind.PARSED) + bad == (exchange.truth().code < 3).sum()


async def test_refusals_are_what_the_feed_takes_them_for():
    clock = ManualClock(START)
    async with served(Script([(0, 1, 1, 1, 1, 0, 1)]), clock, limits=Limits(weight=5, patience=100)) as exchange:
        feed = feed_of(exchange)
        with pytest.raises(UnknownSymbol):
            await answered(feed, feed.history(Want(("NO-PE",), "klines:1m")))
        with pytest.raises(RateLimited) as limited:
            await answered(feed, feed.history(Want(("BTC-USDT",), "aggTrades")))
        assert limited.value.retry_after == 60
        exchange.doorman.limits = Limits()
        for faults, kind in (
            (Faults(server_errors=1), Unreachable),
            (Faults(too_many=1), RateLimited),
            (Faults(half_answers=1), BadMessage),
        ):
            exchange.change(faults)
            with pytest.raises(kind):
                await answered(feed, feed.history(Want(("BTC-USDT",), "aggTrades", START, START + 60_000_000)))
