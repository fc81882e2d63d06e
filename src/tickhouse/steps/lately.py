"""Ticks of the last days on their way to a store that keeps them, gathered between two writes."""

from collections.abc import Sequence

from tickhouse.core.batches import TickBatch
from tickhouse.core.clock import SECOND, Clock

DAY = 86_400 * SECOND
FULL = 50_000
"""So many ticks are written without waiting for more: what a transaction holds, and the memory it takes, stays bounded."""


class Lately:
    """Ticks that wait for the next write. What waits when a process ends is processed, and so gathered, again."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._age = clock, round(seconds * SECOND)
        self._batches: list[TickBatch] = []

    @property
    def full(self) -> bool:
        """Whether it is time to write them."""
        return sum(map(len, self._batches)) >= FULL

    def add(self, batches: Sequence[TickBatch]) -> None:
        """Take in those of the days that are kept: from the whole day that the age reaches into up to tomorrow."""
        now = self._clock.now()
        oldest = (now - self._age) // DAY * DAY
        newest = now // DAY * DAY + 2 * DAY
        for batch in batches:
            kept = (batch.event_time >= oldest) & (batch.event_time < newest)
            found = batch if kept.all() else batch.take(kept)
            if len(found):
                self._batches.append(found)

    def take(self) -> tuple[TickBatch, ...]:
        """What was gathered; nothing of it stays."""
        found, self._batches = tuple(self._batches), []
        return found
