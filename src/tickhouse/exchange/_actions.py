"""Splits and dividends of shares: four dividends a year, the day of each the first session from the tenth of its month on."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np

from tickhouse.core.clock import SECOND
from tickhouse.exchange import I64
from tickhouse.exchange.chronicle import Chronicle
from tickhouse.exchange.floor import DAY

MONTHS = (2, 5, 8, 11)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a share on a day: `split` new shares for an old one, `dividend` paid."""

    split: float = 1.0
    dividend: float = 0.0


def events_of(chronicle: Chronicle, code: int, first: int, last: int, *, as_paid: bool = False) -> dict[date, Event]:
    """The events of the days of [first, last) (us), oldest first; dividends of shares as counted today, or as they were paid."""
    hours, floor = chronicle.hours(code), chronicle.floor
    if hours is None or floor is None or chronicle.instrument(code).market != "equities":
        return {}
    one = floor.listed[code - (len(chronicle.history.instruments) - len(floor.listed))]
    ratio, day = one.split or (1.0, "2000-01-01")
    split_on = date.fromisoformat(day)
    begun = hours.starts[(hours.starts >= first) & (hours.starts < min(last, chronicle.public() + 1))]
    found: dict[date, Event] = {}
    for on in (day_of(int(start)) for start in begun):
        paid = one.dividend if _is_payday(on, hours.starts) else 0.0
        paid *= ratio if as_paid and on < split_on else 1.0
        split = ratio if on == split_on else 1.0
        if paid or split != 1.0:
            found[on] = Event(split, paid)
    return found


def day_of(us: int) -> date:
    """The UTC day of a moment."""
    return datetime.fromtimestamp(us // SECOND, UTC).date()


def _is_payday(day: date, starts: I64) -> bool:
    """Whether a day with a session is the first such from the tenth of a month of dividends on."""
    if day.month not in MONTHS or not 10 <= day.day <= 16:
        return False
    tenth = (date(day.year, day.month, 10) - date(1970, 1, 1)).days * DAY
    return day_of(int(starts[np.searchsorted(starts, tenth)])) == day
