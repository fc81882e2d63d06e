"""What a value of Binance means: decimal texts, times, trade ids, symbols. Shared by frames and pages."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import numpy as np

from tickhouse.core.batches import BarBatch, RawBatch, TickBatch
from tickhouse.core.errors import BadSetting
from tickhouse.core.model import Reject, State, interval_us
from tickhouse.core.symbols import CANONICAL, split_pair

MAX_MESSAGE = 1 << 20
"""A longer message is not read."""
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
T = TypeVar("T")
_NO_IDS = -1
_MOST_ID = (1 << 63) - 1


class Refused(Exception):
    """A message, or one row of it, that is not taken, and why."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(detail)

    def at(self, index: int) -> Reject:
        """The reject of message `index`."""
        return Reject(index, self.reason, self.detail)


@dataclass(frozen=True, slots=True)
class Row:
    """One tick: symbol canonical, time in microseconds, ids -1 where there are none."""

    symbol: str
    time: int
    price: float
    size: float
    first_id: int
    last_id: int


@dataclass(slots=True)
class Names:
    """From Binance's spelling to ours: exactly as asked for, else by the known quote assets.

    >>> names = Names()
    >>> names.learn({"FOO-BAR"})
    True
    >>> names.of("FOOBAR"), names.of("BTCUSDT")
    ('FOO-BAR', 'BTC-USDT')
    """

    wanted: dict[str, str] = field(default_factory=dict)

    def learn(self, symbols: Iterable[str]) -> bool:
        """Keep the exact spelling of symbols that are asked for; true when one of them is new."""
        new = {spelled(symbol): symbol for symbol in symbols}
        known = new.items() <= self.wanted.items()
        self.wanted.update(new)
        return not known

    def of(self, text: str) -> str:
        """The canonical symbol. Raises `Refused` for a text that cannot be one."""
        name = self.wanted.get(text) or (text if "-" in text else split_pair(text))
        if not CANONICAL.fullmatch(name) or not name.isprintable():
            raise Refused("unknown_symbol", f"{text[:40]!r} cannot be a symbol")
        return name


def spelled(symbol: str) -> str:
    """Binance's spelling of a canonical symbol.

    >>> spelled("BTC-USDT")
    'BTCUSDT'
    """
    return symbol.replace("-", "")


def decimal(text: str, reason: str = "price") -> float:
    """The number of a decimal text, correctly rounded. Raises `Refused` for anything else, as `NaN` or `1e400`."""
    if not _DECIMAL.fullmatch(text):
        raise Refused(reason, f"{reason} {text[:40]!r} is not a decimal number")
    value = float(text)
    if math.isinf(value):
        raise Refused(reason, f"{reason} {text[:40]!r} is too large")
    return value


def microseconds(time: int) -> int:
    """A time of Binance in microseconds: 13 digits are milliseconds, 16 microseconds. Raises `Refused` for others.

    >>> microseconds(1617566591314), microseconds(1617566591314000)
    (1617566591314000, 1617566591314000)
    """
    if 10**12 <= time < 10**13:
        return time * 1000
    if 10**15 <= time < 10**16:
        return time
    raise Refused("time", f"time {str(time)[:40]} is neither milliseconds nor microseconds of our days")


def ids(first: int, last: int) -> tuple[int, int]:
    """The ids of the first and last trade of a row. Raises `Refused` when they cannot be ids."""
    if not (0 <= first <= last <= _MOST_ID or first == last == _NO_IDS):
        raise Refused("id", f"trade ids {str(first)[:40]} to {str(last)[:40]} are no range")
    return first, last


def undecodable(payload: bytes, error: Exception) -> Refused:
    """Why a payload could not be decoded."""
    if any(byte < 32 and byte not in b"\t\r\n" for byte in payload):
        return Refused("binary", "the message holds control characters")
    if isinstance(error, msgspec.ValidationError):
        return Refused("changed_field", f"a field is not what it was: {error}")
    if "truncated" in str(error):
        return Refused("truncated", "the message ends in the middle")
    return Refused("malformed", f"the message is not JSON: {error}"[:200])


