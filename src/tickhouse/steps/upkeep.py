"""Retention: what the journal and the warm store need not keep any longer is let go, about once a minute."""

from collections.abc import Callable
from contextlib import suppress

from tickhouse.core.clock import SECOND, Clock
from tickhouse.core.errors import Temporary
from tickhouse.core.settings import WarmSettings
from tickhouse.journal import Journal
from tickhouse.stores import Kept, Warm

EVERY = 60.0
Work = Callable[[int], object]
"""Is told the time (us); true when there is more to do at once."""


class Upkeep:
    """Does something now and then, in the thread that calls `step`; with each step a part of it, as long as there is more."""

    def __init__(self, clock: Clock, work: Work, every: float = EVERY) -> None:
        self.clock, self.work, self.every = clock, work, every
        self._last, self._more = clock.monotonic(), False

    def step(self) -> None:
        """Do the work if it is time."""
        now = self.clock.monotonic()
        if self._more or now - self._last >= self.every:
            self._last = now
            self._more = bool(self.work(self.clock.now()))


def trim_journal(journal: Journal) -> Work:
    """Lets go of old records of the journal, never of one that a consumer still needs."""

    def work(now: int) -> None:
        with suppress(Temporary):  # the next time will do
            journal.trim(now)

    return work


def trim_warm(warm: Warm, settings: WarmSettings) -> Work:
    """Lets go of what is older than the settings keep it, a portion at a time."""
    kinds: list[tuple[Kept, float, str | None]] = [("bars", age, interval) for interval, age in settings.retain.items()]
    kinds += [("findings", settings.retain_findings, None), ("metrics", settings.retain_metrics, None)]
    kinds += [("coverage", settings.retain_coverage, None)]
    limited = [(kept, round(age * SECOND), interval) for kept, age, interval in kinds if age]
    limited.append(("ticks", round(settings.keep_ticks * SECOND), None))

    def work(now: int) -> bool:
        return any(warm.trim(kept, now - age, interval) for kept, age, interval in limited)

    return work
