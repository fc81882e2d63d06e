"""What is asked of CoinGecko, what its answers mean, and which errors they stand for."""

import json
from itertools import pairwise
from typing import Any

import pytest

from tests.feeds.asking import DAY, HOUR, NOW, SECOND, answer, asked, quotes, read
from tickhouse.core.errors import (
    BadCredentials,
    BadMessage,
    BadSetting,
    NoData,
    RateLimited,
    SettingsError,
    Temporary,
    UnknownSymbol,
    Unreachable,
)  # fmt: skip
from tickhouse.core.model import Hole, Want
from tickhouse.core.requests import Answer, Request
from tickhouse.core.secrets import Secret
from tickhouse.feeds import coingecko
from tickhouse.feeds._coingecko_ids import FILE, shipped

LIMIT = {"status": {"error_code": 429, "error_message": "You've exceeded the Rate Limit. Key CG-hush"}}
RANGE = {
    "error": {"status": {"timestamp": "2025", "error_code": 10012, "error_message": "exceeds the allowed time range"}}
}


def prices(request: Request) -> dict[str, Any]:
    """Every coin in every currency that is asked for, as the live service answers."""
    currencies = str(request.params["vs_currencies"]).split(",")
    return {coin: dict.fromkeys(currencies, 1.5) for coin in str(request.params["ids"]).split(",")}


def test_one_call_prices_all_coins_in_all_currencies_with_no_space_after_a_comma() -> None:
    (request,) = asked(coingecko.open().poll(Want(("BTC-USD", "ETH-USD", "BTC-EUR"), "simple_price")), prices)
    assert request.url == "https://api.coingecko.com/api/v3/simple/price"
    assert request.params["ids"] == "bitcoin,ethereum"
    assert request.params["vs_currencies"] == "usd,eur"
    assert request.params["include_last_updated_at"] == "true"
    assert (request.channel, request.weight) == ("simple_price", 1)
    assert not any(" " in str(value) for value in request.params.values())


@pytest.mark.parametrize(("coins", "calls"), [(1, 1), (250, 1), (251, 2), (1000, 4)])
def test_250_coins_are_one_call(coins: int, calls: int) -> None:
    symbols = tuple(f"C{i}-USD" for i in range(coins))
    feed = coingecko.open(ids=", ".join(f"C{i}=coin-{i}" for i in range(coins)))
    requests = asked(feed.poll(Want(symbols, "simple_price")), prices)
    assert len(requests) == calls
    assert sum(len(str(r.params["ids"]).split(",")) for r in requests) == coins
    pages = asked(feed.poll(Want(symbols, "markets")))
    assert len(pages) == calls
    assert {page.params["per_page"] for page in pages} == {250}


def test_markets_are_asked_for_once_a_currency_and_only_the_coins_wanted_in_it() -> None:
    requests = asked(coingecko.open().poll(Want(("BTC-USD", "ETH-EUR", "SOL-USD"), "markets")))
    assert [(r.channel, r.params["vs_currency"], r.params["ids"]) for r in requests] == [
        ("markets:usd", "usd", "bitcoin,solana"),
        ("markets:eur", "eur", "ethereum"),
    ]


def test_coins_and_currencies_that_are_silently_left_out_are_told_after_the_last_answer() -> None:
    conversation = coingecko.open(ids="FOO=foo").poll(Want(("BTC-USD", "FOO-USD", "BTC-XYZ"), "simple_price"))
    next(conversation)
    with pytest.raises(UnknownSymbol, match=r"no price of FOO-USD, BTC-XYZ"):
        conversation.send(answer({"bitcoin": {"usd": 1}}))
    conversation = coingecko.open().poll(Want(("BTC-USD",), "simple_price"))
    next(conversation)
    with pytest.raises(StopIteration):
        conversation.send(answer({"bitcoin": {"usd": None}}))


def test_the_feed_asks_for_what_its_settings_say_where_the_step_does_not() -> None:
    feed = coingecko.open(channel="markets:usd", symbols="btc/usd", rest_url="http://127.0.0.1:9/", ws_url="ws://x")
    (request,) = asked(feed.poll(Want(("BTC-USD",), "")))
    assert request.url == "http://127.0.0.1:9/api/v3/coins/markets"


