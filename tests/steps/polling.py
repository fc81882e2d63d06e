"""What polled providers of a scene answer."""

from typing import Any

from tools.simulated.scene import Provider, Reply

from tickhouse.core.clock import SECOND


def finnhub(reply: Reply, *symbols: str, **section: Any) -> Provider:
    """Finnhub's quotes."""
    return Provider("finnhub", {"symbols": symbols, "channel": "quote", "key": "k", **section}, reply)


def quote(price: float, now: int) -> dict[str, Any]:
    """A quote in Finnhub's shape."""
    return {
        "c": price,
        "d": 0.5,
        "dp": 0.2,
        "h": price + 1,
        "l": price - 1,
        "o": price,
        "pc": price,
        "t": now // SECOND,
    }


def global_quote(symbol: str, price: float) -> dict[str, Any]:
    """A quote in Alpha Vantage's shape."""
    return {
        "Global Quote": {
            "01. symbol": symbol, "02. open": "1", "03. high": "9", "04. low": "1", "05. price": f"{price}",
            "06. volume": "100", "07. latest trading day": "2026-03-06", "08. previous close": "1", "09. change": "0",
            "10. change percent": "0%",
        }
    }  # fmt: skip
