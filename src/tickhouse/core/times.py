"""Times as people write them, to UTC microseconds and back."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting
from tickhouse.core.model import interval_us

EXPECTED = "a time such as 2026-11-20T14:31, 2026-11-20, now or -6h (UTC unless it says otherwise)"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(given: Any, now: int) -> int:
    """A moment as UTC microseconds: ISO text, `datetime`, `date`, "now", "-6h", or an integer of microseconds.

    A text without an offset is UTC. Raises `BadSetting` for anything else.

    >>> instant("1970-01-01T00:00:01", now=0), instant("-1m", now=100_000_000)
    (1000000, 40000000)
    """
    if isinstance(given, bool):
        raise BadSetting("time", given, EXPECTED)
    if isinstance(given, int):
        return given
    if isinstance(given, datetime):
        moment = given if given.tzinfo else given.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1)
    if isinstance(given, date):
        return instant(datetime(given.year, given.month, given.day), now)
    text = str(given).strip()
    if text == "now":
        return now
    if re.fullmatch(r"-\d+[smhdw]", text):
        return now - interval_us(text[1:])
    try:
        return instant(datetime.fromisoformat(text), now)
    except ValueError:
        raise BadSetting("time", given, EXPECTED) from None


def length(text: str) -> int:
    """A length of time such as "90s", "5m" or "6h" in microseconds.

    >>> length("5m")
    300000000
    """
    return interval_us(text)


def microseconds(moment: datetime) -> int:
    """UTC microseconds since 1970 of an aware moment.

    >>> microseconds(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return round(moment.timestamp() * 1_000_000)


def rfc3339(us: int) -> str:
    """A moment as text in UTC, with as many decimals as it needs.

    >>> rfc3339(1_000_000), rfc3339(1_500_000)
    ('1970-01-01T00:00:01Z', '1970-01-01T00:00:01.500000Z')
    """
    moment = _EPOCH + timedelta(microseconds=us)
    return moment.isoformat(timespec="microseconds" if us % SECOND else "seconds").replace("+00:00", "Z")
