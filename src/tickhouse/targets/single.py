"""A single round: every polled feed once; of a group the next feed, too, for what those before had no price of."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from tickhouse.core.errors import SettingsError, TickhouseError
from tickhouse.core.settings import Settings
from tickhouse.steps.newest import Newest
from tickhouse.steps.poll import Poll
from tickhouse.steps.station import Station, Wanted

Asked = Callable[[Sequence[Poll]], Awaitable[Sequence[TickhouseError | None]]]
"""Asks once and has everything journaled; what went wrong with each."""


class Single:
    """Takes each feed at most once more for every place that it has in a group; one that failed is not asked again."""

    def __init__(self, settings: Settings, stations: Mapping[str, Station], newest: Newest) -> None:
        self.settings, self.newest = settings, newest
        self.stations = {name: station for name, station in stations.items() if station.polled}
        self.failed: dict[str, TickhouseError] = {}
        self._feeds = {symbol: group.feeds for group in settings.groups.values() for symbol in group.symbols}
        self._left = {s: [feed for feed in feeds if feed in self.stations] for s, feeds in self._feeds.items()}
        self._given: dict[str, set[str]] = {name: set() for name in self.stations}

    async def run(self, asked: Asked) -> None:
        """Raises, when all are done, what went wrong with the first feed without which something is lacking; `SettingsError`
        when no feed is polled.
        """
        wanted = self._next({name: list(self.settings.feeds[name].symbols) for name in self.stations})
        if not wanted:
            raise SettingsError("no feed of the settings is polled; name one with symbols and a channel that is polled")
        while wanted:
            for name, symbols in wanted.items():
                self.stations[name].poll = await self.stations[name].asks(Wanted(tuple(dict.fromkeys(symbols))))
            errors = await asked([poll for name in wanted if (poll := self.stations[name].poll)])
            self.failed |= {name: error for name, error in zip(wanted, errors, strict=True) if error}
            wanted = self._next({})
        for name, error in self.failed.items():
            if self.settings.feeds[name].symbols or not all(self._is_priced(symbol) for symbol in self._given[name]):
                raise error

    def _next(self, wanted: dict[str, list[str]]) -> dict[str, list[str]]:
        """What is to be asked now, with the symbols of groups that have no price yet."""
        for symbol, feeds in self._left.items():
            feeds[:] = [feed for feed in feeds if feed not in self.failed]
            if feeds and not self._is_priced(symbol):
                feed = feeds.pop(0)
                self._given[feed].add(symbol)
                wanted.setdefault(feed, []).append(symbol)
        return {name: symbols for name, symbols in wanted.items() if symbols}

    def _is_priced(self, symbol: str) -> bool:
        return any(self.newest.of(feed, symbol)[1] for feed in self._feeds[symbol])
