"""A feed that leaves out what the protocol does not insist on, as a whole one: the one place that knows what then holds."""

from collections.abc import Generator, Mapping
from typing import Any

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.model import Hole, Ids, Want
from tickhouse.core.requests import About, Answer, Cost, Pace, Request, Subscription, Ways
from tickhouse.feeds import Bare, Feed

OPTIONAL = ("ways", "channel", "cost")


def whole(feed: Bare, name: str) -> Feed:
    """The feed with everything that `Feed` has, under the name by which it was opened: that is the source of its rows.

    Without `ways` all of its channels are polled, without `channel` the first is taken, without `cost` the first request of a
    history is what it costs at least.
    """
    if feed.name == name and all(hasattr(feed, part) for part in OPTIONAL):
        return feed  # type: ignore[return-value]
    return Whole(feed, name)


class Whole:
    """A `Feed` around a `Bare` one."""

    def __init__(self, feed: Any, name: str) -> None:
        self._feed, self.name = feed, name
        self.about: About = feed.about
        self.channels: Mapping[str, str] = feed.channels
        self.ids: Ids = feed.ids
        self.pace: Pace = feed.pace
        self.ways: Ways = getattr(feed, "ways", Ways(polled=tuple(feed.channels)))
        self.channel: str = getattr(feed, "channel", next(iter(feed.channels)))

    def subscriptions(self, want: Want) -> list[Subscription]:
        """As the feed says."""
        found: list[Subscription] = self._feed.subscriptions(want)
        return found

    def poll(self, want: Want) -> Generator[Request, Answer, None]:
        """As the feed says."""
        found: Generator[Request, Answer, None] = self._feed.poll(want)
        return found

    def history(self, want: Want) -> Generator[Request, Answer, None]:
        """As the feed says."""
        found: Generator[Request, Answer, None] = self._feed.history(want)
        return found

    def cost(self, want: Want) -> Cost:
        """As the feed says, else one request like the first."""
        if hasattr(self._feed, "cost"):
            said: Cost = self._feed.cost(want)
            return said
        first = next(self.history(want), None)
        return Cost(0, 0) if first is None else Cost(1, first.weight)

    def refill(self, hole: Hole) -> Generator[Request, Answer, None]:
        """As the feed says."""
        found: Generator[Request, Answer, None] = self._feed.refill(hole)
        return found

    def classify(self, answer: Answer) -> Exception | None:
        """As the feed says."""
        error: Exception | None = self._feed.classify(answer)
        return error

    def parse(self, raw: RawBatch) -> Parsed:
        """As the feed says."""
        parsed: Parsed = self._feed.parse(raw)
        return parsed