@pytest.mark.parametrize(
    ("options", "host", "header", "minute"),
    [
        ({}, "https://api.coingecko.com/", None, 5),
        ({"key": Secret("CG-hush")}, "https://api.coingecko.com/", "x-cg-demo-api-key", 100),
        ({"key": "CG-hush", "plan": "pro"}, "https://pro-api.coingecko.com/", "x-cg-pro-api-key", 500),
    ],
)
def test_a_key_goes_in_the_header_of_its_plan_and_is_never_shown(
    options: dict[str, Any], host: str, header: str | None, minute: int
) -> None:
    feed = coingecko.open(**options)
    (request,) = asked(feed.poll(Want(("BTC-USD",), "simple_price")), prices)
    assert request.url.startswith(host)
    assert {name: secret.reveal() for name, secret in request.secret_headers.items()} == (
        {header: "CG-hush"} if header else {}
    )
    assert "hush" not in f"{request} {feed.options}"
    assert feed.pace.per_minute == minute


@pytest.mark.parametrize(
    "options",
    [{"channel": "trade"}, {"plan": "free"}, {"ids": "BTC"}, {"ids": "=x"}, {"speed": 1}, {"symbols": ["BTC-USDT"]},
     {"symbols": "BTC"}, {"symbols": "NOSUCHCOIN-USD"}],
)  # fmt: skip
def test_an_option_that_cannot_be_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(BadSetting, match=next(iter(options))):
        coingecko.open(**options)


@pytest.mark.parametrize(
    ("symbol", "hint"),
    [("BTC-USDT", "BTC-USD"), ("BTC", "BTC-USD"), ("HBARS-USD", "such as HBAR-USD"), ("QQQQ-USD", 'ids = "QQQQ=<id>"')],
)
def test_a_symbol_that_coingecko_cannot_price_is_refused_with_what_to_do(symbol: str, hint: str) -> None:
    with pytest.raises(BadSetting, match=hint):
        coingecko.open().poll(Want((symbol,), "simple_price"))


def test_what_coingecko_has_not_is_a_settings_error_or_no_data_at_once() -> None:
    feed = coingecko.open()
    for wrong in (
        lambda: feed.subscriptions(Want(("BTC-USD",), "simple_price")),
        lambda: feed.poll(Want(("BTC-USD",), "ohlc")),
        lambda: feed.history(Want(("BTC-USD",), "kline")),
        lambda: feed.history(Want(("BTC-USD",), "ohlc", options={"interval": "1m"})),
        lambda: feed.history(Want(("BTC-USD",), "market_chart", options={"interval": "1m"})),
        lambda: feed.history(Want(("BTC-USD",), "market_chart", start=NOW)),
    ):
        with pytest.raises(SettingsError):
            wrong()
    with pytest.raises(NoData, match="no trades"):
        feed.refill(Hole("coingecko", "BTC-USD", 1, 2, 0, 1))


def test_the_map_of_ids_is_one_to_one_and_comes_with_the_package() -> None:
    assert len(set(shipped().values())) == len(shipped()) >= 60
    assert FILE.is_file() and FILE.parent.joinpath("coingecko.py").is_file()
    feed = coingecko.open(ids={"XBT": "bitcoin"})
    assert quotes(read(feed, "simple_price", {"bitcoin": {"usd": 1}}), "symbol") == [("XBT-USD",)]
    with pytest.raises(BadSetting):
        feed.poll(Want(("BTC-USD",), "simple_price"))


def test_search_names_the_ids_of_a_symbol_for_the_option() -> None:
    listed = [
        {"id": "gold-a", "symbol": "gold", "name": "A"},
        {"id": "b", "symbol": "bb", "name": "Gold"},
        {"id": "c", "symbol": "d", "name": "e"},
    ]
    search = coingecko.open().search("GOLD")
    assert next(search).url.endswith("/coins/list")
    with pytest.raises(StopIteration) as done:
        search.send(answer(listed))
    assert [coin.option for coin in done.value.value] == ["GOLD=gold-a", "BB=b"]
    search = coingecko.open().search("GOLD")
    next(search)
    with pytest.raises(BadMessage):
        search.send(answer({"error": "x"}))


# History


