"""Frames and answers of Finnhub for every channel."""

import json

from tests.feeds.samples import Samples
from tickhouse.feeds import finnhub

MS = 1_767_225_000_000
SHARE = {"c": ["1", "12"], "p": 164.0601, "s": "AAPL", "t": MS, "v": 5}
COIN = {"c": None, "p": 66972.77, "s": "BINANCE:BTCUSDT", "t": MS + 5, "v": 0.01559}
RATE = {"p": 1.1618, "s": "OANDA:EUR_USD", "t": MS - 7, "v": 0}
ODD = ({"p": "x", "s": "AAPL", "t": MS, "v": 1}, SHARE | {"t": 5}, SHARE | {"s": "a b"}, SHARE | {"c": [1]})
PING, TOO_MANY = b'{"type":"ping"}', b'{"msg":"Subscribing to too many symbols","type":"error"}'
QUOTE = {"c": 328.655, "d": -0.36, "dp": -0.11, "h": 332.47, "l": 328.37, "o": 330, "pc": 329.02, "t": MS // 1000}
ZEROS = b'{"c":0,"d":null,"dp":null,"h":0,"l":0,"o":0,"pc":0,"t":0}'
LIMIT = b'{"error":"API limit reached. Please try again later. Remaining Limit: 0"}'
MARKET = (
    b'{"exchange":"US","holiday":null,"isOpen":true,"session":"regular","t":1788186510,"timezone":"America/New_York"}'
)
DAYS = [MS // 1000 - 86_400 * i for i in (4, 3, 2)]
CANDLES = {"s": "ok", "t": DAYS, "o": [1, 2, 3], "h": [3, 3.5, 4], "l": [0.5, 1, 2], "c": [2, 3, 3.5], "v": [9, 0, 7]}
NASTY = (
    b'"',
    b",",
    b"{",
    b"}",
    b"[",
    b"]",
    b"0",
    b"null",
    b"-",
    b"1e400",
    b'"AAPL"',
    b'"p":',
    b"\xff",
    b"\0",
    b"9" * 25,
)


def body(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def frame(*trades: object) -> bytes:
    return body({"data": trades, "type": "trade"})


def samples() -> list[Samples]:
    """One a channel."""
    feed = finnhub.open()
    frames = (frame(SHARE), frame(SHARE, SHARE, COIN, RATE), frame(RATE), frame(*ODD, COIN))
    bad_frames = (frame(ODD[0]), frame(*ODD[1:]), b'{"type":"trade"}', b"{}", b"[]", b"\xff")
    quotes = (body(QUOTE), b'{"c":267.99,"h":270.07,"l":264.7,"o":268.7,"pc":266.07,"t":1586611898}', b'{"c":5,"t":0}')
    candles = (body(CANDLES), body(CANDLES | {"v": []}))
    bad_candles = (body(CANDLES | {"c": [1]}), body(CANDLES | {"s": "hm"}), b"{}", b"[]")
    return [
        Samples(
            feed, "trade", frames, (PING, TOO_MANY, frame(), b'{"type":"news","data":[]}'), bad_frames, nasty=NASTY
        ),
        Samples(feed, "quote:AAPL", quotes, (LIMIT,), (ZEROS, b"{}", MARKET, b'{"c":-1,"t":5}'), nasty=NASTY),
        Samples(feed, "candle:AAPL:1d", candles, (b'{"s":"no_data"}', LIMIT), bad_candles, nasty=NASTY),
    ]
