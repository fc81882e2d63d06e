"""When a market is open: nobody asks a closed one for prices, and silence is no fault while it sleeps.

A market is what `About.market` of a feed says, or the code of an exchange, such as `XLON`. Crypto, economic data and files are
always open; forex is open from Sunday to Friday, 17:00 in New York, on holidays too; equities keep the hours of the New York Stock
Exchange with its holidays and half days, and with `extended` also those before the open (from 04:00) and after the close (until
20:00, on a half day 17:00).

    open_at("equities", now) or sleep_until(next_open("equities", now))

An answer takes a microsecond or two. The first one about an exchange takes a second, since it loads pandas and the calendars.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadQuery, BadSetting, nearest

ALWAYS = frozenset(("crypto", "economic", "files"))
FOREX, EQUITIES = "forex", "XNYS"
NEW_YORK = ZoneInfo("America/New_York")
EXTENDED = frozenset(("XNYS", "XNAS"))
BEFORE_OPEN, AFTER_CLOSE = 5 * 3600 * SECOND + 1800 * SECOND, 4 * 3600 * SECOND
"""How much longer than from open to close a share of New York can be traded; half days end as much earlier after hours."""
_YEAR = 366 * 86_400 * SECOND
_FIRST_YEAR, _LAST_YEAR = 1900, 2200
_USUALLY_FROM = 1990
"""Hours are made from here on unless older ones are asked for: more years cost little, making them anew costs much."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Hours:
    """The stretches in which a market is open between `first` and `last`, in microseconds, oldest first.

    Stretch i is [starts[i], ends[i]); before it the market had been open for `before[i]` in all.
    """

    first: int
    last: int
    starts: list[int]
    ends: list[int]
    before: list[int]

    @classmethod
    def of(cls, first: int, last: int, stretches: Iterable[tuple[int, int]]) -> "Hours":
        """The hours of stretches that are in order and do not overlap."""
        found = list(stretches)
        before = [0, *accumulate(end - start for start, end in found)][: len(found)]
        return cls(first, last, [start for start, _ in found], [end for _, end in found], before)

    def open_at(self, at: int) -> bool:
        """Whether `at` is in a stretch."""
        i = bisect_right(self.starts, at) - 1
        return i >= 0 and at < self.ends[i]

    def next_open(self, at: int) -> int | None:
        """The first open moment from `at` on, None when it is after the last stretch."""
        i = bisect_right(self.starts, at)
        if i and at < self.ends[i - 1]:
            return at
        return self.starts[i] if i < len(self.starts) else None

    def open_before(self, at: int) -> int:
        """For how long in all the market was open before `at`."""
        i = bisect_right(self.starts, at) - 1
        return self.before[i] + min(at, self.ends[i]) - self.starts[i] if i >= 0 else 0


_known: dict[tuple[str, bool], Hours] = {}


def open_at(market: str, at_us: int, *, extended: bool = False) -> bool:
    """Whether the market is open. The moment of the open is open, that of the close is not.

    >>> friday_at_five = 1_795_816_800_000_000
    >>> [open_at(market, friday_at_five) for market in ("forex", "crypto")], open_at("forex", friday_at_five - 1)
    ([False, True], True)
    """
    return market in ALWAYS or _hours(market, extended, at_us, at_us).open_at(at_us)


def next_open(market: str, at_us: int, *, extended: bool = False) -> int:
    """The first moment at or after `at_us` at which the market is open. Raises `BadQuery` where its future is not known."""
    if market in ALWAYS:
        return at_us
    found = _hours(market, extended, at_us, at_us + _YEAR).next_open(at_us)
    if found is None:
        raise BadQuery(f"the sessions of {market} are not known so far ahead")
    return found


def expected_silence(market: str, since_us: int, until_us: int, *, extended: bool = False) -> int:
    """For how many microseconds of [since, until) the market was closed."""
    if market in ALWAYS or until_us <= since_us:
        return 0
    hours = _hours(market, extended, since_us, until_us)
    return until_us - since_us - (hours.open_before(until_us) - hours.open_before(since_us))


def stretches(market: str, since_us: int, until_us: int, *, extended: bool = False) -> list[tuple[int, int]]:
    """Every stretch [start, end) in which the market is open and that overlaps [since, until), oldest first and whole.

    A market that is always open has one, the range itself.
    """
    if market in ALWAYS:
        return [(since_us, until_us)]
    hours = _hours(market, extended, since_us, until_us)
    first, last = bisect_right(hours.ends, since_us), bisect_left(hours.starts, until_us)
    return list(zip(hours.starts[first:last], hours.ends[first:last], strict=True))


