"""What is asked of Finnhub, what its frames and answers mean, and which errors they stand for."""

import json
from itertools import pairwise
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection

from tests.core.test_stream import listening, serving
from tests.feeds.asking import DAY, MINUTE, NOW, SECOND, answer, asked, quotes, read
from tests.feeds.samples_finnhub import CANDLES, COIN, LIMIT, MARKET, PING, QUOTE, RATE, SHARE, TOO_MANY, ZEROS, frame
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
)
from tickhouse.core.model import Hole, Ids, Kind, Want
from tickhouse.core.requests import Answer
from tickhouse.core.secrets import Secret
from tickhouse.feeds import finnhub

KEY = Secret("hush-t0ken")
MANY = tuple(f"S{i}" for i in range(51))

# What is asked


def test_the_socket_has_the_key_as_a_secret_and_one_frame_a_symbol() -> None:
    feed = finnhub.open(key=KEY)
    (line,) = feed.subscriptions(Want(("AAPL", "BTC-USDT", "EUR-USD"), "trade"))
    assert (line.url, line.channel, line.symbols) == ("wss://ws.finnhub.io", "trade", ("AAPL", "BTC-USDT", "EUR-USD"))
    assert [json.loads(text) for text in line.hello] == [
        {"type": "subscribe", "symbol": name} for name in ("AAPL", "BINANCE:BTCUSDT", "OANDA:EUR_USD")
    ]
    assert line.secret_params["token"].reveal() == "hush-t0ken"
    assert "hush" not in f"{line} {feed.options}"
    off, on = (json.loads(text) for text in line.renew["BTC-USDT"])
    assert (off["type"], on["type"], on["symbol"]) == ("unsubscribe", "subscribe", "BINANCE:BTCUSDT")


def test_a_key_has_one_connection_that_is_never_replaced_while_it_lives_and_is_mute_without_pings() -> None:
    feed = finnhub.open(key=KEY)
    (line,) = feed.subscriptions(Want(MANY[:50], ""))
    assert line.lifetime == float("inf")
    assert line.speaks and 120 < line.mute_after < 180
    with pytest.raises(BadSetting, match="at most 50, for a key has one connection"):
        feed.subscriptions(Want(MANY, "trade"))
    paid = finnhub.open(key=KEY, symbols_per_connection="51")
    assert len(paid.subscriptions(Want(MANY, "trade"))) == 1
    assert feed.subscriptions(Want((), "trade")) == []


async def test_the_key_reaches_the_server_and_nothing_that_is_said(tmp_path: Path) -> None:
    heard_by_server: list[str] = []

    async def handler(connection: ServerConnection) -> None:
        heard_by_server.append(str(connection.request.path) if connection.request else "")
        heard_by_server.append(str(await connection.recv()))
        await connection.send(frame(SHARE).decode())
        await connection.wait_closed()

    async with serving(handler) as (_, url):
        feed = finnhub.open(key=KEY, ws_url=url)
        (line,) = feed.subscriptions(Want(("AAPL",), "trade"))
        async with listening(tmp_path, line) as heard:
            await heard.until(lambda: bool(heard.frames))
            assert "hush" not in f"{heard.transport.health} {heard.items}"
    assert heard_by_server == ["/ws?token=hush-t0ken", '{"type":"subscribe","symbol":"AAPL"}']
    ticks = read(feed, "trade", *heard.frames).ticks
    assert ticks is not None and ticks.price.tolist() == [164.0601]


def test_quotes_are_asked_for_one_by_one_with_the_key_in_a_header() -> None:
    feed = finnhub.open(key="hush-t0ken", channel="quote", rest_url="http://127.0.0.1:9/")
    first, second = asked(feed.poll(Want(("AAPL", "BTC-USDT"), "")))
    assert (first.url, first.params, first.channel) == (
        "http://127.0.0.1:9/api/v1/quote",
        {"symbol": "AAPL"},
        "quote:AAPL",
    )
    assert (second.params, second.channel) == ({"symbol": "BINANCE:BTCUSDT"}, "quote:BTC-USDT")
    assert first.secret_headers["x-finnhub-token"].reveal() == "hush-t0ken"
    assert "hush" not in f"{first} {second}"


