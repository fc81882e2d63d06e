"""What a message of FRED means.

observations (channel `observations:GDP`, or `observations:GDP:vintages` where all vintages were asked for)
    {"realtime_start":"2024-10-30","realtime_end":"2024-10-30","units":"lin","output_type":1,"count":315,"offset":0,"limit":100000,
     "observations":[{"realtime_start":"2024-10-30","realtime_end":"2024-10-30","date":"1946-01-01","value":"."}, ...], ...}
the other channels: an object with one list of the name in `LISTS`, which has no rows of ours
"""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Struct, UnsetType

from tickhouse.core.clock import SECOND
from tickhouse.core.symbols import CANONICAL
from tickhouse.feeds._decoding import day, decoded, finite, refusing
from tickhouse.feeds._messages import NOTHING, Found, NotUnderstood, Read, Row

LISTS = {
    "vintagedates": "vintage_dates", "series": "seriess", "series_release": "releases", "series_search": "seriess",
    "series_updates": "seriess", "releases": "releases", "release_dates": "release_dates", "sources": "sources",
    "category_children": "categories", "category_series": "seriess",
}  # fmt: skip
"""Channel to the list that its messages have."""
MISSING = "."
LEVELS = "lin"
"""The units of the values themselves; all others are changes of them."""
ST_LOUIS = ZoneInfo("America/Chicago")


class _Observation(Struct):
    date: dt.date
    value: str
    realtime_start: dt.date


class _Observations(Struct):
    observations: list[_Observation] | UnsetType = UNSET
    units: str = LEVELS
    error_code: Any = None


_observations = msgspec.json.Decoder(_Observations)
_anything = msgspec.json.Decoder(dict[str, Any])


def reader(channel: str) -> Read:
    """What understands the messages of a channel."""
    name, _, rest = channel.partition(":")
    if name in LISTS:
        return lambda payload, received_at: _listing(payload, LISTS[name])
    if name != "observations":
        return refusing("unknown_channel", f"fred has no channel {channel[:40]!r}")
    series, *modes = rest.split(":")
    if not CANONICAL.fullmatch(series) or not series.isprintable():
        return refusing(
            "unknown_symbol", "observations do not say their series; the channel must, as in observations:GDP"
        )
    if not modes:
        return lambda payload, received_at: _as_of_today(payload, series, received_at)
    if modes[0] != "vintages" or len(modes) > 2:
        return refusing("unknown_channel", f"observations:{series} may be followed by :vintages and a day alone")
    return lambda payload, received_at: _with_vintages(payload, series, *(day(text) for text in modes[1:]))


def _with_vintages(payload: bytes, series: str, after: dt.date = dt.date.min) -> Found:
    """Each value with the day from which it was believed; those believed on the day `after` already were told before."""
    return _found(series, [item for item in _items(payload) if item.realtime_start > after])


def _as_of_today(payload: bytes, series: str, received_at: int) -> Found:
    """What is believed on the day of the answer in St. Louis.

    The `realtime_start` of such an answer is at times that day and at times the day of the last update, so it proves nothing.
    """
    today = dt.datetime.fromtimestamp(received_at // SECOND, dt.UTC).astimezone(ST_LOUIS).date()
    return _found(series, _items(payload), today)


def _items(payload: bytes) -> list[_Observation]:
    message = decoded(_observations, payload)
    if message.error_code is not None:
        raise NotUnderstood("refusal", "FRED refuses the request")
    if message.observations is UNSET:
        raise NotUnderstood("changed_field", "the message has no list of observations")
    if message.units != LEVELS:
        raise NotUnderstood("units", f"the values are of units {message.units[:20]!r}, not those of the series itself")
    return message.observations


def _found(series: str, items: list[_Observation], vintage: dt.date | None = None) -> Found:
    """The rows of observations; of one vintage, or each of its own. A value that is no number is refused alone."""
    rows: list[Row] = []
    refused = []
    for item in items:
        try:
            value = None if item.value == MISSING else finite(item.value, "value")
        except NotUnderstood as bad:
            refused.append((bad.reason, bad.detail))
        else:
            since = vintage or item.realtime_start
            rows.append({"series": series, "date": item.date, "value": value, "vintage": since})
    return Found(observations=rows, refused=refused)


def _listing(payload: bytes, name: str) -> Found:
    message = decoded(_anything, payload)
    if "error_code" in message:
        raise NotUnderstood("refusal", "FRED refuses the request")
    if not isinstance(message.get(name), list):
        raise NotUnderstood("changed_field", f"the message has no list {name!r}")
    return NOTHING
