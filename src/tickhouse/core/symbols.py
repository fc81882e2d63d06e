"""One spelling for an instrument, whatever the provider calls it.

Canonical symbols are upper case: equities `AAPL`, `BRK.B`; pairs `BTC-USD`, `EUR-USD`; indices `^GSPC`. Each feed maps to
and from its provider's spelling in its own file with the help of these functions.
"""

import re
from collections.abc import Iterable

from tickhouse.core.errors import BadSetting

CANONICAL = re.compile(r"\^?[^\W_a-z][^\s/\\,;:|'\"<>a-z]{0,31}")

QUOTES = (
    "FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDP", "BIDR", "IDRT", "BVND", "DAI",
    "BTC", "ETH", "BNB", "USD", "EUR", "GBP", "TRY", "BRL", "AUD", "RUB", "UAH", "JPY", "NGN", "ZAR",
    "PLN", "RON", "ARS", "MXN", "COP", "CZK", "PAX", "VAI", "XRP", "TRX", "DOGE", "DOT",
)  # fmt: skip
"""Quote assets of pair spellings without a separator, longest first where one ends another."""


def canonical(text: str) -> str:
    """The canonical spelling of a symbol a person typed: `btc/usdt` is `BTC-USDT`.

    Raises `BadSetting` for a text that cannot be a symbol.

    >>> canonical("btc/usdt"), canonical("brk.b"), canonical("^gspc")
    ('BTC-USDT', 'BRK.B', '^GSPC')
    """
    symbol = text.strip().upper().replace("/", "-").replace("_", "-")
    if not CANONICAL.fullmatch(symbol):
        raise BadSetting("symbol", text, "a symbol such as AAPL or BTC-USD")
    return symbol


def split_pair(text: str) -> str:
    """The canonical pair of a spelling without a separator; a text with no known quote stays as it is.

    >>> split_pair("BTCUSDT"), split_pair("ADABTC"), split_pair("SYM001")
    ('BTC-USDT', 'ADA-BTC', 'SYM001')
    """
    for quote in QUOTES:
        if text.endswith(quote) and len(text) > len(quote):
            return f"{text[: -len(quote)]}-{quote}"
    return text


def series_names(texts: Iterable[str]) -> tuple[str, ...]:
    """Every spelling under which economic series that a person named may be kept: in capitals, with dashes or underlines.

    >>> series_names(["gdp", "real-gdp"])
    ('GDP', 'REAL-GDP', 'REAL_GDP')
    """
    plain = [text.strip().upper() for text in texts]
    spelled = (name for text in plain for name in (text, text.replace("_", "-"), text.replace("-", "_")))
    return tuple(dict.fromkeys(spelled))
