"""What Alpha Vantage's quotes, exchange rates and economic series mean.

{"Global Quote":{"01. symbol":"MSFT","02. open":"112.6300","03. high":"113.1700","04. low":"110.6400","05. price":"112.1300",
  "06. volume":"29062853","07. latest trading day":"2018-10-05","08. previous close":"112.7900","09. change":"-0.6600",
  "10. change percent":"-0.5852%"}}
{"Realtime Currency Exchange Rate":{"1. From_Currency Code":"USD","3. To_Currency Code":"JPY","5. Exchange Rate":"110.29100000",
  "6. Last Refreshed":"2021-04-06 08:16:01","7. Time Zone":"UTC","8. Bid Price":"110.29060000","9. Ask Price":"110.29560000"}}
{"name":"Real Gross Domestic Product","interval":"annual","unit":"billions of dollars",
  "data":[{"date":"2023-01-01","value":"22671.096"},...]}

A global quote states its day and no time: it is stamped at four in the afternoon in New York of that day, or at its receipt where
that was earlier. An observation's vintage is the day of its receipt in UTC, since Alpha Vantage states none; `.` is no value.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from msgspec import Raw, Struct

from tickhouse.feeds._alpha_vantage_answers import NEW_YORK, parts_of, refuses
from tickhouse.feeds._alpha_vantage_economic import series_named
from tickhouse.feeds._alpha_vantage_values import Names, named, number
from tickhouse.feeds._messages import NOTHING, Found, NotUnderstood
from tickhouse.feeds._zones import zone_of

CLOSE = 16
"""The hour at which the day of shares ends in New York."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"(19|20|21)\d\d-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(r"(19|20|21)\d\d-\d\d-\d\d \d\d:\d\d(:\d\d)?", re.ASCII)


class _Point(Struct):
    date: str
    value: Any = None


class _Title(Struct):
    name: str = ""
    interval: str = ""


_title = msgspec.json.Decoder(_Title)
_points = msgspec.json.Decoder(list[_Point])


def read_global_quote(payload: bytes, received_at: int, names: Names) -> Found:
    """The quote of one answer. Raises `NotUnderstood`."""
    part = _part(payload, "Global Quote")
    if part is None:
        return NOTHING
    values = named(part)
    if not values:
        return NOTHING
    symbol = names.of(values.get("symbol"))
    day = _date(values.get("latest trading day"), f"the quote of {symbol}")
    closed = datetime(day.year, day.month, day.day, CLOSE, tzinfo=NEW_YORK)
    quote = {
        "symbol": symbol, "event_time": min(_us(closed), received_at), "price": _price(values, "price", symbol),
        "change": number(values, "change"), "change_percent": number(values, "change percent"),
        "day_open": number(values, "open"), "day_high": number(values, "high"), "day_low": number(values, "low"),
        "day_volume": number(values, "volume"), "previous_close": number(values, "previous close"),
    }  # fmt: skip
    return Found(quotes=[quote])


def read_exchange_rate(payload: bytes, names: Names) -> Found:
    """The rate of one answer, with bid and ask where it has them. Raises `NotUnderstood`."""
    part = _part(payload, "Realtime Currency Exchange Rate")
    if part is None:
        return NOTHING
    values = named(part)
    if not values:
        return NOTHING
    symbol = names.pair(values.get("from_currency code"), values.get("to_currency code"))
    zone, text = zone_of(str(values.get("time zone", ""))), values.get("last refreshed")
    if zone is None:
        raise NotUnderstood(
            "timezone", f"the time of {symbol} is in a zone {str(values.get('time zone'))[:40]!r} that is not known"
        )
    try:
        if not isinstance(text, str) or not _MOMENT.fullmatch(text):
            raise ValueError
        moment = datetime.fromisoformat(text).replace(tzinfo=zone)
    except ValueError:
        raise NotUnderstood("time", f"the rate of {symbol} is of {str(text)[:40]!r}, which is no time") from None
    quote = {
        "symbol": symbol, "event_time": _us(moment), "price": _price(values, "exchange rate", symbol),
        "bid": number(values, "bid price"), "ask": number(values, "ask price"),
    }  # fmt: skip
    return Found(quotes=[quote])


def read_economic(payload: bytes, received_at: int, series: str) -> Found:
    """The observations of one answer, by its title where `series` is empty; one that cannot be read is refused alone.

    Raises `NotUnderstood`.
    """
    part = _part(payload, "data")
    if part is None:
        return NOTHING
    try:
        points, title = _points.decode(part), _title.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotUnderstood("malformed", f"not the values of a series: {str(error)[:200]}") from None
    series = series or series_named(title.name, title.interval)
    if not series:
        detail = f"neither the channel says which series this is, as in economic:REAL_GDP, nor does its name: {title.name[:60]!r}"
        raise NotUnderstood("unknown_series", detail)
    vintage, rows, refused = (EPOCH + timedelta(microseconds=received_at)).date(), [], []
    for point in points:
        try:
            value = number({"value": point.value}, "value")
            rows.append({"series": series, "date": _date(point.date, series), "value": value, "vintage": vintage})
        except NotUnderstood as bad:
            refused.append((bad.reason, f"{point.date[:20]}: {bad.detail}"))
    return Found(observations=rows, refused=refused)


def _part(payload: bytes, name: str) -> Raw | None:
    """The named part of an answer, None when it is a refusal. Raises `NotUnderstood` when it is something else."""
    parts = parts_of(payload)
    if parts is None:
        raise NotUnderstood("malformed", "not a JSON object, as answers of Alpha Vantage are")
    if refuses(parts):
        return None
    part = next((parts[key] for key in parts if key.startswith(name)), None)
    if part is None and parts:
        raise NotUnderstood("malformed", f"no {name!r} in it, only {', '.join(parts)[:80]}")
    return part


def _price(values: Mapping[str, Any], name: str, symbol: str) -> float:
    price = number(values, name)
    if price is None:
        raise NotUnderstood("price", f"the answer of {symbol} has no price")
    return price


def _date(text: Any, what: str) -> date:
    try:
        if not isinstance(text, str) or not _DATE.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise NotUnderstood("date", f"{what} has a day {str(text)[:30]!r}, which is none") from None


def _us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)