@pytest.mark.parametrize(
    ("interval", "days", "calls", "resolution"),
    [("1m", 30, 1, "1"), ("1m", 31, 2, "1"), ("1h", 90, 3, "60"), ("1d", 3000, 1, "D"), ("1w", 3000, 1, "W")],
)
def test_bars_of_the_past_come_a_month_a_call_when_they_are_short(
    interval: str, days: int, calls: int, resolution: str
) -> None:
    want = Want(("AAPL",), "candle", NOW - days * DAY, NOW, {"interval": interval})
    requests = asked(finnhub.open(key=KEY).history(want))
    assert len(requests) == calls
    assert {(r.channel, r.params["resolution"]) for r in requests} == {(f"candle:AAPL:{interval}", resolution)}
    spans = [(int(r.params["from"]), int(r.params["to"])) for r in requests]
    assert (spans[0][0], spans[-1][1]) == ((NOW - days * DAY) // SECOND, NOW // SECOND - 1)
    assert all(later[0] == earlier[1] + 1 for earlier, later in pairwise(spans))


def test_candles_of_shares_coins_and_currencies_have_paths_of_their_own() -> None:
    want = Want(("AAPL", "BTC-USDT", "EUR-USD"), "candle:5m", NOW - DAY, NOW)
    requests = asked(finnhub.open(key=KEY).history(want))
    assert [(r.url.removeprefix("https://finnhub.io/api/v1/"), r.params["symbol"]) for r in requests] == [
        ("stock/candle", "AAPL"), ("crypto/candle", "BINANCE:BTCUSDT"), ("forex/candle", "OANDA:EUR_USD"),
    ]  # fmt: skip
    assert requests[1].channel == "candle:BTC-USDT:5m"


def test_what_finnhub_has_not_is_a_settings_error_or_no_data_at_once() -> None:
    feed, keyless = finnhub.open(key=KEY), finnhub.open()
    past = {"start": NOW - DAY, "end": NOW}
    for wrong, says in (
        (lambda: feed.subscriptions(Want(("AAPL",), "quote")), "quote is polled"),
        (lambda: feed.poll(Want(("AAPL",), "trade")), "trades come by socket"),
        (lambda: feed.history(Want(("AAPL",), "trade", **past)), "no trades of the past"),
        (lambda: feed.history(Want(("AAPL",), "candle:7m", **past)), "one of 1m"),
        (lambda: feed.history(Want(("AAPL",), "candle", NOW)), "a start and an end"),
        (lambda: keyless.subscriptions(Want(("AAPL",), "trade")), "feeds.finnhub.key"),
        (lambda: keyless.poll(Want(("AAPL",), "quote")), "feeds.finnhub.key"),
        (lambda: keyless.history(Want(("AAPL",), "candle", **past)), "feeds.finnhub.key"),
    ):
        with pytest.raises(SettingsError, match=says):
            wrong()
    with pytest.raises(NoData, match="what the socket missed is lost"):
        feed.refill(Hole("finnhub", "AAPL", 1, 2, 0, 1))


@pytest.mark.parametrize(
    "options",
    [
        {"channel": "candle"},
        {"symbols_per_connection": 0},
        {"symbols_per_connection": "x"},
        {"names": "EUR-USD"},
        {"speed": 1},
    ],
)
def test_an_option_that_cannot_be_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(BadSetting, match=next(iter(options))):
        finnhub.open(**options)


def test_symbols_go_to_finnhub_and_come_back() -> None:
    feed = finnhub.open(key=KEY, names="BTC-USD=COINBASE:BTC-USD, EUR-JPY=IC MARKETS:1", symbols="FOO-BAR")
    pairs = {
        "BRK.B": "BRK.B", "ETH-BTC": "BINANCE:ETHBTC", "XAU-USD": "OANDA:XAU_USD", "BTC-USD": "COINBASE:BTC-USD",
        "EUR-JPY": "IC MARKETS:1", "FOO-BAR": "BINANCE:FOOBAR",
    }  # fmt: skip
    (line,) = feed.subscriptions(Want(tuple(pairs), "trade"))
    assert [json.loads(text)["symbol"] for text in line.hello] == list(pairs.values())
    ticks = read(feed, "trade", frame(*(SHARE | {"s": spelling} for spelling in pairs.values()))).ticks
    assert ticks is not None and [ticks.symbols[code] for code in ticks.symbol] == list(pairs)
    other = finnhub.open(key=KEY, crypto_exchange="KRAKEN", forex_broker="FXCM")
    (line,) = other.subscriptions(Want(("ETH-BTC", "EUR-USD"), "trade"))
    assert [json.loads(text)["symbol"] for text in line.hello] == ["KRAKEN:ETHBTC", "FXCM:EUR_USD"]


# Frames


def test_equal_trades_are_all_kept_in_the_order_of_the_frame_and_have_no_ids() -> None:
    assert finnhub.open().ids is Ids.NONE
    late = SHARE | {"t": SHARE["t"] - 500}
    ticks = read(finnhub.open(), "trade", frame(SHARE, SHARE, late, SHARE), frame(COIN)).ticks
    assert ticks is not None
    assert ticks.raw.tolist() == [0, 0, 0, 0, 1]
    assert ticks.event_time.tolist() == [t * 1000 for t in (SHARE["t"], SHARE["t"], late["t"], SHARE["t"], COIN["t"])]
    assert (ticks.first_id == -1).all() and (ticks.last_id == -1).all()
    assert ticks.to_arrow()["first_id"].null_count == 5


def test_a_frame_may_speak_of_several_symbols_with_and_without_conditions() -> None:
    doc = {"p": 7296.89, "s": "BINANCE:BTCUSDT", "t": 1575526691134, "v": 0.011467}
    parsed = read(finnhub.open(), "trade", frame(SHARE, COIN, doc, SHARE | {"c": []}))
    assert parsed.ticks is not None and not parsed.rejects
    rows = parsed.ticks.to_arrow().to_pylist()
    assert [(r["symbol"], r["price"], r["size"], r["conditions"]) for r in rows] == [
        ("AAPL", 164.0601, 5.0, "1,12"), ("BTC-USDT", 66972.77, 0.01559, None), ("BTC-USDT", 7296.89, 0.011467, None),
        ("AAPL", 164.0601, 5.0, None),
    ]  # fmt: skip
    assert [(r["received_at"].timestamp(), r["source"]) for r in rows] == [(NOW / SECOND, "finnhub")] * 4


def test_no_size_says_that_a_price_changed_and_is_no_trade() -> None:
    ticks = read(finnhub.open(), "trade", frame(RATE, RATE | {"v": None}, SHARE)).ticks
    assert ticks is not None
    assert [isnan(size) for size in ticks.size] == [True, True, False]
    assert ticks.price.tolist() == [1.1618, 1.1618, 164.0601]
    assert list(ticks.symbols) == ["EUR-USD", "AAPL"]


def test_pings_errors_and_frames_of_another_kind_are_control() -> None:
    parsed = read(finnhub.open(), "trade", PING, TOO_MANY, frame(), b'{"type":"news","data":[{"id":5}]}', frame(SHARE))
    assert parsed.kinds.tolist() == [*[Kind.CONTROL] * 4, Kind.PARSED]
    assert not parsed.rejects


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"p": None}, "changed_field"), ({"p": "164"}, "changed_field"), ({"t": 1680286537}, "time"), ({"t": 10**30}, "time"),
        ({"s": "a b"}, "unknown_symbol"), ({"s": ""}, "unknown_symbol"), ({"s": "X:"}, "unknown_symbol"),
        ({"c": [1]}, "changed_field"),
        ({"c": "1"}, "changed_field"), ({"v": "5"}, "changed_field"),
    ],
)  # fmt: skip
def test_a_trade_that_cannot_be_read_is_refused_alone(change: dict[str, Any], reason: str) -> None:
    bad = SHARE | change
    parsed = read(finnhub.open(), "trade", frame(SHARE, bad, COIN), frame(bad), frame(COIN))
    assert [(r.index, r.reason) for r in parsed.rejects] == [(0, reason), (1, reason)]
    assert parsed.kinds.tolist() == [Kind.PARSED, Kind.REJECTED, Kind.PARSED]
    assert parsed.ticks is not None
    assert parsed.ticks.raw.tolist() == [0, 0, 2]
    assert parsed.ticks.price.tolist() == [SHARE["p"], COIN["p"], COIN["p"]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [(b'{"type":"trade"}', "changed_field"), (b'{"type":"trade","data":null}', "changed_field"), (b"{}", "changed_field"),
     (b'{"type":"trade","data":5}', "changed_field"), (frame(SHARE)[:-9], "truncated"), (b"hello", "malformed"),
     (b"\xff", "binary"),
     (b"[" * 100_000, "changed_field"), (b'{"type":' * 100_000, "changed_field")],
)  # fmt: skip
def test_a_frame_that_is_none_is_refused(text: bytes, reason: str) -> None:
    parsed = read(finnhub.open(), "trade", text)
    assert [r.reason for r in parsed.rejects] == [reason]
    assert parsed.ticks is None


