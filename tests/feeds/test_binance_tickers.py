"""Snapshots of 24 hours: asked for twenty pairs at a time, read as quotes, and as the simulated exchange serves them."""

import json
from pathlib import Path

import pytest

from tests.exchange.talk import START, passed, served
from tests.exchange.test_with_feed import answered, feed_of
from tests.feeds.samples_binance import TICKER
from tickhouse.core.batches import RawBatch
from tickhouse.core.clock import ManualClock
from tickhouse.core.errors import UnknownSymbol
from tickhouse.core.model import Ids, Kind, Want
from tickhouse.feeds import binance

RECORDED = Path(__file__).parents[3] / "shared" / "recordings" / "binance" / "rest" / "ticker_price_BTCUSDT.json"
SYMBOLS = tuple(f"A{n}-USDT" for n in range(41))
AT = 1_767_226_000_000_000


def read(*payloads: bytes) -> list[dict[str, object]]:
    parsed = binance.open().parse(RawBatch.of("binance", "ticker", list(payloads), AT))
    assert parsed.quotes is not None and not parsed.kinds.any()
    return parsed.quotes.to_pylist()


def test_twenty_pairs_are_asked_for_with_one_call_of_the_least_weight() -> None:
    requests = list(binance.open().poll(Want(SYMBOLS, "ticker")))
    asked = [json.loads(str(request.params["symbols"])) for request in requests]
    assert [len(pairs) for pairs in asked] == [20, 20, 1] and asked[0][:2] == ["A0USDT", "A1USDT"]
    assert [request.weight for request in requests] == [2, 2, 2]


def test_snapshots_have_no_trade_ids_so_that_no_gap_of_them_is_called_a_loss() -> None:
    assert binance.open(channel="ticker").ids is Ids.NONE and binance.open().ids is Ids.DENSE


def test_a_snapshot_is_a_quote_without_the_volume_of_a_day_that_it_does_not_know() -> None:
    (row,) = read(json.dumps(TICKER).encode())
    stated = {name: row[name] for name in ("symbol", "price", "change", "day_high", "bid", "ask", "day_volume")}
    assert stated == {
        "symbol": "BTC-USDT", "price": 4.000002, "change": -94.5, "day_high": 100.0, "bid": 4.0, "ask": 4.1, "day_volume": None,
    }  # fmt: skip
    assert row["event_time"].timestamp() == 1_767_225_600  # type: ignore[attr-defined]


def test_a_pair_that_cannot_be_read_is_refused_alone() -> None:
    bad = {**TICKER, "symbol": "ETHUSDT", "lastPrice": "many"}
    parsed = binance.open().parse(RawBatch.of("binance", "ticker", [json.dumps([TICKER, bad]).encode()], AT))
    assert parsed.quotes is not None and parsed.quotes.num_rows == 1
    assert [(one.index, one.reason) for one in parsed.rejects] == [(0, "price")] and parsed.kinds[0] == Kind.PARSED


@pytest.mark.skipif(not RECORDED.exists(), reason="needs ../shared/recordings")
def test_a_recorded_price_without_a_time_is_of_the_moment_of_its_receipt() -> None:
    (row,) = read(RECORDED.read_bytes())
    assert row["symbol"] == "BTC-USDT" and row["event_time"] == row["received_at"]


async def test_the_exchange_is_understood() -> None:
    clock = ManualClock(START)
    async with served(clock=clock) as exchange:
        await passed(exchange, clock, 30)
        feed = feed_of(exchange)
        (page,) = await answered(feed, feed.poll(Want(("BTC-USDT", "ETH-USDT"), "ticker")))
        assert page.quotes is not None
        rows = {row["symbol"]: row for row in page.quotes.to_pylist()}
        assert set(rows) == {"BTC-USDT", "ETH-USDT"}
        for symbol, row in rows.items():
            prices = exchange.truth().of(symbol).price
            assert row["day_low"] <= min(prices) and max(prices) <= row["day_high"] and row["price"] == prices[-1]
        with pytest.raises(UnknownSymbol):
            await answered(feed, feed.poll(Want(("NO-SUCH",), "ticker")))