@pytest.mark.parametrize(
    ("interval", "days", "calls"),
    [("", 300, 1), ("5m", 3, 3), ("1h", 90, 1), ("1h", 91, 2), ("1d", 300, 1), ("1d", 9, 1)],
)
def test_prices_of_the_past_are_asked_for_in_pieces_that_are_fine_enough(interval: str, days: int, calls: int) -> None:
    want = Want(("BTC-USD",), "market_chart", NOW - days * DAY, NOW, {"interval": interval} if interval else {})
    requests = asked(coingecko.open().history(want))
    assert len(requests) == calls
    assert {r.channel for r in requests} == {"market_chart:bitcoin:usd"}
    assert {r.url for r in requests} == {"https://api.coingecko.com/api/v3/coins/bitcoin/market_chart/range"}
    spans = [(int(r.params["from"]), int(r.params["to"])) for r in requests]
    assert spans[0][0] == (NOW - days * DAY) // SECOND
    assert spans[-1][1] == NOW // SECOND - 1
    assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(spans))


def test_prices_without_a_start_are_those_of_the_newest_day() -> None:
    (request,) = asked(coingecko.open().history(Want(("BTC-EUR",), "simple_price")))
    assert request.url.endswith("/coins/bitcoin/market_chart")
    assert request.params == {"vs_currency": "eur", "days": 1}


@pytest.mark.parametrize(
    ("ago", "until", "interval", "days"),
    [
        (DAY, 0, "", [1]), (6 * HOUR, 0, "", [1]), (5 * DAY, 0, "", [7]), (40 * DAY, 0, "", [90]),
        (40 * DAY, 39 * DAY, "", [1, 90]), (DAY, 0, "4h", [7]), (DAY, 0, "4d", [90]), (20 * DAY, 0, "30m", [1]),
        (400 * DAY, 0, "", [365]), (None, 0, "", [1]),
    ],
)  # fmt: skip
def test_bars_are_asked_for_by_days_until_now(ago: int | None, until: int, interval: str, days: list[int]) -> None:
    start = None if ago is None else NOW - ago
    want = Want(("BTC-USD",), "ohlc", start, NOW - until, {"interval": interval} if interval else {})
    requests = asked(coingecko.open().history(want), lambda request: answer([], at=NOW))
    assert [r.params["days"] for r in requests] == days
    assert {r.channel for r in requests} == {"ohlc:bitcoin:usd"}


def test_an_empty_range_asks_nothing() -> None:
    assert asked(coingecko.open().history(Want(("BTC-USD",), "market_chart", NOW, NOW))) == []


# Answers


def test_a_price_is_stamped_by_the_provider_else_by_its_arrival() -> None:
    parsed = read(
        coingecko.open(), "simple_price",
        {"bitcoin": {"eur": 75348, "eur_24h_change": -1.5, "eur_24h_vol": 9, "eur_market_cap": 7, "last_updated_at": 1767225000}},
        {"cardano": {"usd": 0.218694, "eth": 1e-5}},
    )  # fmt: skip
    assert quotes(parsed, "symbol", "price", "event_time", "received_at", "change_percent", "raw") == [
        ("BTC-EUR", 75348.0, 1767225000 * SECOND, NOW, -1.5, 0),
        ("ADA-USD", 0.218694, NOW, NOW, None, 1),
        ("ADA-ETH", 1e-5, NOW, NOW, None, 1),
    ]
    assert quotes(parsed, "day_volume", "bid", "day_open") == [(None, None, None)] * 3
    assert parsed.ticks is None


@pytest.mark.parametrize(
    ("body", "reason", "says"),
    [
        ({"bitcoin": {}}, "unknown_symbol", "its currency is not known"),
        ({"no-such-coin": {"usd": 1}}, "unknown_symbol", "feeds.coingecko.options.ids"),
        ({"bitcoin": {"usd": None}}, "price", "no price of bitcoin"),
        ({"bitcoin": {"usd": 0}}, "price", "not above 0"),
        ({"bitcoin": {"usd": "1"}}, "changed_field", "Expected"),
        ({"bitcoin": {"u$d": 1}}, "unknown_symbol", "cannot be a currency"),
        ({"bitcoin": {"usd": 1, "last_updated_at": 1767225000000}}, "time", "seconds"),
        (b'{"bitcoin":{"usd":1e400}}', "changed_field", "out of range"),
        (b'{"bitcoin":{"usd":1', "truncated", "ends in the middle"),
        (b"Throttled", "malformed", "not JSON"),
    ],
)
def test_a_price_that_cannot_be_read_is_refused_alone_and_says_why(body: Any, reason: str, says: str) -> None:
    parsed = read(coingecko.open(), "simple_price", body, {"ethereum": {"usd": 2}})
    assert [(r.index, r.reason) for r in parsed.rejects] == [(0, reason)]
    assert says in parsed.rejects[0].detail
    assert quotes(parsed, "symbol", "price") == [("ETH-USD", 2.0)]
    if isinstance(body, dict):
        both = read(coingecko.open(), "simple_price", body | {"ethereum": {"usd": 2}})
        assert (len(both.rejects), quotes(both, "symbol")) == (1, [("ETH-USD",)])


