"""Canonical symbols and how Yahoo spells them.

BTC-USD   BTC-USD     crypto pairs are the same
EUR-USD   EURUSD=X    forex pairs are closed up
USD-JPY   JPY=X       against the dollar Yahoo names the other one; the stream knows no other spelling
BRK.B     BRK-B       classes of shares
OCDO.L    OCDO.L      a suffix is an exchange, as are ^GSPC and GC=F what they are everywhere
"""

import re
from collections.abc import Iterable

from tickhouse.core.symbols import CANONICAL
from tickhouse.feeds._currencies import money_pair
from tickhouse.feeds._messages import NotUnderstood

_CLASS = re.compile(r"([A-Z0-9]+)\.([A-EG-KM-SUW-Z])")
"""A share and its class; F, L, T and V are the exchanges of Frankfurt, London, Tokyo and Toronto's venture market."""
_DASHED_CLASS = re.compile(r"([A-Z0-9]+)-([A-EG-KM-SUW-Z])")
_MONEY = re.compile(r"([A-Z]{3})?([A-Z]{3})=X")


def spelled(symbol: str) -> str:
    """How Yahoo writes a canonical symbol.

    >>> spelled("BRK.B"), spelled("EUR-USD"), spelled("USD-JPY"), spelled("OCDO.L"), spelled("^GSPC")
    ('BRK-B', 'EURUSD=X', 'JPY=X', 'OCDO.L', '^GSPC')
    """
    pair = money_pair(symbol)
    if pair:
        base, quote = pair
        return f"{quote}=X" if base == "USD" else f"{base}{quote}=X"
    share = _CLASS.fullmatch(symbol)
    return f"{share[1]}-{share[2]}" if share else symbol


class Names:
    """Yahoo's spellings to canonical symbols; symbols of the settings come back exactly as they are written there.

    >>> names = Names(("BF-B",))
    >>> names.of("BRK-B"), names.of("BF-B"), names.of("EURUSD=X"), names.of("JPY=X"), names.of("USDJPY=X")
    ('BRK.B', 'BF-B', 'EUR-USD', 'USD-JPY', 'USD-JPY')
    """

    def __init__(self, symbols: Iterable[str] = ()) -> None:
        self._listed = {spelled(symbol): symbol for symbol in symbols}

    def of(self, text: str) -> str:
        """The canonical symbol. Raises `NotUnderstood` for a text that cannot be one."""
        if text in self._listed:
            return self._listed[text]
        money, share = _MONEY.fullmatch(text), _DASHED_CLASS.fullmatch(text)
        name = f"{money[1] or 'USD'}-{money[2]}" if money else f"{share[1]}.{share[2]}" if share else text
        if not CANONICAL.fullmatch(name) or not name.isprintable():
            raise NotUnderstood("unknown_symbol", f"Yahoo's symbol {text[:40]!r} is not one of tickhouse")
        return name
