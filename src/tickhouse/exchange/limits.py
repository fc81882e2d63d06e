"""How an exchange defends itself: pings, lifetimes, weights, bans. All can be changed, so that tests need not wait a day."""

from dataclasses import dataclass, fields, replace
from typing import Any

from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting

MINUTE = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Limits:
    """The rules of the house. Times in seconds.

    A connection is pinged every `ping_every` and closed when no pong came for `pong_within`; it ends after `lifetime`,
    announced `notice` before (0: no notice). A client may send `messages_a_second` and have `streams`; it is cut off
    when more than `buffer` bytes wait for it, or when at full speed it has read nothing for `stall`. One address may
    open `dials` connections in five minutes and use a `weight` a minute; after `patience` refusals (429) it is banned
    (418) for `ban`, twice as long each time, at most three days.
    """

    ping_every: float = 20.0
    pong_within: float = 60.0
    lifetime: float = 86_400.0
    notice: float = 10.0
    messages_a_second: int = 5
    streams: int = 1024
    buffer: int = 8 << 20
    stall: float = 30.0
    dials: int = 300
    weight: int = 6000
    patience: int = 10
    ban: float = 120.0

    def changed(self, **values: Any) -> "Limits":
        """The same with some values changed. Raises `BadSetting`."""
        known = {one.name: one.type for one in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise BadSetting("limits", name, f"one of {', '.join(known)}")
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise BadSetting(f"limits.{name}", value, "a number that is not negative")
        return replace(self, **values)


LONGEST_BAN = 3 * 86_400.0


@dataclass(slots=True)
class _Guest:
    """One address: its weight of this minute, its refusals, its ban and its connections."""

    minute: int = -1
    used: int = 0
    refused: int = 0
    banned_until: int = 0
    bans: int = 0
    dials: int = 0
    dials_since: int = -1


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a request: `status` 200, 429 or 418, the weight used this minute, how long to wait (s), until when (us)."""

    status: int
    used: int
    wait: int = 0
    until: int = 0


class Doorman:
    """Counts weight and connections by address, refuses, bans."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._guests: dict[str, _Guest] = {}

    def weigh(self, peer: str, weight: int, now: int) -> Verdict:
        """Charge a request at a time (us)."""
        guest, rules = self._guest(peer), self.limits
        if now < guest.banned_until:
            return Verdict(418, guest.used, _seconds_until(guest.banned_until, now), guest.banned_until)
        if guest.minute != now // MINUTE:
            guest.minute, guest.used, guest.refused = now // MINUTE, 0, 0
        guest.used += weight
        if guest.used <= rules.weight:
            return Verdict(200, guest.used)
        guest.refused += 1
        if guest.refused > rules.patience:
            length = min(rules.ban * 2**guest.bans, LONGEST_BAN)
            guest.bans, guest.refused = guest.bans + 1, 0
            guest.banned_until = now + round(length * SECOND)
            return Verdict(418, guest.used, _seconds_until(guest.banned_until, now), guest.banned_until)
        until = (guest.minute + 1) * MINUTE
        return Verdict(429, guest.used, _seconds_until(until, now), until)

    def dial(self, peer: str, now: int) -> bool:
        """Whether one more connection is let in."""
        guest = self._guest(peer)
        if guest.dials_since != now // (5 * MINUTE):
            guest.dials_since, guest.dials = now // (5 * MINUTE), 0
        guest.dials += 1
        return guest.dials <= self.limits.dials

    def forgive(self) -> None:
        """Forget all weights and bans."""
        self._guests.clear()

    def _guest(self, peer: str) -> _Guest:
        if len(self._guests) > 10_000:
            self._guests.clear()
        return self._guests.setdefault(peer, _Guest())


def _seconds_until(until: int, now: int) -> int:
    return max(-(-(until - now) // SECOND), 1)
