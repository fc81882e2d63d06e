"""What an answer of CoinGecko means. What it does not say of itself stands in the channel.

simple_price
    {"bitcoin":{"eur":75348,"eur_24h_change":-1.2,"last_updated_at":1790895430},"cardano":{"eur":0.218694}}
markets:<currency>
    [{"id":"bitcoin","current_price":49053,"high_24h":51300,"low_24h":48019,"price_change_24h":-2246.57482218,
      "price_change_percentage_24h":-4.37931,"last_updated":"2021-05-15T15:59:43.867Z", ...}, ...]
market_chart:<coin>:<currency>
    {"prices":[[1621003519770,50675.258073370765],...],"market_caps":[...],"total_volumes":[...]}
ohlc:<coin>:<currency>
    [[1620504000000,57945.79,59122.18,57945.79,59122.18],...]   close time, open, high, low, close
history:<dd-mm-yyyy>
    {"id":"bitcoin", ..., "market_data":{"current_price":{"usd":13464.9,...}, ...}}

A market that never closes has no day: change, high and low are those of the last 24 hours. The volume of the last 24 hours
is left out, for the difference of two of them is no volume.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import msgspec
from msgspec import Raw, Struct

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.model import interval_text, interval_us
from tickhouse.feeds._coingecko_answers import refusal
from tickhouse.feeds._coingecko_ids import Coins
from tickhouse.feeds._messages import NOTHING, Found, NotUnderstood, Read, Row, bars_of, each
from tickhouse.feeds._polled_json import Items, decoded, iso, milliseconds, seconds

GRANULARITIES = tuple(interval_us(text) for text in ("30m", "1h", "4h", "1d", "4d"))
Number = float | None
Candle = tuple[float, float, float, float, float]


class _Market(Struct):
    id: str
    current_price: Number
    price_change_24h: Number = None
    price_change_percentage_24h: Number = None
    high_24h: Number = None
    low_24h: Number = None
    last_updated: str | None = None


class _Chart(Struct):
    prices: Raw


class _MarketData(Struct):
    current_price: dict[str, Number]


class _History(Struct):
    id: str
    market_data: _MarketData | None = None


_coins, _values = msgspec.json.Decoder(dict[str, Raw]), msgspec.json.Decoder(dict[str, Number])
_chart, _history = msgspec.json.Decoder(_Chart), msgspec.json.Decoder(_History)
_markets: Items[_Market] = Items(_Market)
_points: Items[tuple[float, Number]] = Items(tuple[float, Number])
_candles: Items[Candle] = Items(Candle)


class Pages:
    """The readers of the channels. They know the coins of one map of ids."""

    def __init__(self, coins: Coins) -> None:
        self.coins = coins
        self._readers: Mapping[str, Callable[[Sequence[str]], Read]] = {
            "simple_price": lambda named: self._simple,
            "markets": self._markets,
            "market_chart": self._market_chart,
            "ohlc": self._ohlc,
            "history": self._history,
        }

    def parse(self, raw: RawBatch) -> Parsed:
        """Every answer of a batch. A refusal that was kept is control."""
        name, *named = raw.channel.split(":")

        def read(payload: bytes, at: int) -> Found:
            if name not in self._readers:
                raise NotUnderstood("unknown_channel", f"coingecko has no channel {name[:40]!r}")
            if refusal(payload):
                return NOTHING
            return self._readers[name](named)(payload, at)

        return each(raw, read)

    def _simple(self, payload: bytes, at: int) -> Found:
        quotes: list[Row] = []
        refused: list[tuple[str, str]] = []
        for coin, text in decoded(_coins, payload).items():
            try:
                values = decoded(_values, text)
                updated = values.get("last_updated_at")
                found = self._prices(coin, values, seconds(updated) if updated else at)
            except NotUnderstood as bad:
                refused.append((bad.reason, bad.detail))
            else:
                quotes += found.quotes
                refused += found.refused
        return Found(quotes, refused=refused)

    def _prices(self, coin: str, values: Mapping[str, Number], time: int) -> Found:
        """A row for each currency. What is said of the currency `usd` besides is called `usd_...`."""
        quotes: list[Row] = []
        refused: list[tuple[str, str]] = []
        for currency, value in values.items():
            if "_" in currency:
                continue
            try:
                symbol, price = self.coins.symbol(coin, currency), _price(value, coin)
            except NotUnderstood as bad:
                refused.append((bad.reason, bad.detail))
                continue
            change = values.get(currency + "_24h_change")
            quotes.append({"symbol": symbol, "event_time": time, "price": price, "change_percent": change})
        if not quotes and not refused:
            refused.append(("unknown_symbol", f"{coin[:60]} came without a price: its currency is not known there"))
        return Found(quotes, refused=refused)

    def _markets(self, named: Sequence[str]) -> Read:
        (currency,) = _said(named, "markets", "a currency", "usd")

        def row(market: _Market, at: int) -> Row:
            return {
                "symbol": self.coins.symbol(market.id, currency),
                "event_time": iso(market.last_updated) if market.last_updated else at,
                "price": _price(market.current_price, market.id),
                "change": market.price_change_24h,
                "change_percent": market.price_change_percentage_24h,
                "day_high": market.high_24h,
                "day_low": market.low_24h,
            }

        return lambda payload, at: _quotes(_markets.rows(payload, lambda market: row(market, at)))

    def _market_chart(self, named: Sequence[str]) -> Read:
        coin, currency = _said(named, "market_chart", "a coin and a currency", "bitcoin", "usd")

        def read(payload: bytes, at: int) -> Found:
            symbol, points = self.coins.symbol(coin, currency), decoded(_chart, payload).prices
            return _quotes(_points.rows(points, lambda point: _point(symbol, *point)))

        return read

    def _ohlc(self, named: Sequence[str]) -> Read:
        coin, currency = _said(named, "ohlc", "a coin and a currency", "bitcoin", "usd")

        def read(payload: bytes, at: int) -> Found:
            symbol = self.coins.symbol(coin, currency)
            rows, refused = _candles.rows(payload, lambda candle: (milliseconds(candle[0]), candle))
            if not rows:
                return Found(refused=refused)
            step = _granularity([time for time, _ in rows])
            kept, off = _on_grid(rows, step)
            closed = [(time - step, candle) for time, candle in kept if time <= at]
            prices = [[candle[i] for _, candle in closed] for i in (1, 2, 3, 4)]
            bars = bars_of(symbol, interval_text(step), [start for start, _ in closed], prices)
            return Found(bars=[bars], refused=[*refused, *off])

        return read

    def _history(self, named: Sequence[str]) -> Read:
        (date,) = _said(named, "history", "a date", "30-12-2017")

        def read(payload: bytes, at: int) -> Found:
            page = decoded(_history, payload)
            if page.market_data is None:
                return NOTHING
            return self._prices(page.id, page.market_data.current_price, iso("-".join(reversed(date.split("-")))))

        return read


def _said(named: Sequence[str], channel: str, what: str, *example: str) -> Sequence[str]:
    """What the channel says behind its name. Raises `NotUnderstood` when it does not say all of it."""
    if len(named) != len(example) or not all(named):
        raise NotUnderstood(
            "unknown_symbol",
            f"an answer of {channel} does not say {what}; name it as in {':'.join((channel, *example))}",
        )
    return named


def _quotes(read: tuple[Sequence[Row], Sequence[tuple[str, str]]]) -> Found:
    rows, refused = read
    return Found(rows, refused=refused)


def _point(symbol: str, time: float, price: Number) -> Row:
    return {"symbol": symbol, "event_time": milliseconds(time), "price": _price(price, symbol)}


def _price(price: Number, coin: str) -> float:
    if price is None:
        raise NotUnderstood("price", f"CoinGecko has no price of {coin[:60]}")
    if price <= 0:
        raise NotUnderstood("price", f"a price of {coin[:60]} is {price}, which is not above 0")
    return price


def _granularity(times: Sequence[int]) -> int:
    """How far apart the candles are, by the commonest distance of two neighbours. Raises `NotUnderstood`."""
    distances = Counter(later - earlier for earlier, later in pairwise(times))
    known = {distance: count for distance, count in distances.items() if distance in GRANULARITIES}
    if not known:
        raise NotUnderstood("interval", "the distances of the candles do not tell how long a candle is")
    return max(known, key=lambda distance: (known[distance], -distance))


def _on_grid(rows: Sequence[tuple[int, Candle]], step: int) -> tuple[list[tuple[int, Candle]], list[tuple[str, str]]]:
    """The candles that are whole steps after the one before; a last one that is not is still forming."""
    kept, refused = [rows[0]], []
    for before, row in pairwise(rows):
        distance = row[0] - before[0]
        if distance > 0 and distance % step == 0:
            kept.append(row)
        elif row is not rows[-1]:
            refused.append(
                ("interval", f"a candle ends {distance / 1e6:.0f} s after the one before, which is no whole step")
            )
    return kept, refused
