"""How Alpha Vantage writes names, numbers and symbols: keys are numbered, and everything is text."""

import re
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

import msgspec
from msgspec import Raw

from tickhouse.core.symbols import CANONICAL
from tickhouse.feeds._messages import NotUnderstood

MISSING = frozenset(("", "-", ".", "none", "null"))
_NUMBERED = re.compile(r"\d+[a-z]?\s*[.:]\s*")
_CLASS = re.compile(r"([A-Z0-9]+)\.([A-Z])")
_DASHED_CLASS = re.compile(r"([A-Z0-9]+)-([A-Z])")


def plain(name: str) -> str:
    """A key without its number, which differs between functions.

    >>> plain("01. symbol"), plain("5. Exchange Rate"), plain("1a. open (CNY)")
    ('symbol', 'exchange rate', 'open (cny)')
    """
    return _NUMBERED.sub("", name, count=1).strip().lower() if name[:1].isdigit() else name.strip().lower()


def named(part: Raw | bytes | None) -> Mapping[str, Any]:
    """The values of an object by their plain names. Raises `NotUnderstood` for anything else."""
    try:
        values = msgspec.json.decode(part or b"", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotUnderstood("malformed", f"an answer of Alpha Vantage lacks a part: {str(error)[:200]}") from None
    return {plain(name): value for name, value in values.items()}


def number(values: Mapping[str, Any], name: str) -> float | None:
    """A number that is text, with a percent sign or not; None where there is none. Raises `NotUnderstood` for other texts.

    >>> number({"change": "-0.5852%"}, "change"), number({"bid": "-"}, "bid"), number({}, "ask")
    (-0.5852, None, None)
    """
    text = values.get(name)
    if text is None or (isinstance(text, str) and text.strip().lower() in MISSING):
        return None
    try:
        if isinstance(text, bool) or "_" in str(text) or not str(text).isascii():
            raise ValueError
        found = float(text.strip().removesuffix("%") if isinstance(text, str) else text)
    except (TypeError, ValueError, OverflowError):
        found = float("nan")
    if not isfinite(found):
        raise NotUnderstood(name.replace(" ", "_"), f"the {name} is {str(text)[:40]!r}, which is no number")
    return found


def spelled(symbol: str) -> str:
    """How Alpha Vantage writes a canonical symbol of a share.

    >>> spelled("BRK.B"), spelled("TSCO.LON")
    ('BRK-B', 'TSCO.LON')
    """
    share = _CLASS.fullmatch(symbol)
    return f"{share[1]}-{share[2]}" if share else symbol


class Names:
    """Alpha Vantage's spellings to canonical symbols; symbols of the settings come back exactly as they are written there.

    >>> names = Names(("BF-B",))
    >>> names.of("BRK-B"), names.of("BF-B"), names.pair("EUR", "USD")
    ('BRK.B', 'BF-B', 'EUR-USD')
    """

    def __init__(self, symbols: Iterable[str] = ()) -> None:
        self._listed = {spelled(symbol): symbol for symbol in symbols}

    def of(self, text: Any) -> str:
        """The canonical symbol. Raises `NotUnderstood` for what cannot be one."""
        name = text.strip().upper() if isinstance(text, str) else ""
        if name in self._listed:
            return self._listed[name]
        share = _DASHED_CLASS.fullmatch(name)
        name = f"{share[1]}.{share[2]}" if share else name
        if not CANONICAL.fullmatch(name) or not name.isprintable():
            raise NotUnderstood("unknown_symbol", f"Alpha Vantage's symbol {str(text)[:40]!r} is not one of tickhouse")
        return name

    def pair(self, base: Any, quote: Any) -> str:
        """The canonical pair of two currencies."""
        return self.of(f"{base}-{quote}") if isinstance(base, str) and isinstance(quote, str) else self.of(None)
