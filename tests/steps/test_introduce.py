"""A house learns from the exchange itself that its data are simulated, before it shows any."""

import asyncio

import pytest
from tools.simulated.site import response, site

from tickhouse.core.clock import SystemClock
from tickhouse.core.model import Want
from tickhouse.core.settings import load
from tickhouse.exchange.market import Market
from tickhouse.exchange.run import running
from tickhouse.exchange.server import Exchange
from tickhouse.pipeline import Pipeline
from tickhouse.steps.notes import notes
from tickhouse.steps.read import Reader
from tickhouse.targets.intake import Intake


@pytest.fixture
def exchange():
    with running(Exchange(Market(symbols=3), SystemClock())) as exchange:
        yield exchange


@pytest.mark.parametrize("own", ["url", "ws_url"])
async def test_the_label_is_kept_before_the_first_message(tmp_path, exchange, own):
    address = {"url": exchange.url, "ws_url": exchange.ws_url}[own]
    other = {"url": "ws_url", "ws_url": "url"}[own]
    nobody = {"ws_url": "ws://127.0.0.1:9", "url": "http://127.0.0.1:9"}[other]
    feeds = {"binance": {"symbols": ["BTC-USDT"], own: address, other: nobody}}
    pipeline = Pipeline(load(None, tmp_path / "house", feeds=feeds))
    intake, stop = Intake(pipeline), asyncio.Event()
    seen = []
    take = intake.take

    async def watched(batches):
        seen.append(Reader(pipeline).simulated)
        return await take(batches)

    intake.take = watched
    asyncio.get_running_loop().call_later(1.5, stop.set)
    await intake.run(stop, listen=True, fill=False)
    assert seen and all(seen)
    pipeline.close()


async def test_any_answer_says_it_and_it_is_kept(tmp_path, exchange):
    feeds = {"binance": {"symbols": ["BTC-USDT"], "url": exchange.url}}
    pipeline = Pipeline(load(None, tmp_path, feeds=feeds))
    feed, pace = pipeline.feeds["binance"], pipeline.feeds["binance"].pace
    conversation = feed.history(Want(("BTC-USDT",), "kline", 0, 60_000_000))
    assert not Reader(pipeline).simulated
    async for _ in pipeline.transport.ask("binance", pace, feed.classify, conversation):
        pass
    await pipeline.transport.close()
    assert notes(tmp_path) == {"simulated": True}
    pipeline.close()


async def test_a_real_provider_is_not_simulated(tmp_path):
    async with site(lambda *_: response(404)) as here:
        pipeline = Pipeline(load(None, tmp_path, feeds={"binance": {"url": here.url}}))
        intake = Intake(pipeline)
        await intake.introduce.once()
        assert len(here.requests) == 1 and not Reader(pipeline).simulated and not intake.introduce.urls
        await pipeline.transport.close()
        pipeline.close()


async def test_nobody_is_asked_where_the_address_is_the_providers_own(tmp_path):
    pipeline = Pipeline(load(None, tmp_path))
    assert Intake(pipeline).introduce.urls == []
    await pipeline.transport.close()
    pipeline.close()