def decoded(decoder: msgspec.json.Decoder[T], text: bytes | msgspec.Raw) -> T:
    """A text read by a strict decoder. Raises `Refused` when it is not what the decoder expects."""
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise undecodable(bytes(text), error) from error


def checked(payload: bytes) -> bytes:
    """The payload itself. Raises `Refused` when it is too long to be a message, or no text."""
    if len(payload) > MAX_MESSAGE:
        raise Refused("oversized", f"the message is longer than {MAX_MESSAGE} bytes")
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        raise Refused("binary", f"the message is not UTF-8 text from byte {error.start} on") from error
    return payload


def tick_batch(raw: RawBatch, indexes: list[int], rows: list[Row]) -> TickBatch:
    """Rows as a batch; `indexes` says which message each came from."""
    symbols = list(dict.fromkeys(row.symbol for row in rows))
    codes = {symbol: code for code, symbol in enumerate(symbols)}
    index, n = np.array(indexes, np.int64), len(rows)
    return TickBatch(
        source=raw.source,
        lane=raw.lane,
        symbols=symbols,
        symbol=np.fromiter((codes[row.symbol] for row in rows), np.int32, n),
        event_time=np.fromiter((row.time for row in rows), np.int64, n),
        received_at=raw.received_at[index],
        price=np.fromiter((row.price for row in rows), np.float64, n),
        size=np.fromiter((row.size for row in rows), np.float64, n),
        first_id=np.fromiter((row.first_id for row in rows), np.int64, n),
        last_id=np.fromiter((row.last_id for row in rows), np.int64, n),
        raw=index,
    )


@dataclass(frozen=True, slots=True)
class Candle:
    """One kline with our names; the texts are not read yet."""

    symbol: str
    interval: str
    start: int
    prices: tuple[str, str, str, str]
    volume: str
    quote_volume: str
    trades: int
    closed: bool

    def values(self) -> Mapping[str, float | int]:
        """The columns of its bar. Raises `Refused` for a value that cannot be read.

        `vwap` is NaN when nothing traded.
        """
        names = ("open", "high", "low", "close")
        prices = {name: decimal(text) for name, text in zip(names, self.prices, strict=True)}
        volume, quote = decimal(self.volume, "size"), decimal(self.quote_volume, "size")
        if not 0 <= self.trades <= _MOST_ID:
            raise Refused("changed_field", f"{self.trades} trades cannot be")
        return {
            **prices,
            "volume": volume,
            "vwap": quote / volume if volume > 0 else math.nan,
            "trades": self.trades,
            "start": microseconds(self.start),
            "interval": _interval(self.interval),
            "state": State.FINAL if self.closed else State.FORMING,
        }


def _interval(text: str) -> int:
    try:
        return interval_us(text)
    except BadSetting as error:
        raise Refused("interval", f"interval {text[:20]!r} is not known") from error


def bar_batch(raw: RawBatch, indexes: list[int], candles: list[Candle], values: list[Mapping[str, float]]) -> BarBatch:
    """Candles and their values as a batch; `indexes` says which message each came from."""
    symbols = list(dict.fromkeys(candle.symbol for candle in candles))
    codes = {symbol: code for code, symbol in enumerate(symbols)}
    index, n = np.array(indexes, np.int64), len(candles)
    floats = ("open", "high", "low", "close", "volume", "vwap")
    columns: dict[str, Any] = {name: np.fromiter((row[name] for row in values), np.float64, n) for name in floats}
    for name in ("interval", "start", "trades"):
        columns[name] = np.fromiter((row[name] for row in values), np.int64, n)
    return BarBatch(
        source=raw.source,
        symbols=symbols,
        symbol=np.fromiter((codes[candle.symbol] for candle in candles), np.int32, n),
        state=np.fromiter((row["state"] for row in values), np.uint8, n),
        version=np.zeros(n, np.int32),
        completeness=np.ones(n),
        first_raw=index,
        last_raw=index,
        known_at=raw.received_at[index],
        **columns,
    )
