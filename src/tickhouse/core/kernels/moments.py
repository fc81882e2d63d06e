"""Times as files write them, to microseconds: epoch numbers, ISO 8601 and its relatives, compact dates, days before months."""

import re
from datetime import date, timedelta
from typing import Any

import numpy as np

from tickhouse.core.batches import I64, U8
from tickhouse.core.kernels import kernel
from tickhouse.core.kernels.delimited import EMPTY, NINE, REFUSED, TAKEN, ZERO

DAY_US, HOUR_US, MINUTE_US, SECOND_US = 86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000
NO_DAY = np.iinfo(np.int64).min
"""In place of a day where the file's times carry their own."""
FIRST_YEAR, LAST_YEAR = 1900, 2199
LAST_US = 7_258_118_400_000_000
"""The end of the last year: a larger number is no time."""
WRONG = -1
COLON, DASH, SLASH, DOT, COMMA, SPACE, PLUS = 58, 45, 47, 46, 44, 32, 43
LETTER_T, LETTER_Z, LETTER_U, LETTER_G, LOWER = 84, 90, 85, 71, 32


@kernel
def _digits(data: Any, at: int, stop: int) -> int:
    """How many digits follow."""
    end = at
    while end < stop and ZERO <= data[end] <= NINE:
        end += 1
    return end - at


@kernel
def _value(data: Any, at: int, count: int) -> int:
    value = 0
    for i in range(at, at + count):
        value = value * 10 + (data[i] - ZERO)
    return value


@kernel
def _days(year: int, month: int, day: int) -> int:
    """Days since 1970, or NO_DAY for a date that is not in the calendar."""
    if not (FIRST_YEAR <= year <= LAST_YEAR and 1 <= month <= 12 and 1 <= day <= 31):
        return NO_DAY
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if (month == 2 and day > 28 + leap) or (day == 31 and month in (4, 6, 9, 11)):
        return NO_DAY
    moved = year - (month <= 2)
    of_era = moved % 400
    of_year = (153 * (month + (9 if month <= 2 else -3)) + 2) // 5 + day - 1
    return moved // 400 * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


@kernel
def _day(data: Any, at: int, stop: int, day_first: bool) -> Any:
    """A date as (days since 1970, end), NO_DAY when it is none."""
    count = _digits(data, at, stop)
    if count == 8:
        return _days(_value(data, at, 4), _value(data, at + 4, 2), _value(data, at + 6, 2)), at + 8
    if count not in (1, 2, 4) or at + count >= stop:
        return NO_DAY, at
    mark = data[at + count]
    if mark not in (DASH, SLASH, DOT):
        return NO_DAY, at
    first = _value(data, at, count)
    second_at = at + count + 1
    second = _digits(data, second_at, stop)
    third_at = second_at + second + 1
    if second == 0 or second > 2 or third_at > stop or data[third_at - 1] != mark:
        return NO_DAY, at
    third = _digits(data, third_at, stop)
    middle, last, end = _value(data, second_at, second), _value(data, third_at, min(third, 4)), third_at + third
    if count == 4:
        return (_days(first, middle, last) if 0 < third <= 2 else NO_DAY), end
    if third != 4:
        return NO_DAY, at
    if day_first or mark == DOT:
        return _days(last, middle, first), end
    return _days(last, first, middle), end


@kernel
def _fraction(data: Any, at: int, count: int) -> int:
    """Digits behind a decimal point of seconds, as microseconds; further ones are cut off."""
    value = 0
    for i in range(6):
        value = value * 10 + (data[at + i] - ZERO if i < count else 0)
    return value


