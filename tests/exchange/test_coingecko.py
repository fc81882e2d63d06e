"""The dialect of CoinGecko, as the feed understands it."""

import json

import pytest

from tests.exchange.asking import DAY, NOON, house, sent, understood
from tests.exchange.talk import ask, passed, shape, tell
from tickhouse.core.errors import BadCredentials, BadSetting, NoData, RateLimited, UnknownSymbol
from tickhouse.core.model import Want

COINS = ("BTC-USD", "ETH-USD", "BTC-EUR", "DOGE-USD")


@pytest.mark.parametrize("channel", ["simple_price", "markets"])
async def test_present_prices_are_what_was_sent_and_near_the_last_trade(tmp_path, channel):
    async with house(tmp_path) as here:
        await passed(here.exchange, here.clock, 130)
        feed = here.feed("coingecko")
        found = understood(await here.asked(feed, feed.poll(Want(COINS, channel))))["quote"]
        assert sorted(found) == sorted(sent(here.exchange, "coingecko")["quote"])
        prices = {row[0]: row[2] for row in found}
        last = here.exchange.history.last_price(here.exchange.history.code("BTC-USDT")) / 100
        assert set(COINS) <= set(prices) and abs(prices["BTC-USD"] / last - 1) < 0.02
        assert prices["BTC-EUR"] < prices["BTC-USD"] and prices["DOGE-USD"] < 1


@pytest.mark.parametrize(("days", "least"), [(1, 280), (30, 700), (300, 290)])
async def test_a_chart_is_what_was_sent_as_close_as_its_range_is_short(tmp_path, days, least):
    async with house(tmp_path) as here:
        feed = here.feed("coingecko")
        want = Want(("BTC-USD",), "market_chart", NOON - days * DAY, NOON)
        found = understood(await here.asked(feed, feed.history(want)))["quote"]
        assert found == sent(here.exchange, "coingecko")["quote"] and least < len(found) < least * 1.2


@pytest.mark.parametrize(("days", "interval"), [(1, "30m"), (7, "4h"), (90, "4d")])
async def test_candles_are_what_was_sent(tmp_path, days, interval):
    async with house(tmp_path) as here:
        feed = here.feed("coingecko")
        want = Want(("ETH-EUR",), "ohlc", NOON - days * DAY, NOON)
        found = understood(await here.asked(feed, feed.history(want)))["bar"]
        assert found == sent(here.exchange, "coingecko")["bar"] and {row[1] for row in found} == {interval}
        assert all(low <= min(o, c) <= max(o, c) <= h for *_, o, h, low, c, _ in found)


async def test_refusals_are_what_the_feed_takes_them_for(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("coingecko", ids="NOPE=no-such-coin")
        with pytest.raises(UnknownSymbol):
            await here.asked(feed, feed.poll(Want(("NOPE-USD",), "simple_price")))
        with pytest.raises(UnknownSymbol):
            await here.asked(feed, feed.history(Want(("NOPE-USD",), "market_chart")))
        with pytest.raises(UnknownSymbol):
            await here.asked(feed, feed.poll(Want(("BTC-XYZ",), "markets")))
        with pytest.raises(NoData):
            await here.asked(feed, feed.history(Want(("BTC-USD",), "market_chart", NOON - 500 * DAY, NOON)))
        wrong = here.feed("coingecko", plan="pro")
        with pytest.raises(BadCredentials):
            await here.asked(wrong, wrong.poll(Want(COINS, "simple_price")))
        with pytest.raises(BadSetting):
            feed.poll(Want(("BTC-USDT",), "simple_price"))
        await tell(here.exchange, "terms?dialect=coingecko", revoke="*")
        with pytest.raises(BadCredentials):
            await here.asked(feed, feed.poll(Want(COINS, "simple_price")))


async def test_an_address_without_a_key_is_soon_asked_to_wait(tmp_path):
    async with house(tmp_path) as here:
        for _ in range(15):
            assert (await ask(here.exchange, "/coingecko/api/v3/ping")).status_code == 200
        feed = here.feed("coingecko", key=None)
        with pytest.raises(RateLimited):
            await here.asked(feed, feed.poll(Want(COINS, "simple_price")))


async def test_answers_have_the_shape_of_recorded_ones(tmp_path, recordings):
    folder = recordings / "coingecko"

    def recorded(name: str):
        return json.loads((folder / f"{name}.json").read_text())

    async with house(tmp_path) as here:

        async def got(path: str, **params):
            return await ask(here.exchange, f"/coingecko/api/v3/{path}", **params)

        simple = await got("simple/price", ids="bitcoin", vs_currencies="eur", include_last_updated_at="true")
        (market,) = (await got("coins/markets", vs_currency="usd", ids="bitcoin")).json()
        chart = (await got("coins/bitcoin/market_chart", vs_currency="usd", days=1)).json()
        candles = (await got("coins/bitcoin/ohlc", vs_currency="usd", days=7)).json()
        errors = [
            (await got("simple/price", ids="bitcoin"), 422, "error_422_missing_vs_currency"),
            (
                await got("coins/bitcoin/market_chart/range", vs_currency="usd", **{"from": 0, "to": 9}),
                401,
                "error_401_time_range",
            ),
        ]
    assert list(simple.json()["bitcoin"]) == ["eur", "last_updated_at"]
    (theirs,) = recorded("markets_usd_bitcoin")
    assert list(market) == list(theirs)
    assert [key for key, _ in shape(chart)] == [key for key, _ in shape(recorded("market_chart_btc_1d"))]
    assert {len(point) for point in chart["prices"]} == {2} and {len(candle) for candle in candles} == {5}
    assert abs(len(candles) - len(recorded("ohlc_btc_7d"))) <= 1
    for answer, status, name in errors:
        assert answer.status_code == status
        if "error_401" in name:
            ours, theirs = answer.json()["error"]["status"], recorded(name)["error"]["status"]
            assert (ours["error_code"], ours["error_message"]) == (10012, theirs["error_message"]) and list(
                ours
            ) == list(theirs)
        else:
            assert answer.json() == {"error": "Missing parameter vs_currencies"}