def test_many_trades_are_read_as_json_reads_them() -> None:
    """Thousands of trades, against Python's own reading."""
    choose = np.random.default_rng(5)
    conditions = [["1"], ["1", "12"], None, ["24"]]
    plain = [
        {
            "c": conditions[i % 4],
            "p": float(p),
            "s": ("AAPL", "MSFT", "BINANCE:ETHUSDT")[i % 3],
            "t": NOW // 1000 + i,
            "v": i % 7,
        }
        for i, p in enumerate(choose.uniform(1, 400, 5000).round(4))
    ]
    ticks = read(finnhub.open(), "trade", *(frame(*plain[i : i + 40]) for i in range(0, 5000, 40))).ticks
    assert ticks is not None
    assert ticks.price.tolist() == [trade["p"] for trade in plain]
    assert ticks.event_time.tolist() == [trade["t"] * 1000 for trade in plain]
    assert np.nan_to_num(ticks.size).tolist() == [trade["v"] for trade in plain]
    assert [ticks.conditions[code] for code in ticks.condition] == [",".join(trade["c"] or ()) for trade in plain]
    names = {"AAPL": "AAPL", "MSFT": "MSFT", "BINANCE:ETHUSDT": "ETH-USDT"}
    assert [ticks.symbols[code] for code in ticks.symbol] == [names[str(trade["s"])] for trade in plain]
    assert ticks.raw.tolist() == [i // 40 for i in range(5000)]


# Answers


def test_a_quote_is_stamped_by_the_provider_else_by_its_arrival() -> None:
    parsed = read(
        finnhub.open(), "quote:AAPL", QUOTE, {"c": 5, "t": 0, "h": 0, "o": 0, "pc": 0}, {"c": 5.5, "t": 1586611898}
    )
    names = (
        "symbol",
        "event_time",
        "price",
        "change",
        "change_percent",
        "day_open",
        "day_high",
        "day_low",
        "previous_close",
    )
    assert quotes(parsed, *names) == [
        ("AAPL", QUOTE["t"] * SECOND, 328.655, -0.36, -0.11, 330.0, 332.47, 328.37, 329.02),
        ("AAPL", NOW, 5.0, None, None, None, None, None, None),
        ("AAPL", 1586611898 * SECOND, 5.5, None, None, None, None, None, None),
    ]
    assert parsed.ticks is None


@pytest.mark.parametrize(
    ("channel", "symbol"),
    [("quote:BTC-USDT", "BTC-USDT"), ("quote:BINANCE:BTCUSDT", "BTC-USDT"), ("quote:OANDA:EUR_USD", "EUR-USD")],
)
def test_a_channel_may_name_a_symbol_as_here_or_as_there(channel: str, symbol: str) -> None:
    assert quotes(read(finnhub.open(), channel, QUOTE), "symbol") == [(symbol,)]


@pytest.mark.parametrize(
    ("channel", "body", "reason", "says"),
    [
        ("quote:NOPE", ZEROS, "unknown_symbol", "NOPE"), ("quote", QUOTE, "unknown_symbol", "name it as in quote:AAPL"),
        ("quote:a b", QUOTE, "unknown_symbol", "cannot be a symbol"), ("quote:AAPL", QUOTE | {"c": -1}, "price", "not above 0"),
        ("quote:AAPL", QUOTE | {"t": QUOTE["t"] * 1000}, "time", "seconds"), ("quote:AAPL", MARKET, "changed_field", "`c`"),
        ("candle:AAPL", CANDLES, "unknown_symbol", "candle:AAPL:1d"),
        ("candle:AAPL:7x", CANDLES, "unknown_symbol", "candle:AAPL:1d"),
        ("candle", CANDLES, "unknown_symbol", "candle:AAPL:1d"), ("book:AAPL", CANDLES, "unknown_channel", "no channel"),
        ("candle:AAPL:1d", CANDLES | {"o": [1]}, "changed_field", "one length"),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_read_is_refused_and_says_why(channel: str, body: Any, reason: str, says: str) -> None:
    parsed = read(finnhub.open(), channel, body)
    assert [r.reason for r in parsed.rejects] == [reason]
    assert says in parsed.rejects[0].detail
    assert parsed.kinds.tolist() == [Kind.REJECTED]


def test_candles_are_bars_that_start_at_their_time_and_the_one_that_is_not_over_is_left_out() -> None:
    starts = [(NOW - back * MINUTE) // SECOND for back in (3, 2, 1, 0)]
    page = {
        "s": "ok",
        "t": starts,
        "o": [1, 2, 3, 4],
        "h": [3, None, 4, 5],
        "l": [0.5, 1, 2, 3],
        "c": [2, 3, 3.5, 4],
        "v": [9, 1, None, 7],
    }
    parsed = read(finnhub.open(), "candle:BINANCE:BTCUSDT:1m", page)
    assert parsed.bars is not None
    rows = parsed.bars.to_arrow().to_pylist()
    got = [(r["symbol"], r["interval"], r["open"], r["high"], r["low"], r["close"], r["volume"]) for r in rows]
    assert got == [("BTC-USDT", "1m", 1.0, 3.0, 0.5, 2.0, 9.0), ("BTC-USDT", "1m", 3.0, 4.0, 2.0, 3.5, 0.0)]
    assert parsed.bars.start.tolist() == [NOW - 3 * MINUTE, NOW - MINUTE]
    assert [r.reason for r in parsed.rejects] == ["price"]


RESET = str(NOW // SECOND + 17)


@pytest.mark.parametrize(
    ("given", "error", "after"),
    [
        (answer(LIMIT, 429), RateLimited, 60),
        (answer(LIMIT, 200), RateLimited, 60),
        (answer(LIMIT, 429, retry_after="7"), RateLimited, 7),
        (answer(LIMIT, 429, x_ratelimit_reset=RESET), RateLimited, 17),
        (answer(LIMIT, 200, x_ratelimit_reset=RESET), RateLimited, 17),
        (answer(LIMIT, 429, x_ratelimit_reset="5"), RateLimited, 60),
        (answer(b"Too Many Requests", 429, x_ratelimit_reset=RESET), RateLimited, 17),
        (answer(b"... Please sign up for a free account at finnhub.io ...", 429), BadCredentials, None),
        (answer(b"... Please sign up for a free account at finnhub.io ...", 200), BadCredentials, None),
        (answer({"error": "Please use an API key."}, 401), BadCredentials, None),
        (answer({"error": "Please use an API key."}, 200), BadCredentials, None),
        (answer({"error": "Invalid API key hush-t0ken"}, 401), BadCredentials, None),
        (answer({"error": "You don't have access to this resource."}, 403), BadCredentials, None),
        (answer({"error": "You don't have access to this resource."}, 200), BadCredentials, None),
        (answer(b"You don't have access to this resource.", 403), BadCredentials, None),
        (answer({"error": "Symbol not supported"}, 422), UnknownSymbol, None),
        (answer({"error": "hush-t0ken?"}, 200), BadMessage, None),
        (answer({"error": "oops"}, 500), Unreachable, None),
        (answer(b"<html>502</html>", 502), Unreachable, None),
        (answer(b"<html>log in to the network</html>", 200), Unreachable, None),
        (answer(ZEROS, 200), UnknownSymbol, None),
        (answer({"s": "no_data"}, 200), NoData, None),
        (answer({}, 200), NoData, None),
        (answer(b"", 200), BadMessage, None),
        (answer(b"hello", 200), BadMessage, None),
        (answer({}, 402), BadCredentials, None),
        (answer({}, 451), BadSetting, None),
    ],
)
def test_an_answer_that_is_no_data_is_the_right_error(
    given: Answer, error: type[Exception], after: float | None
) -> None:
    found = finnhub.open().classify(given)
    assert type(found) is error
    if isinstance(found, Temporary):
        assert found.retry_after == after
    assert str(found) and "hush" not in str(found)


@pytest.mark.parametrize("body", [QUOTE, CANDLES, MARKET, frame(SHARE), PING, TOO_MANY, {"c": 0, "t": 5}])
def test_data_is_no_error(body: Any) -> None:
    assert finnhub.open().classify(answer(body)) is None
