"""What an answer of `v7/finance/quote` means: one snapshot a symbol, two where a pre- or post-market price is newer.

{"quoteResponse":{"result":[{"symbol":"AAPL","quoteType":"EQUITY","marketState":"CLOSED","currency":"USD",
  "regularMarketPrice":244.6,"regularMarketTime":1739566800,"regularMarketChange":3.0700073,
  "regularMarketChangePercent":1.2710667,"regularMarketOpen":241.07,"regularMarketDayHigh":245.41,
  "regularMarketDayLow":241,"regularMarketVolume":40896227,"regularMarketPreviousClose":241.53,"bid":244.44,
  "ask":253.37,"postMarketPrice":244.64,"postMarketTime":1739581198,"postMarketChange":0.0399933,
  "postMarketChangePercent":0.0163505}],"error":null}}

Times are seconds. A bid or ask of 0 stands for none. The volume of a crypto pair is money of a rolling day, as stated.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Raw, Struct

from tickhouse.feeds._messages import NOTHING, Found, NotUnderstood
from tickhouse.feeds._yahoo_names import Names
from tickhouse.feeds._zones import LAST

SECOND = 1_000_000


class _Quote(Struct, rename="camel"):
    symbol: str
    quote_type: str | None = None
    regular_market_price: float | None = None
    regular_market_time: int | None = None
    regular_market_change: float | None = None
    regular_market_change_percent: float | None = None
    regular_market_open: float | None = None
    regular_market_day_high: float | None = None
    regular_market_day_low: float | None = None
    regular_market_volume: float | None = None
    regular_market_previous_close: float | None = None
    bid: float | None = None
    ask: float | None = None
    pre_market_price: float | None = None
    pre_market_time: int | None = None
    pre_market_change: float | None = None
    pre_market_change_percent: float | None = None
    post_market_price: float | None = None
    post_market_time: int | None = None
    post_market_change: float | None = None
    post_market_change_percent: float | None = None


class _Part(Struct):
    result: list[Raw] | None = None
    error: Any = None


class _Body(Struct, rename="camel"):
    quote_response: _Part | None = None
    finance: _Part | None = None


_body, _quote = msgspec.json.Decoder(_Body), msgspec.json.Decoder(_Quote)


def read_quotes(payload: bytes, names: Names) -> Found:
    """The quotes of one answer; a symbol that cannot be read is refused alone. Raises `NotUnderstood`."""
    try:
        body = _body.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotUnderstood("malformed", f"not an answer of Yahoo's quotes: {str(error)[:200]}") from None
    part = body.quote_response or body.finance
    if part is None:
        raise NotUnderstood("malformed", "an answer of Yahoo's quotes has quoteResponse in it, this one has not")
    if part.error or not part.result:
        return NOTHING
    quotes, refused = [], []
    for item in part.result:
        try:
            quotes += _rows(_quote.decode(item), names)
        except NotUnderstood as bad:
            refused.append((bad.reason, bad.detail))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            refused.append(("malformed", f"a quote of Yahoo that cannot be read: {str(error)[:200]}"))
    return Found(quotes=quotes, refused=refused)


def _rows(quote: _Quote, names: Names) -> list[dict[str, Any]]:
    """The snapshot of regular hours, then the newer one of before or after them."""
    symbol = names.of(quote.symbol)
    if quote.regular_market_price is None or quote.regular_market_time is None:
        kind = f", its type is {quote.quote_type[:20]}" if quote.quote_type else ""
        raise NotUnderstood("price", f"Yahoo's quote of {symbol} has no price with a time{kind}: has it been renamed?")
    regular = {
        "symbol": symbol, "event_time": microseconds(quote.regular_market_time, symbol), "price": quote.regular_market_price,
        "change": quote.regular_market_change, "change_percent": quote.regular_market_change_percent,
        "day_open": quote.regular_market_open, "day_high": quote.regular_market_day_high,
        "day_low": quote.regular_market_day_low, "day_volume": quote.regular_market_volume,
        "previous_close": quote.regular_market_previous_close,
    }  # fmt: skip
    rows = [regular, *sorted(_extended(quote, symbol), key=lambda row: int(row["event_time"]))]
    rows[-1] |= {"bid": quote.bid or None, "ask": quote.ask or None}
    return rows


def _extended(quote: _Quote, symbol: str) -> Iterator[dict[str, Any]]:
    """Prices of before and after regular hours that are newer than the regular one."""
    phases = (
        (quote.pre_market_price, quote.pre_market_time, quote.pre_market_change, quote.pre_market_change_percent),
        (quote.post_market_price, quote.post_market_time, quote.post_market_change, quote.post_market_change_percent),
    )
    for price, time, change, percent in phases:
        if price is not None and time is not None and time > (quote.regular_market_time or 0):
            at = microseconds(time, symbol)
            yield {"symbol": symbol, "event_time": at, "price": price, "change": change, "change_percent": percent}


def microseconds(seconds: int, symbol: str) -> int:
    """A time in seconds as microseconds. Raises `NotUnderstood` when it is none."""
    if not 0 < seconds < LAST:
        raise NotUnderstood("time", f"Yahoo's price of {symbol} has a time of {str(seconds)[:30]}, which is none")
    return seconds * SECOND
