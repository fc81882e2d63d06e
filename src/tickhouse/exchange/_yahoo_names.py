"""How Yahoo spells what is listed here, and what it says of each kind."""

import re
from dataclasses import dataclass

from tickhouse.exchange import Instrument
from tickhouse.exchange._polled import share

_MONEY = re.compile(r"([A-Z]{3})?([A-Z]{3})=X")


@dataclass(frozen=True, slots=True)
class Habit:
    """What Yahoo says of a kind of instrument; `number` is that of the stream."""

    kind: str
    number: int
    exchange: str
    zone: str
    currency: str = "USD"


HABITS = {
    "equities": Habit("EQUITY", 8, "NMS", "America/New_York"),
    "forex": Habit("CURRENCY", 14, "CCY", "Europe/London"),
    "crypto": Habit("CRYPTOCURRENCY", 41, "CCC", "UTC"),
}


def canonical(text: str) -> str:
    """The canonical symbol of Yahoo's spelling.

    >>> [canonical(text) for text in ("BRK-B", "EURUSD=X", "JPY=X", "BTC-USD")]
    ['BRK.B', 'EUR-USD', 'USD-JPY', 'BTC-USD']
    """
    money = _MONEY.fullmatch(text)
    return f"{money[1] or 'USD'}-{money[2]}" if money else share(text)


def spelled(one: Instrument) -> str:
    """How Yahoo spells an instrument; coins are in dollars, whatever stands for these here.

    >>> spelled(Instrument("EURUSD", "EUR", "USD", 5, 0, market="forex")), spelled(Instrument("BTCUSDT", "BTC", "USDT", 2, 5))
    ('EURUSD=X', 'BTC-USD')
    """
    if one.market == "forex":
        return f"{one.quote}=X" if one.base == "USD" else f"{one.base}{one.quote}=X"
    return one.symbol.replace(".", "-") if one.market == "equities" else f"{one.base}-USD"
