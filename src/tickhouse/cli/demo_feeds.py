"""The feeds of a demo: each provider with a few symbols, pointed to its dialect of the simulated exchange."""

from collections.abc import Mapping, Sequence
from typing import Any

from tickhouse.core.errors import UnknownName

KEY = "simulated00simulated00simulated0"
"""Any key will do there; FRED's has 32 letters and digits."""
OTHERS: Mapping[str, dict[str, Any]] = {
    "coingecko": {"channel": "simple_price", "symbols": ["BTC-USD", "ETH-USD", "SOL-USD", "DOGE-USD"]},
    "yahoo": {"channel": "stream", "symbols": ["AAPL", "MSFT", "SPY", "EUR-USD", "USD-JPY", "BTC-USD"]},
    "alpha_vantage": {"channel": "global_quote", "symbols": ["IBM", "GBP-USD"]},
    "finnhub": {"channel": "trade", "symbols": ["AAPL", "NVDA", "TSLA", "EUR-USD", "BTC-USDT", "ETH-USDT"]},
    "fmp": {"channel": "quote", "symbols": ["AAPL", "KO", "BTC-USD"]},
    "fred": {"channel": "observations", "symbols": ["GDP", "UNRATE", "DGS10"]},
    "frankfurter": {"channel": "rates", "symbols": ["EUR-USD", "EUR-GBP", "USD-JPY"]},
}
"""What is followed of each provider beside Binance."""


def named(text: str) -> list[str]:
    """The feeds that `--feeds` names: `all`, or names with commas. Raises `UnknownName`."""
    known = ["binance", *OTHERS]
    names = known if text == "all" else [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise UnknownName("feed of the demo", name, known)
    return names


def sections(names: Sequence[str], market: Mapping[str, str], pairs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The sections of the settings for feeds of a market that runs at `url` and `ws_url`; `pairs` are those of Binance."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        if name == "binance":
            found[name] = {"symbols": list(pairs), "url": market["url"], "ws_url": market["ws_url"], "recent": "3h"}
        else:
            here = {"url": f"{market['url']}/{name}", "ws_url": f"{market['ws_url']}/{name}", "key": KEY}
            found[name] = {**OTHERS[name], **here}
    return found
