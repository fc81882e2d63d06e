"""CoinGecko on answers that others captured from the live service: every file is rows, a classified error, or none of ours."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.feeds.asking import HOUR, quotes
from tests.feeds.recorded import answer, captured, index
from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import BadMessage, NoData, RateLimited
from tickhouse.feeds import coingecko
from tickhouse.feeds._coingecko_ids import found, shipped

ROWS = {
    "simple_price_btc_usd.json": ("simple_price", [("BTC-USD", 49253.0)]),
    "simple_price_btc_myr.json": ("simple_price", [("BTC-MYR", 203620.0)]),
    "simple_price_btc_eth.json": ("simple_price", [("BTC-ETH", 14.394342)]),
    "simple_price_eur_last_updated_2026-10-01.json": ("simple_price", [("BTC-EUR", 75348.0), ("ADA-EUR", 0.218694)]),
    "markets_usd_bitcoin.json": ("markets:usd", [("BTC-USD", 49053.0)]),
    "markets_myr_bitcoin.json": ("markets:myr", [("BTC-MYR", 202369.0)]),
}
CHARTS = {"market_chart_btc_1d.json": 288, "market_chart_btc_90d_daily.json": 91}
OTHERS = {"ohlc_btc_7d.json", "history_btc_2017-12-30.json"}
ERRORS = {
    "error_401_time_range.json": (NoData, None),
    "error_422_missing_ids.json": (BadMessage, None),
    "error_422_missing_vs_currency.json": (BadMessage, None),
    "error_429_rate_limit.json": (RateLimited, 53.0),
    "error_429_throttled.txt": (RateLimited, 60.0),
}
NOT_OURS = {
    "coin_tickers_btc_page1.json", "coins_list.json", "exchange_volume_chart_7d.json", "exchanges_list.json", "global.json",
}  # fmt: skip
CHANNELS = ("simple_price", "markets:usd", "market_chart:bitcoin:usd", "ohlc:bitcoin:usd", "history:30-12-2017")


def parsed(recordings: Path, name: str, channel: str, at: int | None = None) -> Parsed:
    body = (recordings / "coingecko" / name).read_bytes()
    received = captured(index(recordings, "coingecko")[name]) if at is None else at
    return coingecko.open().parse(RawBatch.of("coingecko", channel, [body], received))


def plain(recordings: Path, name: str) -> Any:
    return json.loads((recordings / "coingecko" / name).read_bytes())


def test_every_recording_is_tested(recordings: Path) -> None:
    assert set(index(recordings, "coingecko")) == {*ROWS, *CHARTS, *OTHERS, *ERRORS, *NOT_OURS}


@pytest.mark.parametrize("name", ROWS)
def test_present_prices(recordings: Path, name: str) -> None:
    channel, expected = ROWS[name]
    assert coingecko.open().classify(answer(recordings, "coingecko", name)) is None
    result = parsed(recordings, name, channel)
    assert quotes(result, "symbol", "price") == expected
    assert not result.rejects


def test_times_change_high_and_low_of_present_prices(recordings: Path) -> None:
    updated = parsed(recordings, "simple_price_eur_last_updated_2026-10-01.json", "simple_price")
    assert quotes(updated, "event_time") == [(1790895430_000000,)] * 2
    silent = parsed(recordings, "simple_price_btc_usd.json", "simple_price")
    assert quotes(silent, "event_time") == [(1621087816_000000,)], "2021-05-15T14:10:16Z, when it came"
    market = parsed(recordings, "markets_usd_bitcoin.json", "markets:usd")
    names = ("event_time", "change", "change_percent", "day_high", "day_low", "day_volume")
    assert quotes(market, *names) == [(1621094383_867000, -2246.57482218, -4.37931, 51300.0, 48019.0, None)]


@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_a_quote_a_point(recordings: Path, name: str) -> None:
    assert coingecko.open().classify(answer(recordings, "coingecko", name)) is None
    result, points = parsed(recordings, name, "market_chart:bitcoin:usd"), plain(recordings, name)["prices"]
    assert len(points) == CHARTS[name]
    assert quotes(result, "event_time", "price") == [(ms * 1000, price) for ms, price in points]
    assert set(quotes(result, "symbol", "day_volume")) == {("BTC-USD", None)}
    assert not result.rejects


def test_candles_start_four_hours_before_their_stamp_and_the_open_one_is_left_out(recordings: Path) -> None:
    name, rows = "ohlc_btc_7d.json", plain(recordings, "ohlc_btc_7d.json")
    assert coingecko.open().classify(answer(recordings, "coingecko", name)) is None
    bars = parsed(recordings, name, "ohlc:bitcoin:usd").bars
    assert bars is not None
    assert rows[-1][0] * 1000 > captured(index(recordings, "coingecko")[name]), "its last candle ends after the capture"
    assert bars.start.tolist() == [row[0] * 1000 - 4 * HOUR for row in rows[:-1]]
    assert bars.open.tolist() == [row[1] for row in rows[:-1]]
    assert bars.high.tolist() == [row[2] for row in rows[:-1]]
    assert bars.low.tolist() == [row[3] for row in rows[:-1]]
    assert bars.close.tolist() == [row[4] for row in rows[:-1]]
    assert set(bars.to_arrow()["interval"].to_pylist()) == {"4h"}
    assert not bars.volume.any()
    later = parsed(recordings, name, "ohlc:bitcoin:usd", at=1_800_000_000_000_000).bars
    assert later is not None and len(later) == len(rows) == 42


def test_candles_agree_with_the_chart_of_the_same_hours(recordings: Path) -> None:
    """The chart of the day before has about five points an hour; the candle at a time is that of the four hours before it."""
    bars = parsed(recordings, "ohlc_btc_7d.json", "ohlc:bitcoin:usd").bars
    points = plain(recordings, "market_chart_btc_1d.json")["prices"]
    assert bars is not None
    seen = 0
    for start, high, low in zip(bars.start.tolist(), bars.high.tolist(), bars.low.tolist(), strict=True):
        inside = [price for ms, price in points if start <= ms * 1000 < start + 4 * HOUR]
        if len(inside) > 45:
            seen += 1
            assert min(inside) * 0.995 < low and high < max(inside) * 1.005
    assert seen >= 4


def test_history_of_a_day(recordings: Path) -> None:
    result = parsed(recordings, "history_btc_2017-12-30.json", "history:30-12-2017")
    expected = plain(recordings, "history_btc_2017-12-30.json")["market_data"]["current_price"]
    assert quotes(result, "symbol", "price") == [(f"BTC-{code.upper()}", price) for code, price in expected.items()]
    assert set(quotes(result, "event_time")) == {(1514592000_000000,)}
    assert not result.rejects


@pytest.mark.parametrize("name", ERRORS)
def test_refusals_are_the_same_errors_with_their_status_and_without(recordings: Path, name: str) -> None:
    kind, after = ERRORS[name]
    for given in (answer(recordings, "coingecko", name), answer(recordings, "coingecko", name, status=200, headers={})):
        error = coingecko.open().classify(given)
        assert type(error) is kind
    error = coingecko.open().classify(answer(recordings, "coingecko", name))
    assert getattr(error, "retry_after", None) == after


@pytest.mark.parametrize("name", sorted(NOT_OURS))
def test_answers_of_what_we_do_not_ask_for_are_never_rows(recordings: Path, name: str) -> None:
    for channel in CHANNELS:
        result = parsed(recordings, name, channel)
        assert (result.quotes, result.bars, result.ticks) == (None, None, None)
        assert result.rejects


def test_the_map_of_ids_agrees_with_the_list_of_coins(recordings: Path) -> None:
    listed = {coin["id"]: coin["symbol"].upper() for coin in plain(recordings, "coins_list.json")}
    differs = {symbol: listed[coin] for symbol, coin in shipped().items() if listed.get(coin, symbol) != symbol}
    assert differs == {"RENDER": "RNDR"}, "renamed since 2021"
    assert sum(coin in listed for coin in shipped().values()) >= 45
    body = (recordings / "coingecko" / "coins_list.json").read_bytes()
    assert [coin.option for coin in found(body, "btc")] == ["BTC=bitcoin"]
    assert len(found(body, "SCC")) == 9, "a symbol is no identity"
