"""The dialect of Alpha Vantage, as the feed understands it."""

import json

import pytest

from tests.exchange.asking import DAY, KEY, NOON, house, sent, understood
from tests.exchange.talk import ask, tell
from tickhouse.core.errors import BadCredentials, RateLimited, UnknownSymbol
from tickhouse.core.model import Want


async def paid(here) -> None:
    await tell(here.exchange, "terms?dialect=alpha_vantage", plan="paid", per_day=0)


@pytest.mark.parametrize(
    ("channel", "symbols"),
    [("global_quote", ("AAPL", "BRK.B", "EUR-USD", "BTC-EUR")), ("exchange_rate", ("USD-JPY", "ETH-USD"))],
)
async def test_quotes_and_rates_are_what_was_sent(tmp_path, channel, symbols):
    async with house(tmp_path) as here:
        feed = here.feed("alpha_vantage")
        found = understood(await here.asked(feed, feed.poll(Want(symbols, channel))))["quote"]
        assert found == sent(here.exchange, "alpha_vantage")["quote"] and [row[0] for row in found] == list(symbols)


@pytest.mark.parametrize("symbol", ["AAPL", "EUR-USD", "BTC-USD"])
async def test_the_newest_hundred_days_are_free_and_what_was_sent(tmp_path, symbol):
    async with house(tmp_path) as here:
        feed = here.feed("alpha_vantage")
        found = understood(await here.asked(feed, feed.poll(Want((symbol,), "daily"))))["bar"]
        assert found == sent(here.exchange, "alpha_vantage")["bar"]
        assert len(found) >= 99 and found[-1][2] < NOON // DAY * DAY and {row[:2] for row in found} == {(symbol, "1d")}


async def test_days_are_as_traded_with_splits_and_dividends_for_those_who_pay(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("alpha_vantage")
        want = Want(("NVDA",), "daily_adjusted", NOON - 400 * DAY, NOON)
        with pytest.raises(BadCredentials):
            await here.asked(feed, feed.history(want))
        await paid(here)
        pages = understood(await here.asked(feed, feed.history(want)))
        said = sent(here.exchange, "alpha_vantage")
        assert pages["bar"] == said["bar"] and sorted(pages["action"]) == sorted(said["action"])
        split = next(row for row in pages["action"] if row[2] == "split")
        closes = {row[2]: row[6] for row in pages["bar"]}
        before, after = closes[1_749_427_200_000_000], closes[1_749_513_600_000_000]
        assert split == ("NVDA", "2025-06-10", "split", 10.0) and 8 < before / after < 12


@pytest.mark.parametrize(
    ("symbol", "interval", "least"), [("AAPL", "5m", 500), ("EUR-USD", "1h", 400), ("BTC-USD", "15m", 2000)]
)
async def test_minutes_are_for_those_who_pay_and_what_was_sent(tmp_path, symbol, interval, least):
    async with house(tmp_path) as here:
        await paid(here)
        feed = here.feed("alpha_vantage")
        want = Want((symbol,), f"intraday:{interval}", NOON - 10 * DAY, NOON)
        found = understood(await here.asked(feed, feed.history(want)))["bar"]
        assert found == sent(here.exchange, "alpha_vantage")["bar"] and len(found) > least


@pytest.mark.parametrize(
    "series", ["REAL_GDP", "REAL_GDP.QUARTERLY", "CPI", "UNEMPLOYMENT", "TREASURY_YIELD", "TREASURY_YIELD.DAILY.2YEAR"]
)
async def test_economic_series_are_what_was_sent(tmp_path, series):
    async with house(tmp_path) as here:
        feed = here.feed("alpha_vantage")
        found = understood(await here.asked(feed, feed.poll(Want((series,), "economic"))))["observation"]
        said = [(series, *row[1:]) for row in sent(here.exchange, "alpha_vantage")["observation"]]
        assert found == said and len(found) > 30


async def test_refusals_are_what_the_feed_takes_them_for(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("alpha_vantage")
        with pytest.raises(UnknownSymbol):
            await here.asked(feed, feed.poll(Want(("NOPE",), "global_quote")))
        with pytest.raises(UnknownSymbol):
            await here.asked(feed, feed.poll(Want(("NOPE",), "daily")))
        await tell(here.exchange, "terms?dialect=alpha_vantage", revoke="another")
        other = here.feed("alpha_vantage", key="another")
        with pytest.raises(BadCredentials):
            await here.asked(other, other.poll(Want(("AAPL",), "global_quote")))


async def test_quotas_are_told_with_status_200_and_their_own_bodies(tmp_path):
    async with house(tmp_path) as here:

        async def got():
            return (
                await ask(here.exchange, "/alpha_vantage/query", function="GLOBAL_QUOTE", symbol="AAPL", apikey=KEY)
            ).json()

        feed = here.feed("alpha_vantage", key="other")
        await got()
        assert "spreading out" in (await got())["Information"]
        await tell(here.exchange, "terms?dialect=alpha_vantage", per_day=1)
        await here.asked(feed, feed.poll(Want(("AAPL",), "global_quote")))
        with pytest.raises(RateLimited) as limited:
            await here.asked(feed, feed.poll(Want(("AAPL",), "global_quote")))
        assert 12 * 3600 < limited.value.retry_after < 14 * 3600


async def test_answers_have_the_shape_of_recorded_ones(tmp_path, recordings):
    folder = recordings / "alpha_vantage"
    cases = [
        ({"function": "GLOBAL_QUOTE", "symbol": "MSFT"}, "global_quote_MSFT_2018-10-05"),
        ({"function": "CURRENCY_EXCHANGE_RATE", "from_currency": "USD", "to_currency": "JPY"},
         "currency_exchange_rate_USD_JPY_2021-04-06"),
        ({"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "AUD"}, "fx_daily_EUR_AUD"),
        ({"function": "TIME_SERIES_INTRADAY", "symbol": "MSFT", "interval": "1min"}, "intraday_1min_MSFT_2017-12-18"),
        ({"function": "REAL_GDP"}, "real_gdp_annual_2024-10"),
    ]  # fmt: skip
    async with house(tmp_path) as here:
        await tell(here.exchange, "terms?dialect=alpha_vantage", plan="paid", per_day=0, per_second=0)
        for params, file in cases:
            ours = (await ask(here.exchange, "/alpha_vantage/query", apikey=KEY, **params)).json()
            theirs = json.loads((folder / f"{file}.json").read_text())
            assert list(ours) == list(theirs)
            for part in ours:
                if isinstance(ours[part], dict):
                    mine, other = ours[part], theirs[part]
                    mine, other = (
                        next(iter(x.values())) if part.startswith("Time Series") else x for x in (mine, other)
                    )
                    assert list(mine) == list(other)
                    assert all(type(a) is type(b) for a, b in zip(mine.values(), other.values(), strict=True))
        bad = (await ask(here.exchange, "/alpha_vantage/query", function="GLOBAL_QUOTE", symbol="AAPL")).json()
        call = (
            await ask(here.exchange, "/alpha_vantage/query", function="TIME_SERIES_DAILY", symbol="NOPE", apikey=KEY)
        ).json()
    assert bad == json.loads((folder / "errors" / "200_error_message_bad_key.json").read_text())
    assert call == json.loads((folder / "errors" / "200_error_message_bad_symbol.json").read_text())