def test_a_coin_called_status_or_error_is_a_coin_and_no_refusal() -> None:
    feed = coingecko.open(ids="SNT=status,ERR=error")
    for coin in ("status", "error"):
        assert feed.classify(answer({coin: {"usd": 0.02}})) is None
    parsed = read(feed, "simple_price", {"status": {"usd": 0.02}, "error": {"usd": 3}})
    assert quotes(parsed, "symbol", "price") == [("SNT-USD", 0.02), ("ERR-USD", 3.0)]


def test_an_answer_that_does_not_say_all_of_itself_needs_a_channel_that_does() -> None:
    feed = coingecko.open()
    for channel, example in (
        ("markets", "markets:usd"), ("market_chart", "market_chart:bitcoin:usd"), ("ohlc:bitcoin", "ohlc:bitcoin:usd"),
        ("history", "history:30-12-2017"), ("markets:", "markets:usd"), ("nonsense", "no channel 'nonsense'"),
    ):  # fmt: skip
        (reject,) = read(feed, channel, b"[]").rejects
        assert example in reject.detail


def test_a_market_has_change_high_and_low_of_the_last_day_and_no_volume() -> None:
    market = {"id": "bitcoin", "current_price": 49053, "high_24h": 51300, "low_24h": None, "total_volume": 61679663434,
              "price_change_24h": -2246.5, "price_change_percentage_24h": -4.3,
              "last_updated": "2026-01-01T00:00:00.867Z"}  # fmt: skip
    parsed = read(
        coingecko.open(), "markets:usd", [market, market | {"id": "ethereum", "last_updated": None}, {"id": 1}]
    )
    names = ("symbol", "price", "event_time", "change", "change_percent", "day_high", "day_low", "day_volume")
    assert quotes(parsed, *names) == [
        ("BTC-USD", 49053.0, 1767225600_867000, -2246.5, -4.3, 51300.0, None, None),
        ("ETH-USD", 49053.0, NOW, -2246.5, -4.3, 51300.0, None, None),
    ]
    assert [r.reason for r in parsed.rejects] == ["changed_field"]


def test_points_of_a_chart_are_kept_as_they_come_also_the_live_one() -> None:
    points = [[1767225000000, 50000.25], [1767225299123.0, 50001], [1767225298000, 50001], [1767225299124, None]]
    parsed = read(
        coingecko.open(), "market_chart:bitcoin:usd", {"prices": points, "market_caps": [], "total_volumes": [[1, 2]]}
    )
    assert quotes(parsed, "symbol", "event_time", "price") == [
        ("BTC-USD", 1767225000_000000, 50000.25),
        ("BTC-USD", 1767225299_123000, 50001.0),
        ("BTC-USD", 1767225298_000000, 50001.0),
    ]
    assert [r.reason for r in parsed.rejects] == ["price"]


