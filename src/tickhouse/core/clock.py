"""What time it is, from an object that tests can move."""

import time
from typing import Protocol

SECOND = 1_000_000
"""Microseconds in a second; every time in tickhouse is UTC microseconds since 1970."""


class Clock(Protocol):
    """Says the time and waits. Code that needs time takes a clock; it never calls `time` itself."""

    def now(self) -> int:
        """UTC microseconds since 1970-01-01."""

    def monotonic(self) -> float:
        """Seconds that never go backwards, for measuring how long something took."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is moved.

    >>> clock = ManualClock(1_000_000)
    >>> clock.move(2.5)
    >>> clock.now()
    3500000
    """

    def __init__(self, now: int = 0) -> None:
        self._now = now
        self._start = now

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start) / SECOND

    def move(self, seconds: float) -> None:
        """Move the clock by a number of seconds; a negative number moves `now` back."""
        self._now += round(seconds * SECOND)