@kernel
def _clock(data: Any, at: int, stop: int) -> Any:
    """A time of day as (microseconds, end), WRONG when it is none: 9:30, 09:30:00.5, 0930, 93000, 093000123."""
    count = _digits(data, at, stop)
    has_seconds = count in (5, 6)
    if at + count < stop and data[at + count] == COLON:
        hours = _value(data, at, count)
        at += count + 1
        if count > 2 or count == 0 or _digits(data, at, stop) != 2:
            return WRONG, at
        minutes, seconds = _value(data, at, 2), 0
        at += 2
        if at < stop and data[at] == COLON:
            if _digits(data, at + 1, stop) != 2:
                return WRONG, at
            seconds, has_seconds = _value(data, at + 1, 2), True
            at += 3
    elif count in (4, 5, 6, 9, 12):
        lead = 1 if count == 5 else 2
        hours, minutes = _value(data, at, lead), _value(data, at + lead, 2)
        seconds = _value(data, at + lead + 2, 2) if count > 4 else 0
        if count > 6:
            micros = _fraction(data, at + 6, count - 6)
            if hours > 23 or minutes > 59 or seconds > 59:
                return WRONG, at
            return hours * HOUR_US + minutes * MINUTE_US + seconds * SECOND_US + micros, at + count
        at += count
    else:
        return WRONG, at
    if hours > 23 or minutes > 59 or seconds > 59:
        return WRONG, at
    micros = 0
    if has_seconds and at + 1 < stop and (data[at] == DOT or data[at] == COMMA):
        places = _digits(data, at + 1, stop)
        if places == 0 or places > 9:
            return WRONG, at
        micros = _fraction(data, at + 1, places)
        at += places + 1
    return hours * HOUR_US + minutes * MINUTE_US + seconds * SECOND_US + micros, at


@kernel
def _zone(data: Any, at: int, stop: int) -> Any:
    """What follows a time of day, up to the end, as (offset in microseconds, is there one, is it understood)."""
    while at < stop and data[at] == SPACE:
        at += 1
    if at == stop:
        return 0, False, True
    byte = data[at] & ~LOWER
    if byte == LETTER_Z and at + 1 == stop:
        return 0, True, True
    if at + 3 == stop and (data[at + 1] & ~LOWER == 84 and data[at + 2] & ~LOWER == 67 and byte == LETTER_U):
        return 0, True, True
    if at + 3 == stop and (data[at + 1] & ~LOWER == 77 and data[at + 2] & ~LOWER == 84 and byte == LETTER_G):
        return 0, True, True
    sign = 1 if data[at] == PLUS else -1
    if data[at] != PLUS and data[at] != DASH:
        return 0, False, False
    at += 1
    count = _digits(data, at, stop)
    hours, minutes = _value(data, at, 2) if count >= 2 else 99, 0
    if count == 4 and at + 4 == stop:
        minutes = _value(data, at + 2, 2)
    elif count == 2 and at + 5 == stop and data[at + 2] == COLON and _digits(data, at + 3, stop) == 2:
        minutes = _value(data, at + 3, 2)
    elif not (count == 2 and at + 2 == stop):
        return 0, False, False
    return sign * (hours * HOUR_US + minutes * MINUTE_US), True, hours < 24 and minutes < 60


@kernel
def _is_fraction(data: Any, at: int, stop: int) -> bool:
    """Whether a point and at most nine digits fill what is left."""
    places = _digits(data, at + 1, stop)
    return data[at] == DOT and places <= 9 and at + 1 + places == stop


@kernel
def _number(data: Any, at: int, stop: int, count: int, day: int) -> Any:
    """A number of `count` digits, and perhaps a fraction, as (microseconds, is it local, is it understood)."""
    whole = at + count == stop
    if day == NO_DAY and whole and count in (8, 12, 14, 17):
        days, end = _day(data, at, at + 8, False)
        clock = 0
        if count > 8:
            clock, end = _clock(data, end, end + (4 if count == 12 else 6))
            clock += _value(data, at + 14, 3) * 1000 if count == 17 and clock >= 0 else 0
        if days != NO_DAY and clock >= 0:
            return days * DAY_US + clock, True, True
        if count != 12:
            return 0, False, False
    places = 0 if whole else stop - at - count - 1
    if count > 18 and day == NO_DAY:
        micros = _value(data, at, 18) // 100
        return micros, False, whole and count == 19 and micros < LAST_US
    value, part = _value(data, at, min(count, 18)), _fraction(data, at + count + 1, places)
    if day != NO_DAY:
        micros = value * 1000 + part // 1000
        return day + micros, True, count < 9 and micros < DAY_US
    micros = -1
    if 9 <= count <= 11:
        micros = value * SECOND_US + part
    elif count in (12, 13):
        micros = value * 1000 + part // 1000
    elif whole and count in (15, 16):
        micros = value
    elif whole and count == 18:
        micros = value // 1000
    return micros, False, 0 <= micros < LAST_US