def zone_of(market: str) -> ZoneInfo:
    """The time zone by which a market counts its days. Raises `BadSetting` for a market that there is not.

    >>> zone_of("equities"), zone_of("crypto")
    (zoneinfo.ZoneInfo(key='America/New_York'), zoneinfo.ZoneInfo(key='UTC'))
    """
    if market in ALWAYS:
        return ZoneInfo("UTC")
    return NEW_YORK if market in (FOREX, "equities", EQUITIES) else _zone(market)


def _hours(market: str, extended: bool, since: int, until: int) -> Hours:
    """Hours that hold a range; made for whole years around it when they are not known yet. Raises `BadQuery` where none are."""
    known = _known.get((market, extended))
    if known is not None and known.first <= since and until < known.last:
        return known
    first, last = min(_year(since) - 1, _USUALLY_FROM), max(_year(until) + 1, _USUALLY_FROM)
    if not _FIRST_YEAR <= first <= last <= _LAST_YEAR:
        raise BadQuery(f"sessions are told of the years after {_FIRST_YEAR} and before {_LAST_YEAR}")
    if known is not None:
        first, last = min(first, _year(known.first)), max(last, _year(known.last - 1))
    made = _made(market, extended, date(first, 1, 1), date(last + 1, 1, 1))
    if not (made.first <= since and until < made.last):
        raise BadQuery(f"the calendar of {market} does not know that year")
    _known[market, extended] = made
    return made


def _made(market: str, extended: bool, first: date, last: date) -> Hours:
    """The hours of [first, last), or of the part of it for which an exchange has told them."""
    if market == FOREX:
        return Hours.of(_midnight(first), _midnight(last), _weeks(first, last))
    name = EQUITIES if market == "equities" else market
    if extended and name not in EXTENDED:
        raise BadSetting(
            "extended", name, f"one of {', '.join(sorted(EXTENDED))}, whose hours before and after are known"
        )
    first, last, stretches = _sessions(name, first, last)
    if extended:
        stretches = [(start - BEFORE_OPEN, end + AFTER_CLOSE) for start, end in stretches]
    return Hours.of(_midnight(first), _midnight(last), stretches)


def _weeks(first: date, last: date) -> Iterable[tuple[int, int]]:
    """From Sunday to Friday at five, New York time; the first may begin before the range."""
    sunday = first - timedelta(days=first.isoweekday() % 7)
    while sunday < last:
        yield _five(sunday), _five(sunday + timedelta(days=5))
        sunday += timedelta(days=7)


def _five(day: date) -> int:
    return _us(datetime.combine(day, time(17), NEW_YORK))


def _sessions(name: str, first: date, last: date) -> tuple[date, date, list[tuple[int, int]]]:
    """The sessions of an exchange and the days that they are of; a session with a break is two.

    Raises `BadSetting` for a market that there is not.
    """
    import exchange_calendars

    known = exchange_calendars.get_calendar_names(include_aliases=False)
    if name not in known:
        near = nearest(name.upper(), known)
        hint = f" such as {near}" if near else ""
        raise BadSetting("market", name, f"crypto, equities, forex, economic, files or the code of an exchange{hint}")
    begin, end = _bounds(name)
    first, last = max(first, begin or first), min(last, end or last)
    # A week more, for a session may reach from one day and year of UTC into the next.
    calendar = exchange_calendars.get_calendar(name, start=begin or first - timedelta(days=7), end=last)
    columns = (calendar.opens, calendar.break_starts, calendar.break_ends, calendar.closes)
    moments = [moment for row in zip(*map(_column, columns), strict=True) for moment in row if moment is not None]
    return first, last, list(zip(moments[::2], moments[1::2], strict=True))


@cache
def _zone(name: str) -> ZoneInfo:
    """The time zone of an exchange."""
    import exchange_calendars

    _sessions(name, date(2020, 1, 1), date(2020, 1, 31))
    return ZoneInfo(str(exchange_calendars.get_calendar(name).tz))


@cache
def _bounds(name: str) -> tuple[date | None, date | None]:
    """The first and last day for which the calendar of an exchange can be made, None where there is no such limit."""
    import exchange_calendars

    kind = type(exchange_calendars.get_calendar(name))
    begin, end = kind.bound_min(), kind.bound_max()
    return begin and begin.date(), end and end.date()


def _column(moments: Any) -> list[int | None]:
    """A column of times as microseconds, None where there is none."""
    found: list[datetime | None] = moments.dt.tz_convert(None).to_numpy("datetime64[us]").tolist()
    return [None if moment is None else _us(moment.replace(tzinfo=UTC)) for moment in found]


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _midnight(day: date) -> int:
    return _us(datetime.combine(day, time(), UTC))


def _year(us: int) -> int:
    try:
        return (_EPOCH + timedelta(microseconds=us)).year
    except OverflowError:
        raise BadQuery(f"{us} us are no moment of a year that can be asked for") from None
