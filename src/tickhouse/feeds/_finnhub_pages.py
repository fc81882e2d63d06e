"""What an answer of Finnhub means. Its symbol stands in the channel, as it is written here or there.

quote:<symbol>
    {"c":328.655,"d":-0.36,"dp":-0.11,"h":332.47,"l":328.37,"o":330,"pc":329.02,"t":1790884800}
candle:<symbol>:<interval>
    {"s":"ok","t":[1569297600,...],"o":[...],"h":[...],"l":[...],"c":[...],"v":[...]}    t: the open

`t` of a quote may be old or the moment of the request, so it tells little about how fresh the price is. Whole numbers come
without a point. A 0 beside a price says that there is no value. Daily candles are adjusted for splits, shorter ones are not.
"""

from collections.abc import Callable
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta, Struct

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import BadSetting
from tickhouse.core.model import interval_us
from tickhouse.feeds._finnhub_answers import is_unknown, refusal
from tickhouse.feeds._finnhub_names import Names
from tickhouse.feeds._messages import NOTHING, Found, NotUnderstood, bars_of, each
from tickhouse.feeds._polled_json import NEWEST, OLDEST, SECOND, decoded, seconds

Number = float | None
Numbers = list[float | None]


class _Quote(Struct):
    c: Number
    t: Number
    d: Number = None
    dp: Number = None
    h: Number = None
    l: Number = None  # noqa: E741
    o: Number = None
    pc: Number = None


class _Candles(Struct):
    s: str
    t: list[Annotated[int, Meta(gt=OLDEST, lt=NEWEST)]] = []
    o: Numbers = []
    h: Numbers = []
    l: Numbers = []  # noqa: E741
    c: Numbers = []
    v: Numbers = []


_quote, _candles = msgspec.json.Decoder(_Quote), msgspec.json.Decoder(_Candles)


def parse_page(raw: RawBatch, names: Names) -> Parsed:
    """Every answer of a batch. A refusal that was kept is control."""
    channel, _, named = raw.channel.partition(":")
    read: Callable[[bytes, int, str, Names], Found] = quote if channel == "quote" else candles
    return each(raw, lambda payload, at: NOTHING if refusal(payload) else read(payload, at, named, names))


def quote(payload: bytes, at: int, named: str, names: Names) -> Found:
    """The present price of one symbol; where it has no time, the moment it came."""
    page = decoded(_quote, payload)
    if not named:
        raise NotUnderstood("unknown_symbol", "a quote does not say its symbol; name it as in quote:AAPL")
    symbol = names.of(named)
    if is_unknown(page.c, page.t):
        raise NotUnderstood("unknown_symbol", f"Finnhub does not know {symbol}: all of its quote is 0")
    if not page.c or page.c < 0:
        raise NotUnderstood("price", f"the price of {symbol} is {page.c}, which is not above 0")
    row = {
        "symbol": symbol, "event_time": seconds(page.t) if page.t else at, "price": page.c,
        "change": page.d, "change_percent": page.dp, "day_open": page.o or None, "day_high": page.h or None,
        "day_low": page.l or None, "previous_close": page.pc or None,
    }  # fmt: skip
    return Found([row])


def candles(payload: bytes, at: int, named: str, names: Names) -> Found:
    """The bars of a page that were over when it came."""
    page = decoded(_candles, payload)
    symbol, interval = _symbol_and_interval(named, names)
    if page.s == "no_data":
        return NOTHING
    columns = [page.o, page.h, page.l, page.c, page.v or [None] * len(page.t)]
    if page.s != "ok" or any(len(column) != len(page.t) for column in columns):
        raise NotUnderstood("changed_field", "candles come as columns of one length, with s = ok")
    values = np.array(columns, np.float64).reshape(5, len(page.t))
    start = np.array(page.t, np.int64) * SECOND
    whole = ~np.isnan(values[:4]).any(axis=0)
    taken = whole & (start + interval_us(interval) <= at)
    refused = [("price", f"a candle of {symbol} lacks a price")] * int((~whole).sum())
    prices = list(values[:4, taken])
    return Found(bars=[bars_of(symbol, interval, start[taken], prices, values[4, taken])], refused=refused)


def _symbol_and_interval(named: str, names: Names) -> tuple[str, str]:
    text, _, interval = named.rpartition(":")
    try:
        interval_us(interval)
    except BadSetting:
        text = ""
    if not text:
        raise NotUnderstood(
            "unknown_symbol", "candles do not say their symbol and interval; name them as in candle:AAPL:1d"
        )
    return names.of(text), interval