@kernel
def _text(data: Any, at: int, stop: int, day_first: bool, day: int) -> Any:
    """A date with or without a time of day, or a time of day of `day`, as (microseconds, is it local, is it understood)."""
    if day == NO_DAY:
        days, at = _day(data, at, stop, day_first)
        if days == NO_DAY:
            return 0, False, False
        day = days * DAY_US
        if at == stop:
            return day, True, True
        if data[at] & ~LOWER != LETTER_T and data[at] != SPACE:
            return 0, False, False
        at += 1
        while at < stop and data[at] == SPACE:
            at += 1
    clock, at = _clock(data, at, stop)
    if clock < 0:
        return 0, False, False
    offset, has_zone, understood = _zone(data, at, stop)
    return day + clock - offset, not has_zone, understood


@kernel
def _moments(data: Any, fields: Any, has_clock: bool, options: Any, out: Any) -> None:
    days, clocks = fields
    values, local, state = out
    day_first, day = options
    for row in range(days[0].size):
        at, stop = days[0][row], days[1][row]
        if at >= stop:
            state[row] = EMPTY
            continue
        if has_clock:
            date, end = _day(data, at, stop, day_first)
            understood = date != NO_DAY and end == stop and clocks[0][row] < clocks[1][row]
            if understood:
                value, is_local, understood = _text(data, clocks[0][row], clocks[1][row], day_first, date * DAY_US)
        else:
            count = _digits(data, at, stop)
            if at + count == stop or (
                (count > 8 or (day != NO_DAY and count > 0)) and _is_fraction(data, at + count, stop)
            ):
                value, is_local, understood = _number(data, at, stop, count, day)
            else:
                value, is_local, understood = _text(data, at, stop, day_first, day)
        state[row] = TAKEN if understood else REFUSED
        if understood:
            values[row], local[row] = value, is_local


Field = tuple[I64, I64]


def moments(data: U8, field: Field, clock: Field | None, day_first: bool, day: int) -> tuple[I64, U8, U8]:
    """Times of fields (begin, stop) as (microseconds, 1 where they are local times, TAKEN, EMPTY or REFUSED).

    `clock` is a second field with the time of day, where the first has only the date. `day` (us) is the day that all times of day
    are of; then whole numbers are milliseconds since its midnight. A number's digits say its unit: 8, 14 and 17 are YYYYMMDD,
    YYYYMMDDHHMMSS and the same with milliseconds; 12 are YYYYMMDDHHMM where that is a date; 9 to 11 are seconds since 1970, 12 and
    13 milliseconds, 15 and 16 microseconds, 18 and 19 nanoseconds.

    >>> text = np.frombuffer(b"1970-01-01T00:00:01+01:00", np.uint8)
    >>> [array.tolist() for array in moments(text, (np.array([0]), np.array([25])), None, False, NO_DAY)]
    [[-3599000000], [0], [0]]
    """
    n = len(field[0])
    out = np.zeros(n, np.int64), np.zeros(n, np.uint8), np.empty(n, np.uint8)
    _moments(data, (field, clock or field), clock is not None, (day_first, day), out)
    return out


_NUMBER = re.compile(r"(\d+)(?:\.(\d{0,9}))?", re.ASCII)
_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})|(\d{4})(\d\d)(\d\d)(?!\d)", re.ASCII)
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?!\d)", re.ASCII)
_COLONS = re.compile(r"(\d{1,2}):(\d\d)(?!\d)(?::(\d\d)(?!\d)(?:[.,](\d{1,9})(?!\d))?)?", re.ASCII)
_COMPACT = re.compile(r"(\d{1,2})(\d\d)(?:(\d\d)(?:(\d{3}|\d{6})|[.,](\d{1,9})(?!\d))?)?(?!\d)", re.ASCII)
_ZONE = re.compile(r" *(?:(z|utc|gmt)|([+-])(\d\d)(?::?(\d\d))?)?", re.ASCII | re.IGNORECASE)
_UNITS = {9: -6, 10: -6, 11: -6, 12: -3, 13: -3, 15: 0, 16: 0, 18: 3, 19: 3}


