"""The dialect of FMP, as the feed understands it."""

import json

import pytest

from tests.exchange.asking import DAY, KEY, NOON, house, sent, understood
from tests.exchange.talk import ask, tell
from tickhouse.core.errors import BadCredentials, NoData, RateLimited, UnknownSymbol
from tickhouse.core.model import Want

SYMBOLS = ("AAPL", "EUR-USD", "BTC-USD")


async def paid(here) -> None:
    await tell(here.exchange, "terms?dialect=fmp", plan="paid")


@pytest.mark.parametrize("channel", ["quote", "quote_short", "aftermarket_quote", "aftermarket_trade"])
@pytest.mark.parametrize("batch", ["no", "yes"])
async def test_quotes_are_what_was_sent(tmp_path, channel, batch):
    async with house(tmp_path) as here:
        await paid(here)
        feed = here.feed("fmp", batch=batch)
        found = understood(await here.asked(feed, feed.poll(Want((*SYMBOLS, "BRK.B"), channel))))["quote"]
        assert found == sent(here.exchange, "fmp")["quote"] and [row[0] for row in found] == [*SYMBOLS, "BRK.B"]


async def test_days_are_what_was_sent(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("fmp")
        want = Want(SYMBOLS, "historical", NOON - 60 * DAY, NOON)
        found = understood(await here.asked(feed, feed.history(want)))["bar"]
        assert sorted(found) == sorted(sent(here.exchange, "fmp")["bar"])
        counts = {symbol: sum(row[0] == symbol for row in found) for symbol in SYMBOLS}
        assert 38 <= counts["AAPL"] <= 43 and counts["BTC-USD"] == 60 and 45 <= counts["EUR-USD"] <= 55


async def test_a_free_key_has_five_years_of_days(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("fmp")
        want = Want(("AAPL",), "historical", NOON - 3000 * DAY, NOON)
        found = understood(await here.asked(feed, feed.history(want)))["bar"]
        assert NOON - 1826 * DAY <= found[0][2] < NOON - 1818 * DAY


@pytest.mark.parametrize(("interval", "days"), [("1m", 5), ("1h", 20)])
async def test_a_chart_is_asked_back_to_the_start_and_is_what_was_sent(tmp_path, interval, days):
    async with house(tmp_path) as here:
        await paid(here)
        feed = here.feed("fmp")
        want = Want(("AAPL",), f"historical_chart:{interval}", NOON - days * DAY, NOON)
        found = understood(await here.asked(feed, feed.history(want)))["bar"]
        assert sorted(found) == sorted(sent(here.exchange, "fmp")["bar"])
        assert (
            len({row[2] for row in found}) == len(found)
            and found[-1][2] <= NOON
            and min(r[2] for r in found) < NOON - (days - 3) * DAY
        )


async def test_an_economic_series_is_asked_window_by_window(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("fmp")
        want = Want(("CPI",), "economic", NOON - 400 * DAY, NOON)
        found = understood(await here.asked(feed, feed.history(want)))["observation"]
        assert found == sent(here.exchange, "fmp")["observation"] and len({row[1] for row in found}) >= 12


async def test_refusals_are_what_the_feed_takes_them_for(tmp_path):
    async with house(tmp_path) as here:
        feed, many = here.feed("fmp"), here.feed("fmp", batch="yes")
        with pytest.raises(UnknownSymbol):
            await here.asked(feed, feed.poll(Want(("BRK.B",), "quote")))
        for refused in (
            many.poll(Want(SYMBOLS, "quote")),
            feed.history(Want(("AAPL",), "historical_chart:1m", NOON - DAY, NOON)),
        ):
            with pytest.raises(BadCredentials):
                await here.asked(feed, refused)
        with pytest.raises(NoData):
            await here.asked(feed, feed.poll(Want(("NOPE",), "quote")))
        await tell(here.exchange, "terms?dialect=fmp", revoke="another", per_day=3)
        other = here.feed("fmp", key="another")
        with pytest.raises(BadCredentials):
            await here.asked(other, other.poll(Want(("AAPL",), "quote")))
        with pytest.raises(RateLimited):
            await here.asked(feed, feed.poll(Want(("AAPL",), "quote")))


async def test_answers_have_the_shape_of_recorded_ones(tmp_path, recordings):
    folder = recordings / "fmp"
    async with house(tmp_path) as here:

        async def got(path: str, **params: str):
            return await ask(here.exchange, f"/fmp/stable/{path}", apikey=KEY, **params)

        free = await got("batch-quote", symbols="AAPL")
        bad = await ask(here.exchange, "/fmp/stable/quote", symbol="AAPL")
        old = await ask(here.exchange, "/fmp/api/v3/quote/AAPL", apikey=KEY)
        await paid(here)
        shapes = [
            (await got("quote", symbol="AAPL"), "stable_quote_AAPL_2025-09-23"),
            (await got("batch-quote-short", symbols="AAPL,MSFT"), "stable_batch_quote_short_2026-07-29"),
            (await got("batch-aftermarket-quote", symbols="AAPL"), "stable_batch_aftermarket_quote_2026-07-29"),
            (await got("historical-price-eod/full", symbol="AAPL"), "stable_historical_price_eod_full_AAPL_2023-01"),
            (await got("economic-indicators", name="CPI"), "stable_economic_indicators_CPI_2026"),
        ]
    for answer, name in shapes:
        assert list(answer.json()[0]) == list(json.loads((folder / f"{name}.json").read_text())[0])
    assert (free.status_code, free.text) == (402, (folder / "errors" / "402_restricted_endpoint.txt").read_text())
    assert (bad.status_code, bad.json()) == (401, json.loads((folder / "errors" / "401_invalid_key.json").read_text()))
    assert (old.status_code, old.json()) == (
        403,
        json.loads((folder / "errors" / "403_legacy_endpoint.json").read_text()),
    )
