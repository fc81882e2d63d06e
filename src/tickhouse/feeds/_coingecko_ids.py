"""Which coin of CoinGecko a symbol means. Its symbols are not unique, its ids are; the ids are data, in `_coingecko_ids.toml`."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tickhouse.core.errors import BadMessage, BadSetting, nearest
from tickhouse.feeds._messages import NotUnderstood
from tickhouse.feeds._polled_options import listed

FILE = Path(__file__).with_name("_coingecko_ids.toml")
OPTION, SYMBOLS = "feeds.coingecko.options.ids", "feeds.coingecko.symbols"
STABLE = {"USDT": "USD", "USDC": "USD", "FDUSD": "USD", "BUSD": "USD", "TUSD": "USD", "DAI": "USD", "USDE": "USD"}
"""Coins that many take for a currency; CoinGecko prices nothing in them, but in the currency beside each."""


class Pair(NamedTuple):
    """A canonical symbol, and CoinGecko's names of both its sides."""

    symbol: str
    coin: str
    currency: str


class Coin(NamedTuple):
    """A coin of CoinGecko's list; `option` is how the option `ids` takes it in."""

    id: str
    symbol: str
    name: str

    @property
    def option(self) -> str:
        """For example `BTC=bitcoin`."""
        return f"{self.symbol.upper()}={self.id}"


class Coins:
    """The map between symbols and ids, one to one.

    >>> coins = Coins("GOLD=some-gold")
    >>> coins.pair("GOLD-EUR"), coins.symbol("bitcoin", "usd")
    (Pair(symbol='GOLD-EUR', coin='some-gold', currency='eur'), 'BTC-USD')
    """

    def __init__(self, more: str | Mapping[str, str] = "") -> None:
        self._ids = dict(shipped())
        self._symbols = {coin: symbol for symbol, coin in self._ids.items()}
        for symbol, coin in _added(more).items():
            self._ids.pop(self._symbols.pop(coin, ""), None)
            self._symbols.pop(self._ids.get(symbol, ""), None)
            self._ids[symbol], self._symbols[coin] = coin, symbol

    def pair(self, symbol: str) -> Pair:
        """A canonical symbol in CoinGecko's words. Raises `BadSetting`, which says what to do."""
        base, dash, quote = symbol.rpartition("-")
        if not dash or not base:
            raise BadSetting(SYMBOLS, symbol, f"a coin and a currency, such as {symbol}-USD")
        if quote in STABLE:
            raise BadSetting(SYMBOLS, symbol, f"{base}-{STABLE[quote]}, for CoinGecko prices nothing in {quote}")
        if base not in self._ids:
            near = nearest(base, self._ids)
            hint = f", such as {near}-{quote}" if near else ""
            raise BadSetting(
                SYMBOLS, symbol, f'a coin whose id is known{hint}; others by the option ids = "{base}=<id>"'
            )
        return Pair(symbol, self._ids[base], quote.lower())

    def symbol(self, coin: str, currency: str) -> str:
        """The canonical symbol. Raises `NotUnderstood` for a coin that is not in the map: its symbol could be another's."""
        if coin not in self._symbols:
            raise NotUnderstood(
                "unknown_symbol", f'the coin {coin[:60]!r} is not in the map of ids; set {OPTION} = "SYM={coin[:60]}"'
            )
        if not (currency.isascii() and currency.isalpha()):
            raise NotUnderstood("unknown_symbol", f"{currency[:60]!r} cannot be a currency")
        return f"{self._symbols[coin]}-{currency.upper()}"


@cache
def shipped() -> dict[str, str]:
    """The ids that come with the package, by symbol."""
    return tomllib.loads(FILE.read_text("utf-8"))


def _added(more: str | Mapping[str, str]) -> dict[str, str]:
    """The pairs of the option `ids`."""
    if isinstance(more, Mapping):
        return {symbol.upper(): coin for symbol, coin in more.items()}
    pairs = [item.partition("=") for item in listed(more)]
    if bad := [symbol for symbol, equals, coin in pairs if not (symbol and equals and coin)]:
        raise BadSetting(OPTION, bad[0], "pairs such as SYM=id, with commas between them")
    return {symbol.upper(): coin for symbol, _, coin in pairs}


class _Listed(msgspec.Struct):
    id: str
    symbol: str
    name: Any = ""


_list = msgspec.json.Decoder(list[_Listed])


def found(body: bytes, text: str) -> list[Coin]:
    """The coins of a `coins/list` answer whose symbol, id or name is that text. Raises `BadMessage`."""
    try:
        coins = _list.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"CoinGecko's list of coins is not understood: {error}", sent=body[:4096]) from error
    wanted = text.strip().lower()
    return [
        Coin(coin.id, coin.symbol, str(coin.name))
        for coin in coins
        if wanted in (coin.symbol.lower(), coin.id.lower(), str(coin.name).lower())
    ]
