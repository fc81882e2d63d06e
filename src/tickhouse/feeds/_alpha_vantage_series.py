"""What a time series of Alpha Vantage means: bars, and the dividends and splits that its adjusted days carry.

{"Meta Data":{"1. Information":"...","2. Symbol":"MSFT","3. Last Refreshed":"2017-12-18 14:56:00","4. Interval":"1min",
              "5. Output Size":"Compact","6. Time Zone":"US/Eastern"},
 "Time Series (1min)":{"2017-12-18 14:56:00":{"1. open":"86.4900","2. high":"86.5000","3. low":"86.4750",
                                              "4. close":"86.5000","5. volume":"10494"},...}}

Daily, forex and crypto series likewise, with `Time Series (Daily)`, `Time Series FX (Daily)` or `Time Series (Digital Currency
Daily)`. Newest first; bars come out oldest first. Times are clocks of the zone that the answer names, New York for shares, UTC
for forex and crypto, and are the open of the bar (until about 2020 they were its close: the feed's option `stamped`). Days are
stamped at the UTC midnight of their date. Prices are as traded; dividends and splits of adjusted days are actions beside
them. A bar whose time was not over when the answer came is none yet: a day of shares is over a minute after four in New York.
"""

import re
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from msgspec import Raw, Struct, field

from tickhouse.core.batches import F64, I64
from tickhouse.core.model import interval_us
from tickhouse.feeds._alpha_vantage_answers import NEW_YORK, REFUSALS, parts_of, refuses
from tickhouse.feeds._alpha_vantage_values import Names, named, number, plain
from tickhouse.feeds._messages import NOTHING, Found, NotUnderstood, bars_of
from tickhouse.feeds._zones import DAY, FIRST, LAST, from_local, zone_of

INTERVALS = {"1min": "1m", "5min": "5m", "15min": "15m", "30min": "30m", "60min": "1h", "daily": "1d"}
SESSION_END = 16 * 3600 + 60
"""Seconds of a day in New York after which its bar is whole."""
SECOND = 1_000_000
NAMES = ("open", "high", "low", "close", "volume", "dividend amount", "split coefficient")
NEEDED = NAMES[:4]
_NAN = float("nan")
_TITLE = re.compile(r"Time Series.*\((?:.* )?(\w+)\)")
_CLOCK = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?)?", re.ASCII)
Refused = list[tuple[str, str]]
Columns = dict[str, F64]


class _Row(Struct):
    open: float = field(name="1. open")
    high: float = field(name="2. high")
    low: float = field(name="3. low")
    close: float = field(name="4. close")
    volume: float = field(name="5. volume", default=_NAN)
    volume_behind: float = field(name="6. volume", default=_NAN)
    dividend: float = field(name="7. dividend amount", default=0.0)
    split: float = field(name="8. split coefficient", default=1.0)


_LENGTHS = ("1min", "5min", "15min", "30min", "60min")
_DAYS = ("Time Series (Daily)", "Time Series FX (Daily)", "Time Series (Digital Currency Daily)")
_MINUTES = (f"Time Series{kind} ({length})" for kind in ("", " FX", " Crypto") for length in _LENGTHS)
TITLES = {f"series_{i}": title for i, title in enumerate((*_DAYS, *_MINUTES))}
"""What the series are called in answers of the usual form, by attribute of such an answer."""
_REFUSED = {f"refusal_{i}": key for i, key in enumerate(REFUSALS)}
_Answer = msgspec.defstruct(
    "_Answer",
    [
        ("meta", dict[str, str] | None, field(name="Meta Data", default=None)),
        *((name, dict[str, _Row] | None, field(name=title, default=None)) for name, title in TITLES.items()),
        *((name, Any, field(name=key, default=None)) for name, key in _REFUSED.items()),
    ],
)
_answer = msgspec.json.Decoder(_Answer, strict=False)
_loose = msgspec.json.Decoder(dict[str, Raw])


