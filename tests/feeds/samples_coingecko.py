"""Answers of CoinGecko for every channel."""

import json

from tests.feeds.samples import Samples
from tickhouse.feeds import coingecko

SECOND = 1_767_225_000
HOUR = 3_600_000
SIMPLE = (
    b'{"bitcoin":{"usd":49253}}',
    b'{"bitcoin":{"eur":75348,"eur_24h_change":-1.25,"last_updated_at":1767225000},"cardano":{"eur":0.218694}}',
    b'{"status":{"usd":0.02},"ripple":{"usd":2.5,"usd_market_cap":null}}',
)
SIMPLE_CONTROL = (b"{}", b'{"status":{"error_code":429,"error_message":"too fast"}}', b'{"error":"coin not found"}')
SIMPLE_BAD = (b'{"bitcoin":{}}', b'{"bitcoin":{"usd":null}}', b'{"no-such-coin":{"usd":1}}', b"[]", b"\xff", b"{")
MARKETS = [
    {"id": coin, "symbol": "x", "current_price": price, "high_24h": 3, "low_24h": None, "price_change_24h": -0.5,
     "price_change_percentage_24h": -4.37931, "last_updated": "2026-01-01T00:00:00.867Z", "roi": None}
    for coin, price in (("bitcoin", 49053), ("ethereum", 2.5), ("solana", 1e-7))
]  # fmt: skip
POINTS = [[1000 * SECOND - i * HOUR, 50000.25 + i] for i in range(3)]
CANDLES = [[1000 * SECOND // (4 * HOUR) * 4 * HOUR - i * 4 * HOUR, 3, 4.5, 2, 3.25] for i in (3, 2, 1)]
HISTORY = {"id": "bitcoin", "symbol": "btc", "market_data": {"current_price": {"usd": 13464.9, "eur": 11216, "btc": 1}}}
NASTY = (b'"', b",", b"{", b"}", b"[", b"]", b"0", b"null", b"-", b"1e400", b"1e308", b'"usd"', b"\xff", b"\0", b":")


def body(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def samples() -> list[Samples]:
    """One a channel."""
    feed = coingecko.open(ids="SNT=status")
    markets = (body(MARKETS[:1]), body(MARKETS), body([*MARKETS, {"id": 5}]))
    charts = tuple(body({"prices": POINTS[:n], "market_caps": [], "total_volumes": []}) for n in (1, 3))
    refusal = body({"error": {"status": {"error_code": 10012, "error_message": "no"}}})
    return [
        Samples(feed, "simple_price", SIMPLE, SIMPLE_CONTROL, SIMPLE_BAD, nasty=NASTY),
        Samples(feed, "markets:usd", markets, (b"[]", refusal), (b"{}", body([{"id": "x"}])), nasty=NASTY),
        Samples(
            feed, "market_chart:bitcoin:usd", charts, (b'{"prices":[]}',), (b"{}", b'{"prices":[[1]]}'), nasty=NASTY
        ),
        Samples(
            feed, "ohlc:bitcoin:usd", (body(CANDLES), body(CANDLES[:2])), (b"[]",), (body(CANDLES[:1]),), nasty=NASTY
        ),
        Samples(feed, "history:30-12-2017", (body(HISTORY),), (b'{"id":"bitcoin"}',), (b"[]",), nasty=NASTY),
    ]
