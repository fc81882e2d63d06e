"""How FMP writes what it says: quotes in four shapes, days, and the words of its refusals."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tickhouse.core.clock import SECOND
from tickhouse.exchange import MS, Row
from tickhouse.exchange._polled import Bar, quote_row, whole
from tickhouse.exchange.snapshots import Snapshot

_SITE = "https://site.financialmodelingprep.com"
_PLANS = "https://financialmodelingprep.com/"
_UPGRADE = f"please visit our subscription page to upgrade your plan at {_PLANS}"
BAD_KEY = (
    f"Invalid API KEY. Feel free to create a Free API Key or visit {_SITE}/faqs?search=why-is-my-api-key-invalid for more "
    "information."
)
LEGACY = (
    "Legacy Endpoint : Due to Legacy endpoints being no longer supported - This endpoint is only available for legacy users "
    f"who have valid subscriptions prior August 31, 2025. Please visit our documentation page {_SITE}/developer/docs for our "
    "current APIs."
)
LIMIT = f"Limit Reach . Please upgrade your plan or visit our documentation for more details at {_SITE}/"
RESTRICTED = f"Restricted Endpoint: This endpoint is not available under your current subscription {_UPGRADE}"
PREMIUM = (
    "Premium Query Parameter: 'Special Endpoint : This value set for 'symbol' is not available under your current "
    f"subscription {_UPGRADE}'"
)


def _quote(text: str, one: Snapshot) -> dict[str, Any]:
    price = whole(one.price)
    return {
        "symbol": text, "name": one.symbol, "price": price, "changePercentage": whole(round(one.percent, 5)),
        "change": whole(round(one.change, 5)), "volume": whole(one.volume), "dayLow": whole(one.low), "dayHigh": whole(one.high),
        "yearHigh": whole(one.high), "yearLow": whole(one.low), "marketCap": round(one.price * 1e9), "priceAvg50": price,
        "priceAvg200": price, "exchange": "NASDAQ", "open": whole(one.open), "previousClose": whole(one.previous),
        "timestamp": one.time // SECOND,
    }  # fmt: skip


def _short(text: str, one: Snapshot) -> dict[str, Any]:
    return {
        "symbol": text,
        "price": whole(one.price),
        "change": whole(round(one.change, 5)),
        "volume": whole(one.volume),
    }


def _after_quote(text: str, one: Snapshot) -> dict[str, Any]:
    price, time = one.late or (one.price, one.time)
    bid, ask = round(price * 0.9995, 4), round(price * 1.0005, 4)
    return {
        "symbol": text, "bidSize": 5, "bidPrice": whole(bid), "askSize": 4, "askPrice": whole(ask), "volume": whole(one.volume),
        "timestamp": time // MS,
    }  # fmt: skip


def _after_trade(text: str, one: Snapshot) -> dict[str, Any]:
    price, time = one.late or (one.price, one.time)
    return {"symbol": text, "price": whole(price), "tradeSize": 100, "timestamp": time // MS}


def said_of(symbol: str, item: dict[str, Any], now: int) -> Row:
    """What a quote says: its price, or the middle of bid and ask; without a time it is of the moment."""
    price = item["price"] if "price" in item else (item["bidPrice"] + item["askPrice"]) / 2
    stamp = item.get("timestamp")
    if stamp is None:
        return quote_row(symbol, now, float(price), untimed=True)
    return quote_row(symbol, stamp * (MS if stamp > 10**11 else SECOND), float(price))


def day(text: str, bar: Bar, before: float) -> dict[str, Any]:
    """A day of the history; `before` is the close of the one before it. The vwap is the mean of the four prices."""
    change = bar.close - before
    return {
        "symbol": text, "date": datetime.fromtimestamp(bar.start // SECOND, UTC).date().isoformat(), "open": whole(bar.open),
        "high": whole(bar.high), "low": whole(bar.low), "close": whole(bar.close), "volume": whole(bar.volume),
        "change": round(change, 5), "changePercent": round(100.0 * change / before, 6), "vwap": whole(sum(bar[1:5]) / 4),
    }  # fmt: skip


SHAPES: dict[str, Callable[[str, Snapshot], dict[str, Any]]] = {
    "quote": _quote, "quote-short": _short, "aftermarket-quote": _after_quote, "aftermarket-trade": _after_trade,
}  # fmt: skip
"""The quotes of each path."""
