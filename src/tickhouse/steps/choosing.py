"""Which feed of several is in use for a symbol: left only when it was bad for a while, taken again only when it was good for one.

Nothing here looks at a clock or at the world: verdicts and moments are given.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What the evidence says of one feed at one moment."""

    GOOD = "good"  # connected, and prices come
    BAD = "bad"  # down, refused, or its prices are older than those of another feed
    SILENT = "silent"  # no price for a while: a fault or a quiet market, the other feeds can tell
    UNKNOWN = "unknown"  # not asked, or not heard yet


GOOD, BAD, SILENT, UNKNOWN = Verdict


@dataclass(frozen=True, slots=True)
class Patience:
    """How long (us) a feed must be bad without a break to be left, and good without a break to be taken again."""

    leave: int
    back: int


class Choice:
    """The feed in use for one symbol, as its place in the order of the group; the first choice is 0."""

    def __init__(self, feeds: int, patience: Patience, active: int = 0) -> None:
        self.patience, self.active = patience, active
        self.wanted = active + 1
        """How many feeds, from the first on, are to be asked: those before the one in use too, to know when they are good again."""
        self._since: list[tuple[Verdict, int]] = [(UNKNOWN, 0)] * feeds
        self._bad: list[int | None] = [None] * feeds

    def step(self, now: int, verdicts: Sequence[Verdict]) -> int:
        """Take in what is known at `now` (us, never before the last one); returns the feed in use from now on.

        A feed before the one in use is taken once it was good for `back`. The one in use is left once it was bad for `leave`:
        for the first that is good, else for the next that is not known to be bad. Where there is none it stays. To be unknown
        for a while, as after a connection that brought no price yet, is no break of being bad.
        """
        for feed, verdict in enumerate(verdicts):
            if verdict in (GOOD, SILENT):
                self._bad[feed] = None
            elif verdict is BAD and self._bad[feed] is None:
                self._bad[feed] = now
        self._since = [
            old if old[0] is verdict else (verdict, now) for old, verdict in zip(self._since, verdicts, strict=True)
        ]
        better = [i for i in range(self.active) if self._lasted(i, GOOD, now) >= self.patience.back]
        if better:
            self.active = better[0]
        elif self._is_lost(self.active, now):
            good = [i for i, verdict in enumerate(verdicts) if verdict is GOOD]
            next_ones = [i for i, verdict in enumerate(verdicts) if i > self.active and verdict is not BAD]
            self.active = next(iter(good + next_ones), self.active)
        self.wanted = self._wants(now)
        return self.active

    def _wants(self, now: int) -> int:
        """How many feeds are to be asked: up to the one in use, and the next after one that is silent or lost.

        One that is asked already stays so until the one before it is good: it is what that is compared with.
        """
        last = self.active
        while last + 1 < len(self._since) and (self._is_spent(last, now) or self._is_compared(last)):
            last += 1
        return last + 1

    def _is_spent(self, feed: int, now: int) -> bool:
        return self._since[feed][0] is SILENT or self._is_lost(feed, now)

    def _is_compared(self, feed: int) -> bool:
        return self._since[feed][0] is not GOOD and feed + 1 < self.wanted

    def _is_lost(self, feed: int, now: int) -> bool:
        since = self._bad[feed]
        return self._since[feed][0] is BAD and since is not None and now - since >= self.patience.leave

    def _lasted(self, feed: int, verdict: Verdict, now: int) -> int:
        """For how long a verdict has held (us); -1 where it does not."""
        held, since = self._since[feed]
        return now - since if held is verdict else -1
