"""A circuit breaker: a host that fails again and again is left alone for a while."""

from tickhouse.core.clock import Clock

RESOLUTION = 1e-6
"""Seconds that no clock tells apart: less is nothing to wait for."""


class Breaker:
    """Closed: everything passes. After `failures` failures in a row it opens and nothing passes for `rest` seconds. Then
    one probe passes: when it succeeds the breaker closes, when it fails it opens again.

    Belongs to one event loop.
    """

    def __init__(self, clock: Clock, *, failures: int = 5, rest: float = 30.0) -> None:
        self._clock, self._limit, self._rest = clock, failures, rest
        self.reason = ""
        """Why it opened, in one sentence."""
        self._failed = 0
        self._until = 0.0
        self._probe_until = 0.0

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        if self._clock.monotonic() < self._until:
            return "open"
        return "half-open" if self._until else "closed"

    def enter(self) -> float:
        """Ask to pass: 0 when allowed, else the seconds to stay away. Who passes says `succeeded` or `failed` afterwards."""
        now = self._clock.monotonic()
        if not self._until:
            return 0.0
        wait = max(self._until, self._probe_until) - now
        if wait > RESOLUTION:
            return wait
        self._probe_until = now + self._rest
        return 0.0

    def succeeded(self) -> None:
        """The host answered. What another one was told meanwhile (to stay away for long) stays."""
        self._failed = 0
        if self._clock.monotonic() >= self._until:
            self._until, self._probe_until, self.reason = 0.0, 0.0, ""

    def failed(self, reason: str = "") -> None:
        """The host did not answer, or not properly."""
        self._failed += 1
        self._probe_until = 0.0
        if self._until or self._failed >= self._limit:
            self.open_for(self._rest, reason)

    def left(self) -> None:
        """Who passed gave up without an answer (cancelled): the next one may probe."""
        self._probe_until = 0.0

    def open_for(self, seconds: float, reason: str = "") -> None:
        """Stay away for so many seconds, because the host asked for it or keeps failing."""
        self._until = max(self._until, self._clock.monotonic() + seconds)
        self._probe_until, self.reason = 0.0, reason