def moment_reference(text: str, clock: str | None, day_first: bool, day: int) -> tuple[int, bool] | None:
    """The same for one field: (microseconds, is it a local time), None when it is not a time."""
    if clock is not None:
        found = _date_reference(text, day_first)
        return _clock_reference(clock, found[0]) if found and not found[1] and clock else None
    number = _NUMBER.fullmatch(text)
    if number and (number[2] is None or len(number[1]) > 8 or day != NO_DAY):
        return _number_reference(number[1], number[2], day)
    if day != NO_DAY:
        return _clock_reference(text, day)
    found = _date_reference(text, day_first)
    if not found:
        return None
    if not found[1]:
        return found[0], True
    return _clock_reference(found[1][1:].lstrip(" "), found[0]) if found[1][0] in "Tt " else None


def _number_reference(digits: str, fraction: str | None, day: int) -> tuple[int, bool] | None:
    if day != NO_DAY:
        micros = int(digits + (fraction or "").ljust(3, "0")[:3]) if len(digits) < 9 else DAY_US
        return (day + micros, True) if micros < DAY_US else None
    if fraction is None and len(digits) in (8, 12, 14, 17):
        found = _date_reference(digits[:8], False)
        local = _clock_reference(digits[8:].ljust(4, "0"), found[0]) if found else None
        if local or len(digits) != 12:
            return local
    shift = _UNITS.get(len(digits))
    if shift is None or (fraction is not None and shift >= 0):
        return None
    micros = int((digits + (fraction or "")).ljust(len(digits) + 6, "0")[: len(digits) - shift])
    return (micros, False) if micros < LAST_US else None


def _date_reference(text: str, day_first: bool) -> tuple[int, str] | None:
    """The start of the date that a text begins with, and what follows."""
    match, year_first = _YEAR_FIRST.match(text), True
    if not match:
        match, year_first = _YEAR_LAST.match(text), False
    if not match:
        return None
    if year_first:
        year, month, of_month = (match[1], match[3], match[4]) if match[1] else (match[5], match[6], match[7])
    else:
        turned = day_first or match[2] == "."
        year, month, of_month = match[4], match[3 if turned else 1], match[1 if turned else 3]
    rest = text[match.end() :]
    if rest[:1].isdigit() or not FIRST_YEAR <= int(year) <= LAST_YEAR:
        return None
    try:
        days = date(int(year), int(month), int(of_month)) - date(1970, 1, 1)
    except ValueError:
        return None
    return days // timedelta(days=1) * DAY_US, rest


def _clock_reference(text: str, day: int) -> tuple[int, bool] | None:
    match = _COLONS.match(text)
    if match:
        hours, minutes, seconds, fraction = match.groups()
    else:
        match = _COMPACT.match(text)
        if not match or (len(match[1]) == 1 and (match[3] is None or match[4])):
            return None
        hours, minutes, seconds, fraction = match[1], match[2], match[3], match[4] or match[5]
    zone = _ZONE.fullmatch(text[match.end() :])
    if not zone or int(hours) > 23 or int(minutes) > 59 or int(seconds or 0) > 59:
        return None
    clock = (
        int(hours) * HOUR_US
        + int(minutes) * MINUTE_US
        + int(seconds or 0) * SECOND_US
        + int((fraction or "").ljust(6, "0")[:6])
    )
    if not zone[2]:
        return day + clock, not zone[1]
    if int(zone[3]) > 23 or int(zone[4] or 0) > 59:
        return None
    offset = int(zone[3]) * HOUR_US + int(zone[4] or 0) * MINUTE_US
    return day + clock - (offset if zone[2] == "+" else -offset), False
