"""What a message of FMP means. One table of fields serves the stable API and the old one, which spells some otherwise.

quote, batch_quote, quote_short, batch_quote_short
    [{"symbol":"AAPL","name":"Apple Inc.","price":254.86,"changePercentage":-0.47641,"change":-1.22,"volume":32409702,
      "dayLow":254.4,"dayHigh":257.34,"open":255.875,"previousClose":256.08,"timestamp":1758648182, ...}]
aftermarket_quote, batch_aftermarket_quote
    [{"symbol":"AAPL","bidSize":5,"bidPrice":343.02,"askSize":4,"askPrice":345.98,"volume":30136225,"timestamp":1785351266000}]
economic
    [{"name":"CPI","date":"2026-06-01","value":332.568}, ...]
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from tickhouse.core.clock import SECOND
from tickhouse.feeds._decoding import day, decoded, finite
from tickhouse.feeds._fmp_names import Names
from tickhouse.feeds._messages import NOTHING, Found, NotUnderstood, Row

NEW_YORK = ZoneInfo("America/New_York")
FIELDS = {
    "change": ("change",),
    "change_percent": ("changePercentage", "changesPercentage"),
    "day_open": ("open",),
    "day_high": ("dayHigh",),
    "day_low": ("dayLow",),
    "day_volume": ("volume",),
    "previous_close": ("previousClose",),
    "bid": ("bidPrice",),
    "ask": ("askPrice",),
}
"""Our field to FMP's names for it."""
NOTHING_SAID = (None, "", "N/A", "-")
_PERCENT = re.compile(r"\(?\s*([+-]?[0-9.]+)\s*%?\s*\)?")
_decoder = msgspec.json.Decoder(Any)
Item = Mapping[str, Any]
T = TypeVar("T")


def message(payload: bytes) -> Any:
    """What a message says. Raises `NotUnderstood` for a refusal and for what is no JSON."""
    said = decoded(_decoder, payload)
    if isinstance(said, dict) and "Error Message" in said:
        raise NotUnderstood("refusal", "FMP refuses the request")
    return said


def listed(said: Any) -> list[Any]:
    """A message that must be a list."""
    if not isinstance(said, list):
        raise NotUnderstood("changed_field", "the message is not a list")
    return said


def readable(rows: Sequence[Any], read: Callable[[Item], T], refused: list[tuple[str, str]]) -> Iterator[T]:
    """What `read` makes of each row; a row that cannot be read is refused alone."""
    for row in rows:
        try:
            if not isinstance(row, dict):
                raise NotUnderstood("changed_field", f"{str(row)[:40]!r} is not a row")
            yield read(row)
        except NotUnderstood as bad:
            refused.append((bad.reason, bad.detail))


def number(item: Item, name: str, *spellings: str) -> float | None:
    """The first of the spellings of a field that has a value, None when none has; percent may be text such as `(+1.2%)`."""
    for one in spellings or (name,):
        value = item.get(one)
        if value not in NOTHING_SAID:
            break
    else:
        return None
    if isinstance(value, str):
        percent = _PERCENT.fullmatch(value.strip())
        return finite(percent[1] if percent else value, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotUnderstood("changed_field", f"{name} is {str(value)[:40]!r} and not a number")
    return finite(value, name)


def named(item: Item, field: str = "symbol") -> str:
    """The text that names what a row is about."""
    value = item.get(field)
    if not isinstance(value, str):
        raise NotUnderstood("unknown_symbol", f"the row has no {field}")
    return value


class Snapshots:
    """Reads the quotes of a channel; `only` is the one symbol that the channel is about, if it is about one."""

    def __init__(self, names: Names, only: str) -> None:
        self.names, self.only = names, only

    def read(self, payload: bytes, received_at: int) -> Found:
        """Every quote of the message."""
        refused: list[tuple[str, str]] = []
        found = list(readable(listed(message(payload)), lambda item: self._row(item, received_at), refused))
        return Found(quotes=found, refused=refused)

    def _row(self, item: Item, received_at: int) -> Row:
        values = {ours: number(item, ours, *theirs) for ours, theirs in FIELDS.items()}
        return {
            "symbol": symbol_of(self.names, named(item), self.only),
            "event_time": _moment(item.get("timestamp"), received_at),
            "price": _price(item, values["bid"], values["ask"]),
            **values,
        }


class Indicators:
    """Reads an economic series; FMP has no vintages, so the day of receipt in New York is the vintage."""

    def __init__(self, names: Names, only: str) -> None:
        self.names, self.only = names, only

    def read(self, payload: bytes, received_at: int) -> Found:
        """Every value of the message."""
        refused: list[tuple[str, str]] = []
        vintage = dt.datetime.fromtimestamp(received_at // SECOND, dt.UTC).astimezone(NEW_YORK).date()
        found = list(readable(listed(message(payload)), lambda item: self._row(item, vintage), refused))
        return Found(observations=found, refused=refused)

    def _row(self, item: Item, vintage: dt.date) -> Row:
        series = self.names.series(named(item, "name"))
        if self.only and series != self.only:
            raise NotUnderstood("unknown_symbol", f"the channel is about {self.only}, the row about {series}")
        return {"series": series, "date": day(item.get("date")), "value": number(item, "value"), "vintage": vintage}


def searched(payload: bytes, received_at: int) -> Found:
    """Symbols that a search found: understood, and no rows of ours."""
    if not all(isinstance(item, dict) and "symbol" in item for item in listed(message(payload))):
        raise NotUnderstood("changed_field", "the message is not a list of symbols")
    return NOTHING


def symbol_of(names: Names, text: str, only: str) -> str:
    """The canonical symbol of a row; `only` is how the channel writes the symbol that it is about."""
    if not only:
        return names.of(text)
    symbol = names.of(only)
    if text not in (only, names.spelled(symbol)) and names.of(text) != symbol:
        raise NotUnderstood("unknown_symbol", f"the channel is about {symbol}, the row about {text[:40]!r}")
    return symbol


def _price(item: Item, bid: float | None, ask: float | None) -> float:
    """The price of a row; the middle of bid and ask where these are all there is, as after hours."""
    price = number(item, "price")
    if price is not None:
        return price
    if bid and ask:
        return (bid + ask) / 2
    raise NotUnderstood("price", f"the row of {str(item.get('symbol'))[:40]!r} has no price")


def _moment(value: Any, received_at: int) -> int:
    """A time in microseconds: of 10 digits it is seconds, of 13 milliseconds; the receive time where there is none."""
    if value is None:
        return received_at
    if isinstance(value, int) and 10**9 <= value < 10**10:
        return value * SECOND
    if isinstance(value, int) and 10**12 <= value < 10**13:
        return value * 1000
    raise NotUnderstood("time", f"{str(value)[:40]!r} is not a time in seconds or milliseconds of our days")