def candles(step: int, *ends: int) -> list[list[float]]:
    """Candles that end so many steps before NOW, the first ones first."""
    return [[(NOW - back * step) // 1000, 3, 4.5, 2, 3.25] for back in ends]


@pytest.mark.parametrize(("minutes", "interval"), [(30, "30m"), (240, "4h"), (5760, "4d")])
def test_a_candle_is_stamped_at_its_open_and_as_long_as_its_neighbours_are_apart(minutes: int, interval: str) -> None:
    step = minutes * 60 * SECOND
    parsed = read(coingecko.open(), "ohlc:bitcoin:usd", candles(step, 3, 2, 1, 0, -1))
    assert parsed.bars is not None and not parsed.rejects
    assert parsed.bars.start.tolist() == [NOW - back * step for back in (4, 3, 2, 1)], "the last one was not over"
    assert parsed.bars.to_arrow()["interval"].to_pylist() == [interval] * 4
    assert parsed.bars.take(slice(0, 1)).to_arrow().to_pylist()[0]["volume"] == 0.0
    assert [parsed.bars.open[0], parsed.bars.high[0], parsed.bars.low[0], parsed.bars.close[0]] == [3, 4.5, 2, 3.25]
    assert (parsed.bars.known_at == NOW).all()


def test_a_gap_between_candles_is_no_longer_candle_and_a_live_last_one_is_left_out() -> None:
    rows = candles(4 * HOUR, 9, 8, 7, 3, 2, 1)
    live = [rows[-1][0] + 60_000, 3, 4.5, 2, 3.25]
    parsed = read(coingecko.open(), "ohlc:bitcoin:usd", [*rows, live])
    assert parsed.bars is not None and not parsed.rejects
    assert parsed.bars.start.tolist() == [NOW - back * 4 * HOUR for back in (10, 9, 8, 4, 3, 2)]


def test_candles_that_do_not_tell_their_length_or_are_off_the_grid_are_refused() -> None:
    (alone,) = read(coingecko.open(), "ohlc:bitcoin:usd", candles(HOUR, 1)).rejects
    assert alone.reason == "interval"
    rows = candles(4 * HOUR, 5, 4, 3, 2, 1)
    rows[2][0] += 60_000
    parsed = read(coingecko.open(), "ohlc:bitcoin:usd", rows)
    assert parsed.bars is not None
    assert (len(parsed.bars), [r.reason for r in parsed.rejects]) == (3, ["interval"] * 2), "it and the one after it"


@pytest.mark.parametrize(
    ("given", "error", "after"),
    [
        (answer(LIMIT, 429, retry_after="53"), RateLimited, 53),
        (answer(LIMIT, 200), RateLimited, 60),
        (answer(b"Throttled", 429), RateLimited, 60),
        (answer(b"Throttled", 200), RateLimited, 60),
        (answer(b"error code: 1015", 429, retry_after="119"), RateLimited, 119),
        (answer(b"<html><title>429 Too Many Requests</title></html>", 200), RateLimited, 60),
        (answer(b"", 429), RateLimited, 60),
        (answer(b"<html>blocked</html>", 403), RateLimited, 300),
        (answer(RANGE, 401), NoData, None),
        (answer(RANGE, 200), NoData, None),
        (answer({"status": {"error_code": 10002, "error_message": "API Key Missing"}}, 401), BadCredentials, None),
        (answer({"status": {"error_code": 10010, "error_message": "..."}}, 400), BadCredentials, None),
        (answer({"error": {"status": {"error_code": 10011, "error_message": "..."}}}, 400), BadCredentials, None),
        (answer({"error": "invalid vs_currency"}, 400), UnknownSymbol, None),
        (answer({"error": "coin not found"}, 404), UnknownSymbol, None),
        (answer({"error": "Missing parameter ids"}, 422), BadMessage, None),
        (answer({"error": "Missing parameter vs_currency"}, 200), BadMessage, None),
        (answer({"status": 500, "error": "Internal Server Error"}, 500), Unreachable, None),
        (answer({"status": 500, "error": "Internal Server Error"}, 200), Unreachable, None),
        (answer({"error": "something new"}, 200), BadMessage, None),
        (answer({"error": "something new"}, 403), BadCredentials, None),
        (answer({"x": {"y": 1}}, 402), BadCredentials, None),
        (answer({}, 503, retry_after="5"), Unreachable, 5),
        (answer(b"<html>502</html>", 502), Unreachable, None),
        (answer(b"<html>log in to the network</html>", 200), Unreachable, None),
        (answer({}, 451), BadSetting, None),
        (answer(b"not found", 404), BadSetting, None),
        (answer({}, 200), UnknownSymbol, None),
        (answer({"bitcoin": {}, "ethereum": {}}), UnknownSymbol, None),
        (answer([], 200), NoData, None),
        (answer({"prices": [], "market_caps": [], "total_volumes": []}), NoData, None),
        (answer(b"hello"), BadMessage, None),
        (answer(b""), BadMessage, None),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_data_is_the_right_error(
    given: Answer, error: type[Exception], after: float | None
) -> None:
    found = coingecko.open().classify(given)
    assert type(found) is error
    if isinstance(found, Temporary):
        assert found.retry_after == after
    assert str(found) and "hush" not in str(found)


@pytest.mark.parametrize(
    "body",
    [
        {"bitcoin": {"usd": 1}},
        {"bitcoin": {"usd": None}, "x": {}},
        [[1, 2, 3]],
        {"prices": [[1, 2]]},
        {"id": "bitcoin"},
    ],
)
def test_data_is_no_error(body: Any) -> None:
    assert coingecko.open().classify(answer(json.dumps(body).encode())) is None


def test_a_redirect_is_left_to_the_transport() -> None:
    assert coingecko.open().classify(answer(b"<html>moved</html>", 301)) is None