def read_series(payload: bytes, received_at: int, names: Names, stamped: str = "open") -> Found:
    """The bars and actions of one answer; a row that cannot be read is refused alone. Raises `NotUnderstood`."""
    found = _usual(payload, names) or _unusual(payload, names)
    if found is None:
        return NOTHING
    series, texts, columns, refused = found
    times, understood = _times(texts)
    if not understood.all():
        bad = texts[int(np.flatnonzero(~understood)[0])]
        refused.append(("time", f"{int((~understood).sum())} rows of {series.symbol} have times such as {bad[:30]!r}"))
    begins = series.begins(times, stamped)
    usable = understood & (series.ends(begins) <= received_at // SECOND)
    rows = np.flatnonzero(usable)
    rows = rows[np.argsort(begins[rows], kind="stable")]
    prices = [columns[name][rows] for name in NEEDED]
    bars = bars_of(series.symbol, series.interval, begins[rows] * SECOND, prices, columns["volume"][rows])
    return Found(bars=[bars], actions=_actions(series.symbol, times[understood], columns, understood), refused=refused)


@dataclass(frozen=True, slots=True)
class _Series:
    """What the meta data say: which symbol, how long its bars are, in which zone its times."""

    symbol: str
    interval: str
    zone: ZoneInfo
    market: str

    @classmethod
    def of(cls, meta: Any, length: str, names: Names) -> "_Series":
        interval = INTERVALS.get(length.lower())
        if interval is None:
            raise NotUnderstood("interval", f"bars have the length {length[:20]!r}, not one of {', '.join(INTERVALS)}")
        market = str(meta.get("market code", ""))
        if "symbol" in meta:
            symbol = names.of(meta["symbol"])
        elif "from symbol" in meta:
            symbol = names.pair(meta["from symbol"], meta.get("to symbol"))
        else:
            symbol = names.pair(meta.get("digital currency code"), market)
        zone = zone_of(str(meta.get("time zone", "")))
        if zone is None:
            raise NotUnderstood(
                "timezone", f"times of {symbol} are in a zone {str(meta.get('time zone'))[:40]!r} that is not known"
            )
        return cls(symbol, interval, zone, market.lower())

    def begins(self, times: I64, stamped: str) -> I64:
        """When bars begin, in UTC seconds, from the times that they carry."""
        if self.interval == "1d":
            return times // DAY * DAY
        begins = from_local(times, self.zone)
        return begins - interval_us(self.interval) // SECOND if stamped == "close" else begins

    def ends(self, begins: I64) -> I64:
        """When bars are over, in UTC seconds."""
        if self.interval == "1d" and self.zone.key == NEW_YORK.key:
            return from_local(begins + SESSION_END, self.zone)
        if self.interval == "1d":
            return from_local(np.minimum(begins + DAY, LAST - 1), self.zone)
        return begins + interval_us(self.interval) // SECOND


_Read = tuple[_Series, list[str], Columns, Refused]
"""A series, the times of its rows as written, their numbers, and why other rows were refused."""


def _usual(payload: bytes, names: Names) -> _Read | None:
    """What an answer of the usual form holds, read in one go; None for any other, be it a refusal or odd in a single row."""
    try:
        answer: Any = _answer.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    name = next((name for name in TITLES if getattr(answer, name) is not None), None)
    if name is None or not answer.meta or any(getattr(answer, refused) is not None for refused in _REFUSED):
        return None
    rows = getattr(answer, name)
    columns = _columns(list(rows.values()))
    if not all(np.isfinite(columns[name]).all() for name in NEEDED) or np.isinf(columns["volume"]).any():
        return None
    meta = {plain(key): value for key, value in answer.meta.items()}
    return _Series.of(meta, _length(TITLES[name]), names), list(rows), columns, []


def _columns(rows: list[_Row]) -> Columns:
    """The numbers of rows by their names."""
    behind = np.array([row.volume_behind for row in rows])
    volume = np.array([row.volume for row in rows])
    return {
        "open": np.array([row.open for row in rows]), "high": np.array([row.high for row in rows]),
        "low": np.array([row.low for row in rows]), "close": np.array([row.close for row in rows]),
        "volume": np.where(np.isnan(volume), behind, volume),
        "dividend amount": np.array([row.dividend for row in rows]), "split coefficient": np.array([row.split for row in rows]),
    }  # fmt: skip


def _unusual(payload: bytes, names: Names) -> _Read | None:
    """What any answer holds, part by part and row by row; None when that is nothing or a refusal. Raises `NotUnderstood`."""
    parts = parts_of(payload)
    if parts is None:
        raise NotUnderstood("malformed", "not a JSON object, as answers of Alpha Vantage are")
    if not parts or refuses(parts):
        return None
    title = next((name for name in parts if _TITLE.fullmatch(name)), None)
    if title is None:
        raise NotUnderstood("malformed", f"no time series in it, only {', '.join(parts)[:80]}")
    series = _Series.of(named(parts.get("Meta Data")), _length(title), names)
    return series, *_row_by_row(parts[title], series.market)


def _length(title: str) -> str:
    """The length of the bars that the title of a series names."""
    found = _TITLE.fullmatch(title)
    return found[1] if found else ""


def _row_by_row(part: Raw, market: str) -> tuple[list[str], Columns, Refused]:
    """The rows that can be read, and why others cannot: names are matched by what follows their number."""
    try:
        rows = _loose.decode(part)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotUnderstood("malformed", f"a time series that is none: {str(error)[:200]}") from None
    texts: list[str] = []
    found: list[list[float]] = []
    refused: Refused = []
    for text, row in rows.items():
        try:
            found.append(_numbers(row, market))
            texts.append(text)
        except NotUnderstood as bad:
            refused.append((bad.reason, f"{text[:30]}: {bad.detail}"[:400]))
    columns = np.array(found, np.float64).reshape(len(found), len(NAMES))
    return texts, {name: columns[:, i] for i, name in enumerate(NAMES)}, refused


def _numbers(row: Raw, market: str) -> list[float]:
    """The numbers of one row. Raises `NotUnderstood` when a price is missing."""
    values = {name.removesuffix(f" ({market})"): value for name, value in named(row).items()}
    numbers = [number(values, name) for name in NAMES]
    missing = [name for name, value in zip(NEEDED, numbers, strict=False) if value is None]
    if missing:
        raise NotUnderstood("price", f"a row has no {', '.join(missing)}")
    defaults = (*(_NAN,) * 5, 0.0, 1.0)
    return [default if value is None else value for value, default in zip(numbers, defaults, strict=True)]


def _times(texts: list[str]) -> tuple[I64, Any]:
    """What the clocks show, in seconds since 1970 as if in UTC, and which are times."""
    written = [text if _CLOCK.fullmatch(text) else "NaT" for text in texts]
    try:
        times = np.array(written, "datetime64[s]")
    except ValueError:
        times = np.array([_time(text) for text in written], "datetime64[s]")
    seconds = np.where(np.isnat(times), FIRST - 1, times.astype(np.int64))
    understood = (seconds >= FIRST + 2 * DAY) & (seconds < LAST - 2 * DAY)
    return np.where(understood, seconds, 0), understood


def _time(text: str) -> Any:
    try:
        return np.datetime64(text, "s")
    except ValueError:
        return np.datetime64("NaT", "s")


def _actions(symbol: str, times: I64, columns: Columns, rows: Any) -> list[dict[str, Any]]:
    """Dividends and splits, by date."""
    dividends, splits = columns["dividend amount"][rows], columns["split coefficient"][rows]
    paid, split = np.flatnonzero(dividends > 0), np.flatnonzero((splits > 0) & (splits != 1.0))
    found = [(int(times[i]) // DAY, "dividend", float(dividends[i])) for i in paid]
    found += [(int(times[i]) // DAY, "split", float(splits[i])) for i in split]
    return [
        {"symbol": symbol, "date": np.datetime64(day, "D").item(), "kind": kind, "value": value}
        for day, kind, value in sorted(found)
    ]
