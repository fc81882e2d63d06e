"""What can be asked of each provider's dialect in the simulated exchange: for the demo, and for the conformance suite."""

from collections.abc import Mapping
from dataclasses import dataclass

KEY = "simulated00simulated00simulated0"
"""Any key will do there; FRED's has 32 letters and digits."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Symbols that a dialect knows on a channel, one that it does not, the channel of its past and how many days of it to ask."""

    channel: str
    symbols: tuple[str, ...]
    unknown: str
    past: str = ""
    days: int = 10


ASKED: Mapping[str, Asked] = {
    "binance": Asked("trade", ("BTC-USDT", "ETH-USDT"), "NO-PE", "aggTrades", 0),
    "coingecko": Asked("simple_price", ("BTC-USD", "ETH-USD", "SOL-USD", "DOGE-USD"), "ZEC-USD", "market_chart"),
    "yahoo": Asked("stream", ("AAPL", "MSFT", "SPY", "EUR-USD", "USD-JPY", "BTC-USD"), "NOPE", "chart:1d"),
    "alpha_vantage": Asked("global_quote", ("IBM", "GBP-USD"), "NOPE", "daily"),
    "finnhub": Asked("trade", ("AAPL", "NVDA", "TSLA", "EUR-USD", "BTC-USDT", "ETH-USDT"), "NOPE"),
    "fmp": Asked("quote", ("AAPL", "KO", "BTC-USD"), "NOPE", "historical"),
    "fred": Asked("observations", ("GDP", "UNRATE", "DGS10"), "NOPE", "observations", 800),
    "frankfurter": Asked("rates", ("EUR-USD", "EUR-GBP", "USD-JPY"), "EUR-XXX", "rates"),
}
