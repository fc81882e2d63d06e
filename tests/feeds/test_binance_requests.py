"""What is asked of Binance, and which error an answer stands for."""

import json
from collections.abc import Generator
from typing import Any

import pytest

from tickhouse.core.errors import (
    BadCredentials,
    BadMessage,
    BadSetting,
    RateLimited,
    SettingsError,
    Temporary,
    UnknownSymbol,
    Unreachable,
)  # fmt: skip
from tickhouse.core.model import Hole, Want
from tickhouse.core.requests import Answer, Request
from tickhouse.core.secrets import Secret
from tickhouse.feeds import binance

NOW = 1_767_225_600_000_000
MINUTE = 60_000_000


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, text, NOW)


class Exchange:
    """Answers pages from lists of trades, aggregates and klines, as the documentation says."""

    def __init__(self, trades: int = 0, each: int = 1) -> None:
        ms = NOW // 1000
        self.trades = [{"id": i, "price": "1", "qty": "1", "time": ms + i // 3} for i in range(trades)]
        self.aggregates = [
            {"a": 500 + n, "p": "1", "q": "1", "f": i, "l": min(i + each, trades) - 1, "T": ms + i // 3}
            for n, i in enumerate(range(0, trades, each))
        ]

    def page(self, request: Request) -> list[Any]:
        params = request.params
        path, limit = request.url.rsplit("/", 1)[1], int(params["limit"])
        if path == "klines":
            return self.klines(int(params["startTime"]), int(params["endTime"]), limit)
        rows, key = (self.trades, "id") if path == "historicalTrades" else (self.aggregates, "a")
        if "fromId" in params:
            return [row for row in rows if row[key] >= params["fromId"]][:limit]
        start, end = params.get("startTime", 0), params.get("endTime", 1 << 62)
        return [row for row in rows if start <= row["T"] <= end][:limit]

    @staticmethod
    def klines(start: int, end: int, limit: int) -> list[Any]:
        first = -(-start // 60_000) * 60_000
        return [[t, "1", "1", "1", "1", "1", t + 59_999, "1", 1, "1", "1", "0"] for t in range(first, end + 1, 60_000)][
            :limit
        ]


def conversation(asked: Generator[Request, Answer, None], exchange: Exchange) -> tuple[list[Request], list[Any]]:
    """Every request, and every row that came."""
    requests: list[Request] = []
    rows: list[Any] = []
    try:
        request = next(asked)
        while True:
            requests.append(request)
            page = exchange.page(request)
            rows += page
            request = asked.send(answer(page))
    except StopIteration:
        return requests, rows


def test_one_symbol_gets_a_raw_stream() -> None:
    (line,) = binance.open().subscriptions(Want(("BTC-USDT",), "trade"))
    assert line.url == "wss://stream.binance.com:9443/ws/btcusdt@trade"
    assert (line.channel, line.symbols, line.hello) == ("trade", ("BTC-USDT",), ())


def test_some_symbols_get_a_combined_stream() -> None:
    (line,) = binance.open(ws_url="ws://127.0.0.1:9/").subscriptions(Want(("BTC-USDT", "ETH-BTC"), "aggTrade"))
    assert line.url == "ws://127.0.0.1:9/stream?streams=btcusdt@aggTrade/ethbtc@aggTrade"


def test_many_symbols_are_subscribed_by_frames_within_the_limits() -> None:
    symbols = tuple(f"S{i}-USDT" for i in range(1500))
    lines = binance.open().subscriptions(Want(symbols, "trade"))
    assert [len(line.symbols) for line in lines] == [1024, 476]
    for line in lines:
        frames = [json.loads(text) for text in line.hello]
        assert line.url.endswith("/stream")
        assert {frame["method"] for frame in frames} == {"SUBSCRIBE"}
        assert max(len(frame["params"]) for frame in frames) <= 200
        assert [p for frame in frames for p in frame["params"]] == [
            f"{s.replace('-', '').lower()}@trade" for s in line.symbols
        ]
        assert len({frame["id"] for frame in frames}) == len(frames)
        assert line.sends_per_second <= 4


def test_a_symbol_that_fell_mute_is_subscribed_anew_alone() -> None:
    (line,) = binance.open().subscriptions(Want(("BTC-USDT", "ETH-USDT"), "kline", options={"interval": "5m"}))
    off, on = (json.loads(text) for text in line.renew["ETH-USDT"])
    assert (off["method"], on["method"]) == ("UNSUBSCRIBE", "SUBSCRIBE")
    assert off["params"] == on["params"] == ["ethusdt@kline_5m"]
    assert set(line.renew) == set(line.symbols)


def test_symbols_per_connection_is_a_setting_even_as_text() -> None:
    feed = binance.open(symbols_per_connection="2")
    assert [len(line.symbols) for line in feed.subscriptions(Want(("A-USDT", "B-USDT", "C-USDT"), ""))] == [2, 1]


@pytest.mark.parametrize(
    "options",
    [
        {"channel": "depth"},
        {"symbols_per_connection": 1025},
        {"symbols_per_connection": "x"},
        {"refill": "x"},
        {"speed": 1},
    ],
)
def test_an_option_that_cannot_be_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(BadSetting, match=next(iter(options))):
        binance.open(**options)


def test_a_channel_or_interval_that_binance_has_not_is_a_settings_error() -> None:
    feed = binance.open()
    with pytest.raises(SettingsError):
        feed.subscriptions(Want(("BTC-USDT",), "depth"))
    with pytest.raises(SettingsError):
        feed.subscriptions(Want(("BTC-USDT",), "kline:7m"))
    with pytest.raises(SettingsError):
        next(feed.history(Want(("BTC-USDT",), "depth")))


@pytest.mark.parametrize(("first", "last"), [(0, 0), (5, 1004), (5, 1005), (7, 3210), (2990, 2999), (0, 2999)])
def test_a_hole_is_refilled_exactly_by_trade_id(first: int, last: int) -> None:
    hole = Hole("binance", "BTC-USDT", first, last, NOW, NOW + MINUTE)
    requests, rows = conversation(binance.open().refill(hole), Exchange(trades=3000))
    assert [row["id"] for row in rows] == list(range(first, min(last, 2999) + 1))
    assert {r.channel for r in requests} == {"historicalTrades:BTCUSDT"}
    assert {r.weight for r in requests} == {25}
    assert all(int(r.params["limit"]) <= 1000 for r in requests)
    assert requests[0].url == "https://api.binance.com/api/v3/historicalTrades"
    assert len(requests) <= (last - first) // 1000 + 2


def test_a_hole_is_refilled_by_aggregate_trades_where_single_ones_are_not_served() -> None:
    exchange = Exchange(trades=6000, each=2)
    hole = Hole("binance", "BTC-USDT", 900, 5100, NOW + 300_000, NOW + 1_700_000)
    requests, rows = conversation(binance.open(refill="aggTrades").refill(hole), exchange)
    covered = {i for row in rows for i in range(row["f"], row["l"] + 1)}
    assert covered >= set(range(900, 5101))
    assert {r.channel for r in requests} == {"aggTrades:BTCUSDT"}
    assert {r.weight for r in requests} == {4}


def test_history_of_trades_covers_the_range_though_many_share_a_millisecond() -> None:
    exchange = Exchange(trades=9000)
    want = Want(("BTC-USDT",), "trade", start=NOW + 1_000, end=NOW + 2_500_000)
    requests, rows = conversation(binance.open().history(want), exchange)
    wanted = {row["a"] for row in exchange.aggregates if NOW + 1_000 <= row["T"] * 1000 < NOW + 2_500_000}
    got = [row["a"] for row in rows]
    assert wanted <= set(got)
    assert len(got) == len(set(got))
    assert len(got) < len(wanted) + 1000
    assert requests[0].channel == "aggTrades:BTCUSDT"


@pytest.mark.parametrize("minutes", [1, 999, 1000, 1001, 2500])
def test_history_of_bars_has_every_minute_once(minutes: int) -> None:
    want = Want(("BTC-USDT", "ETH-USDT"), "klines", start=NOW, end=NOW + minutes * MINUTE, options={"interval": "1m"})
    requests, rows = conversation(binance.open().history(want), Exchange())
    assert [row[0] for row in rows] == [NOW // 1000 + i * 60_000 for i in range(minutes)] * 2
    assert {r.channel for r in requests} == {"klines:BTCUSDT:1m", "klines:ETHUSDT:1m"}
    assert len(requests) == 2 * max(1, -(-minutes // 1000))


def test_history_without_a_start_is_the_newest_page() -> None:
    asked = binance.open().history(Want(("BTC-USDT",), "klines:5m"))
    request = next(asked)
    assert set(request.params) == {"symbol", "interval", "limit"}
    with pytest.raises(StopIteration):
        asked.send(answer(Exchange.klines(0, 10**9, 1000)))


def test_an_empty_range_asks_nothing() -> None:
    for channel in ("klines", "aggTrades"):
        assert list(binance.open().history(Want(("BTC-USDT",), channel, start=NOW, end=NOW))) == []


def test_a_page_that_is_no_page_ends_the_paging_with_an_error() -> None:
    asked = binance.open().refill(Hole("binance", "BTC-USDT", 0, 5, NOW, NOW))
    next(asked)
    with pytest.raises(BadMessage):
        asked.send(answer(b'[{"id":'))


def test_a_key_is_sent_and_never_shown() -> None:
    request = next(binance.open(key=Secret("k123")).refill(Hole("binance", "BTC-USDT", 0, 5, NOW, NOW)))
    assert request.secret_headers["X-MBX-APIKEY"].reveal() == "k123"
    assert "k123" not in repr(request)


@pytest.mark.parametrize(
    ("given", "error", "after"),
    [
        (answer({"code": -1003, "msg": "Too much request weight used"}, 429, retry_after="17"), RateLimited, 17),
        (answer({"code": -1003, "msg": "Too much request weight used"}, 429), RateLimited, 60),
        (answer(b"", 418, retry_after="300"), RateLimited, 300),
        (answer({"code": -1003, "msg": f"IP banned until {NOW // 1000 + 90_000}. Please"}, 418), RateLimited, 120),
        (answer({"code": -1003, "msg": f"IP banned until {NOW // 1000 + 900_000}. Please"}, 418), RateLimited, 900),
        (answer({"code": -1003, "msg": "Too many requests"}, 200), RateLimited, 60),
        (answer({"code": 0, "msg": "Service unavailable from a restricted location"}, 451), BadSetting, None),
        (answer({"code": 0, "msg": "Service unavailable from a restricted location according to"}), BadSetting, None),
        (answer(b"<html><body>403 Forbidden</body></html>", 403), RateLimited, 300),
        (answer({"code": -1121, "msg": "Invalid symbol."}, 400), UnknownSymbol, None),
        (answer({"code": -1120, "msg": "Invalid interval."}, 400), BadSetting, None),
        (answer({"code": -1100, "msg": "Illegal characters found in parameter"}, 400), BadSetting, None),
        (answer({"code": -1102, "msg": "Mandatory parameter"}, 400), BadSetting, None),
        (answer({"code": -1001, "msg": "Internal error"}, 400), Unreachable, None),
        (answer({"code": -1007, "msg": "Timeout waiting"}, 408), Unreachable, None),
        (answer({"code": -1008, "msg": "Server is overloaded"}, 503, retry_after="5"), Unreachable, 5),
        (answer(b"<html>502 Bad Gateway</html>", 502), Unreachable, None),
        (answer(b"", 500), Unreachable, None),
        (answer({"code": -2015, "msg": "Invalid API-key, IP, or permissions"}, 401), BadCredentials, None),
        (answer({"code": -2014, "msg": "API-key format invalid."}, 400), BadCredentials, None),
        (answer(b"<html>log in to the network</html>", 200), Unreachable, None),
        (answer(b"hello", 200), BadMessage, None),
        (answer(b"", 200), BadMessage, None),
        (answer(b"not found", 404), BadSetting, None),
        (answer(b"moved", 302), BadMessage, None),
    ],
)
def test_an_answer_that_is_no_data_is_the_right_error(
    given: Answer, error: type[Exception], after: float | None
) -> None:
    found = binance.open().classify(given)
    assert type(found) is error
    if isinstance(found, Temporary):
        assert found.retry_after == after
    assert str(found)


@pytest.mark.parametrize("body", [b"[]", b"{}", b' [[1,"2"]]', b'{"serverTime":1}', b'{"result":null,"id":1}'])
def test_data_is_no_error(body: bytes) -> None:
    assert binance.open().classify(answer(body)) is None
