"""What an answer of Frankfurter means. It says all of itself.

rates, of the interface v2
    [{"date":"2026-09-13","base":"EUR","quote":"CHF","rate":0.94385},...]    or one such object
latest, of the interface v1
    {"amount":1.0,"base":"EUR","date":"2026-09-18","rates":{"USD":1.146,"TRY":55.9077,"GBP":0.8588}}
    {"amount":1.0,"base":"EUR","start_date":...,"end_date":...,"rates":{"2024-01-02":{"USD":1.0956},...}}

A date has no time: a rate is stamped at the midnight UTC that begins it, although it is fixed later on that day.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from math import inf

import msgspec
from msgspec import Raw, Struct

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.feeds._frankfurter_answers import refusal
from tickhouse.feeds._messages import NOTHING, Found, NotUnderstood, Row, each
from tickhouse.feeds._polled_json import SHOWN, Items, decoded, iso


class _Rate(Struct, gc=False):
    date: str
    base: str
    quote: str
    rate: float


class _Map(Struct):
    base: str
    rates: dict[str, Raw]
    amount: float = 1.0
    date: str | None = None


_one = msgspec.json.Decoder(_Rate)
_many: Items[_Rate] = Items(_Rate)
_map, _day, _number = msgspec.json.Decoder(_Map), msgspec.json.Decoder(dict[str, Raw]), msgspec.json.Decoder(float)


def parse_page(raw: RawBatch) -> Parsed:
    """Every answer of a batch. A refusal that was kept is control."""
    name = raw.channel.partition(":")[0]
    readers: Mapping[str, Callable[[bytes], Found]] = {"rates": rates, "latest": latest}

    def read(payload: bytes, at: int) -> Found:
        if name not in readers:
            raise NotUnderstood("unknown_channel", f"frankfurter has no channel {name[:40]!r}")
        return NOTHING if refusal(payload) else readers[name](payload)

    return each(raw, read)


def rates(payload: bytes) -> Found:
    """The rates of a list, or of one object."""
    if payload.lstrip()[:1] == b"{":
        rate = decoded(_one, payload)
        return Found([_row(iso(rate.date), _symbol(rate.base, rate.quote), rate.rate)])
    day, symbol = cache(iso), cache(_symbol)
    quotes, refused = _many.rows(payload, lambda r: _row(day(r.date), symbol(r.base, r.quote), r.rate))
    return Found(quotes, refused=refused)


def latest(payload: bytes) -> Found:
    """The rates of a map, of one day or of many."""
    page = decoded(_map, payload)
    if not page.amount > 0:
        raise NotUnderstood("changed_field", f"the amount of the rates is {page.amount}, which is not above 0")
    quotes, refused = [], []
    for date, quote, value in _values(page):
        try:
            quotes.append(_row(iso(date), _symbol(page.base, quote), decoded(_number, value) / page.amount))
        except NotUnderstood as bad:
            refused.append((bad.reason, bad.detail))
    return Found(quotes, refused=refused)


def _values(page: _Map) -> Iterator[tuple[str, str, Raw]]:
    """Date, quote currency and the text of the rate. Raises `NotUnderstood` when the page is of neither kind."""
    if page.date is not None:
        yield from ((page.date, quote, value) for quote, value in page.rates.items())
        return
    for date, day in page.rates.items():
        yield from ((date, quote, value) for quote, value in decoded(_day, day).items())


def _row(time: int, symbol: str, rate: float) -> Row:
    if not 0 < rate < inf:
        raise NotUnderstood("price", f"a rate of {symbol} is {rate}, which cannot be")
    return {"symbol": symbol, "event_time": time, "price": rate}


def _symbol(base: str, quote: str) -> str:
    if not _is_code(base) or not _is_code(quote):
        raise NotUnderstood("unknown_symbol", f"{base[:SHOWN]!r} and {quote[:SHOWN]!r} are not codes of two currencies")
    return f"{base}-{quote}"


def _is_code(text: str) -> bool:
    return len(text) == 3 and text.isascii() and text.isalpha() and text.isupper()
