"""The dialect of Yahoo Finance, as the feed understands it."""

import json

import numpy as np
import pytest

from tests.exchange.asking import DAY, NOON, house, sent, understood
from tests.exchange.talk import ask, dial, hear, tell
from tickhouse.core.errors import NoData, RateLimited, UnknownSymbol
from tickhouse.core.model import Want
from tickhouse.exchange._yahoo_names import spelled

SYMBOLS = ("AAPL", "BRK.B", "EUR-USD", "USD-JPY", "BTC-USD")
HOUR = 3_600_000_000


@pytest.mark.parametrize("hours", [0, -2, 7, 12, 24 * 3.4])
async def test_quotes_are_what_was_sent_before_in_and_after_the_session(tmp_path, hours):
    async with house(tmp_path, start=NOON + round(hours * HOUR)) as here:
        feed = here.feed("yahoo")
        found = understood(await here.asked(feed, feed.poll(Want(SYMBOLS, "quote"))))["quote"]
        assert found == sent(here.exchange, "yahoo")["quote"] and {row[0] for row in found} == set(SYMBOLS)
        assert len(found) == len(SYMBOLS) + (0 if hours == 0 else 2)


async def test_a_crumb_that_is_too_old_is_fetched_again(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("yahoo")
        await here.asked(feed, feed.poll(Want(SYMBOLS, "quote")))
        await tell(here.exchange, "terms?dialect=yahoo", revoke="")
        found = understood(await here.asked(feed, feed.poll(Want(SYMBOLS, "quote"))))["quote"]
        assert len(found) == len(SYMBOLS)


@pytest.mark.parametrize(("interval", "days"), [("1m", 3), ("5m", 10), ("1h", 30), ("1d", 500), ("1w", 500)])
async def test_charts_are_what_was_sent(tmp_path, interval, days):
    async with house(tmp_path) as here:
        feed = here.feed("yahoo")
        want = Want(("AAPL", "EUR-USD", "BTC-USD"), f"chart:{interval}", NOON - days * DAY, NOON)
        found, said = understood(await here.asked(feed, feed.history(want))), sent(here.exchange, "yahoo")
        assert sorted(found["bar"]) == sorted(said["bar"]) and {row[0] for row in found["bar"]} == set(want.symbols)
        assert sorted(found["action"]) == sorted(said["action"])
        assert interval != "1d" or len(found["action"]) >= 4


async def test_the_chart_of_the_day_ends_in_the_price_of_the_moment(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("yahoo")
        found = understood(await here.asked(feed, feed.poll(Want(("AAPL", "BTC-USD"), "chart"))))
        said = sent(here.exchange, "yahoo")
        assert found["quote"] == said["quote"] and len(found["quote"]) == 2
        assert found["bar"] == said["bar"] and found["bar"][-1][2] < NOON


@pytest.mark.parametrize("hours", [0, 6])
def snapshots(truth, symbol: str) -> dict[int, float]:
    """The price after the first trade of each second, or of five, by the second of it."""
    true, step = truth.of("BTC-USDT" if symbol == "BTC-USD" else symbol), 5 if symbol == "BTC-USD" else 1
    _, first = np.unique(true.time // (step * 1_000_000), return_index=True)
    last = np.searchsorted(true.time, true.time[first], "right") - 1
    return dict(zip((true.time[first] // 1_000_000).tolist(), true.price[last].tolist(), strict=True))


@pytest.mark.parametrize("hours", [0, 6])
async def test_the_stream_carries_a_snapshot_a_second_and_of_coins_one_in_five(tmp_path, hours):
    async with house(tmp_path, start=NOON + hours * HOUR) as here:
        feed = here.feed("yahoo")
        batches = await here.heard(feed, Want(SYMBOLS, "stream"), 12)
        quotes = [row for batch in batches for row in feed.parse(batch).quotes.to_pylist()]
        truth = here.exchange.truth()
        assert {row["symbol"] for row in quotes} == set(SYMBOLS)
        for symbol in SYMBOLS:
            first, *mine = [row for row in quotes if row["symbol"] == symbol]
            assert first["event_time"].timestamp() * 1e6 <= NOON + hours * HOUR
            heard = {round(row["event_time"].timestamp()): row["price"] for row in mine}
            assert len(heard) == len(mine) and heard == pytest.approx(snapshots(truth, symbol), rel=1e-6)
        counts = [sum(row["symbol"] == name for row in quotes) for name in ("BTC-USD", "AAPL")]
        assert hours or (counts[0] <= 4 and counts[1] > 8)


async def test_frames_are_bare_without_version_2_and_the_hundredth_symbol_is_the_last(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("yahoo")
        for query, first in (("?version=2", b"{"), ("", b"C")):
            async with dial(f"{here.exchange.ws_url}/yahoo/{query}") as ws:
                await ws.send(json.dumps({"subscribe": [f"X{n}" for n in range(99)] + ["AAPL", "MSFT", "USDJPY=X"]}))
                frames = await hear(ws)
                assert len(frames) == 1 and frames[0][:1] == first
                from tickhouse.core.batches import RawBatch

                assert feed.parse(RawBatch.of("yahoo", "stream", frames, NOON)).quotes["symbol"][0].as_py() == "AAPL"
                await ws.send(json.dumps({"subscribe": "AAPL"}))
                await hear(ws)
                assert ws.close_code == 1006


async def test_refusals_are_what_the_feed_takes_them_for(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("yahoo")
        with pytest.raises(UnknownSymbol):
            await here.asked(feed, feed.poll(Want(("NOPE",), "quote")))
        with pytest.raises(UnknownSymbol):
            await here.asked(feed, feed.poll(Want(("NOPE",), "chart")))
        with pytest.raises(NoData, match="29 days"):
            await here.asked(feed, feed.history(Want(("AAPL",), "chart:1m", NOON - 40 * DAY, NOON)))
        with pytest.raises(NoData):
            await here.asked(feed, feed.history(Want(("AAPL",), "chart:1m", NOON - 4 * DAY, NOON - 3 * DAY)))
        await tell(here.exchange, "terms?dialect=yahoo", per_minute=1)
        with pytest.raises(RateLimited):
            await here.asked(feed, feed.poll(Want(("AAPL",), "chart")))


async def test_messages_have_the_shape_of_recorded_ones(tmp_path, recordings):
    folder = recordings / "yahoo"
    async with house(tmp_path) as here:

        async def chart(symbol: str, **params: str):
            return await ask(here.exchange, f"/yahoo/v8/finance/chart/{symbol}", **params)

        live = (await chart("AAPL", interval="5m", range="1d")).json()
        daily = (await chart("NVDA", interval="1d", range="1y", events="div,splits")).json()
        empty = (
            await chart(
                "AAPL", interval="1m", period1=str((NOON - 4 * DAY) // 10**6), period2=str((NOON - 3 * DAY) // 10**6)
            )
        ).json()
        none, old = await chart("NOPE"), await chart("AAPL", interval="5m", period1="1577836800", period2="1577936800")
        crumb = await ask(here.exchange, "/yahoo/v7/finance/quote", symbols="AAPL", crumb="x")
    for ours, file in ((live, "AAPL_5m_live_last_bar_2026-10-05"), (daily, "AAPL_1d_split_and_dividend_2020"),
                       (empty, "AAPL_1m_weekend_no_timestamps")):  # fmt: skip
        theirs = json.loads((folder / "chart" / f"{file}.json").read_text())
        (mine,), (other,) = ours["chart"]["result"], theirs["chart"]["result"]
        assert set(mine) == set(other) and {"symbol", "currency", "regularMarketTime"} < set(mine["meta"])
        assert not set(mine["meta"]) - set(other["meta"]) - {"previousClose", "range", "validRanges", "timezone"}
        assert [set(part) for part in mine["indicators"]["quote"]] == [
            set(part) for part in other["indicators"]["quote"]
        ]
    split = next(iter(daily["chart"]["result"][0]["events"]["splits"].values()))
    assert set(split) == {"date", "numerator", "denominator", "splitRatio"}
    assert live["chart"]["result"][0]["indicators"]["quote"][0]["volume"][-1] == 0
    errors = folder / "errors"
    assert (none.status_code, none.json()) == (404, json.loads((errors / "404_delisted.json").read_text()))
    assert old.status_code == 422 and "must be within the last 60 days" in old.text
    assert crumb.status_code == 401


async def test_every_listed_instrument_is_spelled_as_it_is_read(tmp_path):
    async with house(tmp_path) as here:
        feed, history = here.feed("yahoo"), here.exchange.history
        names = [spelled(one) for one in history.instruments if one.market != "crypto"]
        assert [feed._names.of(name) for name in names] == [
            one.name for one in history.instruments if one.market != "crypto"
        ]
        assert np.unique(names).size == len(names)
