"""Finnhub's spelling of a symbol and ours: `AAPL`, `BINANCE:BTCUSDT` for `BTC-USDT`, `OANDA:EUR_USD` for `EUR-USD`."""

from collections.abc import Iterable, Mapping

from tickhouse.core.errors import BadSetting
from tickhouse.core.symbols import canonical, split_pair
from tickhouse.feeds._polled_json import symbol

CURRENCIES = frozenset((
    "AUD", "BRL", "CAD", "CHF", "CNH", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HUF", "ILS", "INR", "JPY", "KRW",
    "MXN", "NOK", "NZD", "PLN", "RON", "RUB", "SEK", "SGD", "THB", "TRY", "USD", "ZAR", "XAG", "XAU", "XPD", "XPT",
))  # fmt: skip
"""What a broker of currencies has; a pair of two of them is asked of one, any other pair of an exchange of coins."""


class Names:
    """The map of one feed. What was asked for comes back exactly so; anything else by the rules of the spelling.

    >>> names = Names("BINANCE", "OANDA", "EUR-JPY=IC MARKETS:7")
    >>> names.spelled("BTC-USDT"), names.spelled("EUR-USD"), names.spelled("EUR-JPY"), names.spelled("AAPL")
    ('BINANCE:BTCUSDT', 'OANDA:EUR_USD', 'IC MARKETS:7', 'AAPL')
    >>> names.of("BINANCE:ETHBTC"), names.of("OANDA:XAU_USD"), names.of("IC MARKETS:7")
    ('ETH-BTC', 'XAU-USD', 'EUR-JPY')
    """

    def __init__(self, exchange: str, broker: str, more: str | Mapping[str, str] = "") -> None:
        self._exchange, self._broker = exchange, broker
        self._given = _given(more)
        self._known = {spelling: name for name, spelling in self._given.items()}

    def learn(self, symbols: Iterable[str]) -> None:
        """Keep the exact name of symbols that are asked for."""
        self._known.update({self.spelled(name): name for name in symbols})

    def spelled(self, name: str) -> str:
        """Finnhub's spelling of a canonical symbol."""
        base, dash, quote = name.rpartition("-")
        if name in self._given:
            return self._given[name]
        if not dash:
            return name
        if base in CURRENCIES and quote in CURRENCIES:
            return f"{self._broker}:{base}_{quote}"
        return f"{self._exchange}:{base}{quote}"

    def of(self, text: str) -> str:
        """The canonical symbol. Raises `NotUnderstood` for a text that cannot be one."""
        if text in self._known:
            return self._known[text]
        place, _, inner = text.rpartition(":")
        if not place:
            return symbol(text)
        pair = inner.replace("_", "-")
        return symbol(pair if "-" in pair else split_pair(pair))


def _given(more: str | Mapping[str, str]) -> dict[str, str]:
    """The pairs of the option `names`. A spelling may hold spaces, so only commas part them."""
    if isinstance(more, Mapping):
        return {canonical(name): spelling for name, spelling in more.items()}
    pairs = [item.partition("=") for item in more.split(",") if item.strip()]
    if bad := [name for name, equals, spelling in pairs if not (name.strip() and equals and spelling.strip())]:
        raise BadSetting("feeds.finnhub.options.names", bad[0], "pairs such as EUR-USD=OANDA:EUR_USD")
    return {canonical(name): spelling.strip() for name, _, spelling in pairs}
