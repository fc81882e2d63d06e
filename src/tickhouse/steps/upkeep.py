"""Retention: what the journal and the warm store need not keep any longer is let go, about once a minute."""

from collections.abc import Callable, Mapping

from tickhouse.core.clock import SECOND, Clock
from tickhouse.journal import Journal
from tickhouse.stores import Warm

EVERY = 60.0


class Upkeep:
    """Does something now and then, in the thread that calls `step`."""

    def __init__(self, clock: Clock, work: Callable[[int], None], every: float = EVERY) -> None:
        self.clock, self.work, self.every = clock, work, every
        self._last = clock.monotonic()

    def step(self) -> None:
        """Do the work if it is time."""
        now = self.clock.monotonic()
        if now - self._last >= self.every:
            self._last = now
            self.work(self.clock.now())


def trim_journal(journal: Journal) -> Callable[[int], None]:
    """Lets go of old records of the journal, never of one that a consumer still needs."""

    def work(now: int) -> None:
        journal.trim(now)

    return work


def trim_warm(warm: Warm, retain: Mapping[str, float]) -> Callable[[int], None]:
    """Lets go of bars, and what was said of them, that are older than their interval's number of seconds."""

    def work(now: int) -> None:
        for interval, seconds in retain.items():
            warm.trim(now - round(seconds * SECOND), interval)

    return work
