"""Messages of every channel of FMP."""

import json
from typing import Any

from tests.feeds.samples import Samples
from tests.feeds.samples_fred import Rowless
from tickhouse.feeds import fmp

QUOTE = {
    "symbol": "AAPL", "name": "Apple, Inc.", "price": 254.86, "changePercentage": -0.47641, "change": -1.22,
    "volume": 32409702, "dayLow": 254.4, "dayHigh": 257.34, "open": 255.875, "previousClose": 256.08,
    "marketCap": 3782221795400, "exchange": "NASDAQ", "timestamp": 1758648182,
}  # fmt: skip
SHORT = {"symbol": "MSFT", "price": 400, "change": 7.58, "volume": 24968944}
OLD_QUOTE = QUOTE | {"changesPercentage": "(+0.35%)", "eps": 6.12, "pe": None, "timestamp": 1700686801}
del OLD_QUOTE["changePercentage"]
AFTER = {"symbol": "AAPL", "bidSize": 5, "bidPrice": 343.02, "askSize": 4, "askPrice": 345.98, "volume": 30136225,
         "timestamp": 1785351266000}  # fmt: skip
TRADE = {"symbol": "AAPL", "price": 343.57, "tradeSize": 20, "timestamp": 1785351266123}
BAR = {"symbol": "AAPL", "date": "2023-01-10", "open": 130.26, "high": 131.26, "low": 128.12, "close": 130.73,
       "volume": 63896200, "change": 0.47, "changePercent": 0.36082, "vwap": 130.0925}  # fmt: skip
OLD_BARS = {"symbol": "AAPL", "historical": [{**BAR, "adjClose": 129.5, "label": "January 10, 23"}]}
del OLD_BARS["historical"][0]["symbol"]  # type: ignore[index]
MINUTE = {"date": "2025-09-23 15:59:00", "open": 254.4, "low": 254.35, "high": 254.5, "close": 254.43, "volume": 900000}
CPI = {"name": "CPI", "date": "2026-06-01", "value": 332.568}
REFUSAL = b'{"Error Message":"Limit Reach . Please upgrade your plan"}'
BAD = (b"{", b"\xff\xfe", b"{}", b"7", REFUSAL, b"Restricted Endpoint: no", b"[[]]", b'[{"symbol":"AAPL"}]')


def body(*rows: Any) -> bytes:
    return json.dumps(list(rows)).encode()


def samples() -> list[Samples]:
    """One a channel, and some for a channel about one symbol."""
    feed, empty = fmp.open(), (b"[]", b" [ ] ")
    quotes = (
        body(QUOTE),
        body(SHORT),
        body(QUOTE, SHORT, {"symbol": "X", "price": None}),
        body(OLD_QUOTE, 7),
        body(AFTER),
    )
    found = [Samples(feed, channel, quotes, empty, BAD) for channel in (*fmp.SINGLE, *fmp.BATCHES)]
    found.append(Samples(feed, "quote:AAPL", (body(QUOTE), body(OLD_QUOTE)), empty, (*BAD, body(SHORT))))
    trades = (body(TRADE), body(TRADE | {"tradeSize": None}))
    found.append(Samples(feed, "aftermarket_trade:AAPL", trades, empty, BAD))
    days = (body(BAR), body(BAR, BAR | {"date": "2023-01-09", "vwap": None}), json.dumps(OLD_BARS).encode())
    open_yet = body(BAR | {"date": "2026-01-01"})
    found.append(Samples(feed, "historical", days, (*empty, open_yet), BAD))
    found.append(Samples(feed, "historical:AAPL", days, empty, (*BAD, body(BAR | {"symbol": "MSFT"}))))
    minutes = (body(MINUTE), body(MINUTE | {"date": "2025-09-23 15:58:00"}, MINUTE))
    found.append(
        Samples(feed, "historical_chart:AAPL:1m", minutes, empty, (*BAD, body(MINUTE | {"date": "2025-09-23"})))
    )
    found.append(Samples(feed, "historical_chart", Rowless(minutes), (), (*minutes, b"[]")))
    found.append(Samples(feed, "economic", (body(CPI, CPI | {"value": None}),), empty, BAD))
    found.append(Samples(feed, "economic:CPI", (body(CPI),), empty, (*BAD, body(CPI | {"name": "GDP"}))))
    hits = (body({"symbol": "BRK-B", "name": "Berkshire Hathaway Inc.", "currency": "USD"}), b"[]")
    found.append(Samples(feed, "search", Rowless(hits), hits, (b"{", b"{}", b"[7]", REFUSAL)))
    return found
