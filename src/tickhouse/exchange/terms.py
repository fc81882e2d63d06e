"""What a provider allows a key, or an address where it wants none: so many requests, what its plan has, which keys are good."""

from collections import deque
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting
from tickhouse.exchange import Now

MARGIN = 0.9
"""Seconds and minutes are counted so much shorter: requests that left in time may arrive closer together."""
MOST_GUESTS = 10_000
PLANS = ("free", "paid")


@dataclass(frozen=True, slots=True)
class Terms:
    """How many requests are allowed in a second, a minute and a day (0: any number), and the `plan` of every key, free or paid.

    A day begins at midnight of `zone`.
    """

    per_second: int = 0
    per_minute: int = 0
    per_day: int = 0
    plan: str = "free"
    zone: str = "UTC"

    def changed(self, **values: Any) -> "Terms":
        """The same with some values changed. Raises `BadSetting`."""
        known = {one.name: one.type for one in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise BadSetting("terms", name, f"one of {', '.join(known)}")
            if name == "plan" and value not in PLANS:
                raise BadSetting("terms.plan", value, " or ".join(PLANS))
            if name.startswith("per_") and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise BadSetting(f"terms.{name}", value, "a whole number that is not negative")
        return replace(self, **values)


class Spent(NamedTuple):
    """What is used up, second, minute or day, and the seconds until there is more."""

    span: str
    wait: float


@dataclass(slots=True)
class _Guest:
    """One key or address: the moments of its requests of the last minute (us), its day and how many requests that had."""

    moments: deque[int]
    day: str = ""
    today: int = 0


class Clerk:
    """Counts the requests of each key or address against the terms, and knows which keys are good."""

    def __init__(self, terms: Terms, now: Now) -> None:
        self.terms, self.revoked = terms, set[str]()
        self.version = 0
        """Rises when everything that was handed out before (cookies and the like) is no longer good."""
        self._now = now
        self._guests: dict[str, _Guest] = {}

    @property
    def paid(self) -> bool:
        """Whether keys have the paid plan."""
        return self.terms.plan == "paid"

    def knows(self, key: str) -> bool:
        """Whether a key is good: any text is that was not revoked."""
        return bool(key) and key not in self.revoked and "*" not in self.revoked

    def revoke(self, key: str) -> None:
        """Let a key in no more; `*` stands for all of them."""
        self.revoked.add(key)
        self.version += 1

    def forgive(self) -> None:
        """Forget what was spent and revoked."""
        self._guests.clear()
        self.revoked.clear()

    def spend(self, who: str) -> Spent | None:
        """Charge one request; what is used up when it is one too many, which counts all the same."""
        now, rules = self._now(), self.terms
        if len(self._guests) > MOST_GUESTS:
            self._guests.clear()
        guest = self._guests.setdefault(who, _Guest(deque()))
        local = datetime.fromtimestamp(now // SECOND, UTC).astimezone(ZoneInfo(rules.zone))
        if guest.day != local.date().isoformat():
            guest.day, guest.today = local.date().isoformat(), 0
        guest.today += 1
        guest.moments.append(now)
        while guest.moments[0] <= now - 60 * SECOND or guest.moments[0] > now:
            guest.moments.popleft()
        if rules.per_day and guest.today > rules.per_day:
            return Spent("day", 86_400.0 - (local.hour * 3600 + local.minute * 60 + local.second))
        return self._over(guest, now, 60.0, rules.per_minute) or self._over(guest, now, 1.0, rules.per_second)

    def _over(self, guest: _Guest, now: int, seconds: float, most: int) -> Spent | None:
        since = now - round(MARGIN * seconds * SECOND)
        recent = [at for at in guest.moments if at > since]
        if not most or len(recent) <= most:
            return None
        return Spent("minute" if seconds > 1 else "second", max(seconds - (now - recent[0]) / SECOND, 0.1))
