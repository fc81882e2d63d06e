"""The dialect of Finnhub, as the feed understands it."""

import json

import numpy as np
import pytest

from tests.exchange.asking import DAY, KEY, NOON, house, sent, understood
from tests.exchange.talk import ask, dial, hear, shape, tell
from tickhouse.core.errors import BadCredentials, NoData, RateLimited, UnknownSymbol
from tickhouse.core.model import Want

SYMBOLS = ("AAPL", "BRK.B", "EUR-USD", "BTC-USDT")


def heard_trades(feed, batches):
    """Symbol, time, price, size and conditions of every trade understood."""
    rows = []
    for batch in batches:
        parsed = feed.parse(batch)
        assert not parsed.rejects, parsed.rejects[:3]
        if parsed.ticks is not None:
            table = parsed.ticks.to_arrow().to_pylist()
            rows += [
                (r["symbol"], round(r["event_time"].timestamp() * 1e6), r["price"], r["size"], r["conditions"])
                for r in table
            ]
    return rows


async def test_quotes_are_what_was_sent(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("finnhub")
        found = understood(await here.asked(feed, feed.poll(Want(SYMBOLS, "quote"))))["quote"]
        assert found == sent(here.exchange, "finnhub")["quote"] and [row[0] for row in found] == list(SYMBOLS)
        assert all(NOON - 120_000_000 <= row[1] <= NOON for row in found)


async def test_trades_by_socket_are_the_truth_with_their_conditions_and_pings(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("finnhub")
        batches = await here.heard(feed, Want(SYMBOLS, "trade"), 70)
        rows, truth = heard_trades(feed, batches), here.exchange.truth()
        for symbol in SYMBOLS:
            true = truth.of(symbol)
            mine = [row for row in rows if row[0] == symbol]
            first = int(np.searchsorted(true.time, mine[0][1]))
            assert [(t, p) for _, t, p, *_ in mine] == list(
                zip(true.time[first:].tolist(), true.price[first:].tolist(), strict=True)
            )
        shares = [row for row in rows if row[0] == "AAPL"]
        assert len(shares) > 50 and all(("12" in row[4].split(",")) == (row[3] < 100) for row in shares)
        assert all(np.isnan(row[3]) if row[3] is not None else True for row in rows if row[0] == "EUR-USD")
        assert sum(b'"ping"' in frame for batch in batches for frame in batch.payloads()) == 1


@pytest.mark.parametrize(("interval", "days"), [("1m", 1), ("1h", 3), ("1d", 400), ("1w", 400)])
async def test_candles_are_for_those_who_pay_and_what_was_sent(tmp_path, interval, days):
    async with house(tmp_path) as here:
        feed = here.feed("finnhub")
        want = Want(("AAPL", "EUR-USD", "BTC-USDT"), f"candle:{interval}", NOON - days * DAY, NOON)
        with pytest.raises(BadCredentials):
            await here.asked(feed, feed.history(want))
        await tell(here.exchange, "terms?dialect=finnhub", plan="paid")
        found = understood(await here.asked(feed, feed.history(want)))["bar"]
        assert found == sent(here.exchange, "finnhub")["bar"] and {row[0] for row in found} == set(want.symbols)
        assert all(low <= min(o, c) <= max(o, c) <= h for _, _, _, o, h, low, c, _ in found)


async def test_refusals_are_what_the_feed_takes_them_for(tmp_path):
    async with house(tmp_path) as here:
        feed = here.feed("finnhub")
        with pytest.raises(UnknownSymbol):
            await here.asked(feed, feed.poll(Want(("NOPE",), "quote")))
        await tell(here.exchange, "terms?dialect=finnhub", plan="paid")
        with pytest.raises(NoData):
            await here.asked(feed, feed.history(Want(("AAPL",), "candle:1m", NOON - 4 * DAY, NOON - 3 * DAY)))
        await tell(here.exchange, "terms?dialect=finnhub", revoke=KEY)
        with pytest.raises(BadCredentials):
            await here.asked(feed, feed.poll(Want(SYMBOLS, "quote")))
        with pytest.raises(BadCredentials):
            (subscription,) = feed.subscriptions(Want(SYMBOLS, "trade"))
            from tickhouse.core.inbox import Inbox

            await here.transport.stream(subscription, Inbox("finnhub", clock=here.clock), line="f")


async def test_the_calls_of_a_minute_are_counted_for_each_key(tmp_path):
    async with house(tmp_path) as here:
        feed, headers = here.feed("finnhub"), {"symbol": "AAPL", "token": KEY}
        for _ in range(60):
            here.clock.move(0.1)
            assert (await ask(here.exchange, "/finnhub/api/v1/quote", **headers)).status_code == 200
        with pytest.raises(RateLimited) as limited:
            await here.asked(feed, feed.poll(Want(SYMBOLS, "quote")))
        assert 30 < limited.value.retry_after < 61


async def test_a_second_connection_of_a_key_ends_both_and_the_51st_symbol_is_refused(tmp_path):
    async with house(tmp_path) as here:
        url = f"{here.exchange.ws_url}/finnhub?token={KEY}"
        async with dial(url) as one:
            with pytest.raises(Exception, match="409"):
                await dial(url)
            await hear(one)
            assert one.close_code == 1006
        async with dial(url) as ws:
            for number in range(51):
                await ws.send(json.dumps({"type": "subscribe", "symbol": f"X{number}"}))
            assert json.loads(await ws.recv()) == {"msg": "Subscribing to too many symbols", "type": "error"}


async def test_messages_have_the_shape_of_recorded_ones(tmp_path, recordings):
    folder = recordings / "finnhub"
    async with house(tmp_path) as here:
        feed = here.feed("finnhub")
        quote = (await ask(here.exchange, "/finnhub/api/v1/quote", symbol="AAPL", token=KEY)).json()
        none = (await ask(here.exchange, "/finnhub/api/v1/quote", symbol="NOPE", token=KEY)).json()
        batches = await here.heard(feed, Want(("AAPL", "BTC-USDT"), "trade"), 5)
    theirs = json.loads((folder / "quote" / "AAPL_2026-10-01.json").read_text())
    assert list(quote) == list(theirs)
    assert none == json.loads((folder / "quote" / "unknown_symbol_zeros.json").read_text())
    ours = [json.loads(frame) for batch in batches for frame in batch.payloads()]
    for symbol, file in (("AAPL", "trades_AAPL_2023-03-31"), ("BINANCE:BTCUSDT", "trades_BTC_2024_2026")):
        line = json.loads((folder / "ws" / f"{file}.ndjson").read_text().splitlines()[0])
        recorded = json.loads(line["raw"])
        mine = next(one for one in ours if one["data"][0]["s"] == symbol)
        assert [key for key, _ in shape(mine)] == [key for key, _ in shape(recorded)]
        assert list(mine["data"][0]) == list(recorded["data"][0])
        assert type(mine["data"][0]["c"]) is type(recorded["data"][0]["c"])
