"""Local times of a place and UTC, whole columns at a time.

The offset of a zone is constant between its changes; the changes of a year are found once and kept.
"""

from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np

from tickhouse.core.batches import I64

DAY = 86_400
FIRST, LAST = -2_208_988_800, 7_258_118_400
"""Seconds from which (1900) to which (2200, not inclusive) a time is one."""
OLD_NAMES = {"US/Eastern": "America/New_York", "US/Central": "America/Chicago", "US/Pacific": "America/Los_Angeles"}
"""Names that a system without the old ones does not know."""
_EPOCH = datetime(1970, 1, 1)


def zone_of(name: str) -> ZoneInfo | None:
    """The zone of that name, None when there is none.

    >>> zone_of("US/Eastern"), zone_of("Middle/Earth")
    (zoneinfo.ZoneInfo(key='America/New_York'), None)
    """
    try:
        return ZoneInfo(OLD_NAMES.get(name, name))
    except (ValueError, OSError, KeyError):
        return None


def offsets(seconds: I64, zone: ZoneInfo) -> I64:
    """How many seconds the place is ahead of UTC at each moment, from `FIRST` to `LAST`.

    >>> offsets(np.array([1_767_225_600, 1_782_864_000]), ZoneInfo("America/New_York")).tolist()
    [-18000, -14400]
    """
    if not len(seconds):
        return np.zeros(0, np.int64)
    years = np.unique(seconds.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970)
    tables = [_changes(zone, year) for year in years.tolist()]
    begins = np.concatenate([begin for begin, _ in tables])
    values = np.concatenate([value for _, value in tables])
    return np.asarray(values[np.searchsorted(begins, seconds, side="right") - 1], np.int64)


def local_days(seconds: I64, zone: ZoneInfo) -> I64:
    """The date that the place has at each moment, as days since 1970."""
    return (seconds + offsets(seconds, zone)) // DAY


def from_local(seconds: I64, zone: ZoneInfo) -> I64:
    """The moments at which clocks of the place show these seconds since 1970; of an hour that comes twice the first.

    >>> from_local(np.array([1_767_225_600]), ZoneInfo("America/New_York")).tolist()
    [1767243600]
    """
    before = seconds - offsets(np.clip(seconds - DAY, FIRST, LAST - 1), zone)
    near = seconds - offsets(np.clip(before, FIRST, LAST - 1), zone)
    return np.where(offsets(np.clip(near, FIRST, LAST - 1), zone) == seconds - near, near, before)


@cache
def _changes(zone: ZoneInfo, year: int) -> tuple[I64, I64]:
    """The moments in a year from which an offset holds, the year's begin first, and the offsets."""
    begin, end = (int((datetime(y, 1, 1) - _EPOCH).total_seconds()) for y in (year, year + 1))
    begins, values = [begin], [_offset(zone, begin)]
    for day in range(begin, end, DAY):
        stop = min(day + DAY, end) - 1
        if _offset(zone, stop) != values[-1]:
            low, high = day - 1, stop
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(zone, middle) == values[-1] else (low, middle)
            begins.append(high)
            values.append(_offset(zone, high))
    return np.array(begins, np.int64), np.array(values, np.int64)


def _offset(zone: ZoneInfo, seconds: int) -> int:
    moment = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=zone)
    return round((zone.fromutc(moment).utcoffset() or timedelta(0)).total_seconds())
