"""Groups at work: looks at what each feed does for each symbol, has the next one asked when one fails, and says so."""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tickhouse.core import observe, sessions
from tickhouse.core.clock import SECOND, Clock
from tickhouse.core.marks import Event, Mark
from tickhouse.core.settings import GroupSettings, Settings
from tickhouse.steps.choosing import BAD, GOOD, Choice, Patience
from tickhouse.steps.judging import Judged, Sign, judged
from tickhouse.steps.newest import Newest
from tickhouse.steps.opening import market_of
from tickhouse.steps.station import Station, Wanted

LOOK_SECONDS, AT_A_TIME = 0.5, 200
"""How often every symbol is looked at, and how many before others have their turn; thousands are looked at less often."""

Regained = Callable[[str], None]
"""Told the name of a feed that is good again for a symbol: its history has what was missed."""


@dataclass
class Watch:
    """One symbol of a group: its feeds in order, its market, the choice, and what was said of it."""

    symbol: str
    group: str
    settings: GroupSettings
    market: str
    choice: Choice
    seen: list[Judged] = field(default_factory=list)
    left: set[str] = field(default_factory=set)
    """Feeds that were left because they are not to be believed."""
    told: dict[str, int] = field(default_factory=dict)
    """The connections on which a feed was said to be blind for the symbol although its line is heard."""

    @property
    def feeds(self) -> tuple[str, ...]:
        """The first choice first."""
        return self.settings.feeds

    @property
    def active(self) -> str:
        """The feed in use."""
        return self.feeds[self.choice.active]

    @property
    def helpless(self) -> bool:
        """Whether every feed was asked and is bad."""
        return bool(self.seen) and all(one.verdict is BAD for one in self.seen)

    def open_for(self, since: int, until: int) -> int:
        """For how long of [since, until) its market was open."""
        return max(until - since, 0) - sessions.expected_silence(self.market, since, until)


class Failover:
    """Decides for all groups of a house. Belongs to one event loop."""

    def __init__(
        self,
        settings: Settings,
        stations: Mapping[str, Station],
        newest: Newest,
        clock: Clock,
        active: Mapping[str, str],
    ) -> None:
        """`active` are the feeds that were in use when the house was last run, by symbol."""
        self.settings, self.stations, self.newest, self.clock = settings, stations, newest, clock
        self.watches = [
            watch for name, group in settings.groups.items() for watch in self._watches(name, group, active)
        ]
        self.regained: Regained = lambda feed: None
        self._helpless: set[str] = set()
        self._ask()

    async def run(self) -> None:
        """Look and decide until cancelled."""
        for market in {watch.market for watch in self.watches}:
            await asyncio.to_thread(sessions.open_at, market, self.clock.now())
        while self.watches:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS * max(1.0, len(self.watches) / 1000))

    async def look(self) -> None:
        """Judge every feed of every symbol once, and do what follows."""
        switched: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
        for number, watch in enumerate(self.watches):
            before = watch.active
            if await self._decide(watch):
                switched[watch.group, before, watch.active, self._why(watch, before)].append(watch.symbol)
            if number % AT_A_TIME == AT_A_TIME - 1:
                await asyncio.sleep(0)
        for (group, before, after, why), symbols in switched.items():
            await self._say(group, before, after, why, symbols)
        self._ask()
        self._tell()
        for station in self.stations.values():
            await station.tick()

    async def _decide(self, watch: Watch) -> bool:
        """Whether another feed is in use from now on."""
        now = self.clock.now()
        signs = [self._sign(feed, watch.symbol) for feed in watch.feeds]
        watch.seen = judged(signs, now, round(watch.settings.stale_after * SECOND), watch.open_for)
        before = watch.active
        moved = watch.choice.step(now, [one.verdict for one in watch.seen]) != watch.feeds.index(before)
        for feed, sign, one in zip(watch.feeds, signs, watch.seen, strict=True):
            if sign is None:
                continue
            if one.verdict is BAD and moved and feed == before:
                watch.left.add(feed)
            if one.verdict is BAD and sign.state == "connected" and feed != watch.active:
                await self._blind(watch, feed, sign)
            elif one.verdict is GOOD:
                await self._good(watch, feed, sign)
        return moved

    async def _blind(self, watch: Watch, feed: str, sign: Sign) -> None:
        """A feed whose line is heard lacks the prices of a symbol: once for each connection it is said to be blind."""
        if watch.told.get(feed) != sign.since:
            first = feed not in watch.told
            watch.told[feed] = sign.since
            at = (sign.said or sign.since) if first else max(sign.said, sign.since)
            await self.stations[feed].mute(watch.symbol, at)

    async def _good(self, watch: Watch, feed: str, sign: Sign) -> None:
        """A feed is good; if it was not, what it missed is to be asked of its history."""
        if watch.told.pop(feed, None) is not None:
            await self.stations[feed].seen(watch.symbol, sign.came)
        if feed in watch.left:
            watch.left.remove(feed)
            self.regained(feed)

    async def _say(self, group: str, before: str, after: str, why: str, symbols: Sequence[str]) -> None:
        """A switch is an event, a count and a mark."""
        observe.count("switches", len(symbols), group=group, to=after)
        named = symbols if len(symbols) <= 8 else [*symbols[:8], f"and {len(symbols) - 8} more"]
        facts = {"group": group, "symbols": ", ".join(named), "was": before, "now": after, "reason": why}
        observe.tell("feeds", "another feed is in use", logging.WARNING, **facts)
        detail = {"group": group, "from": before, "why": why}
        await self.stations[after].inbox.mark(
            Mark(Event.SWITCHED, self.clock.now(), symbols=tuple(symbols), detail=detail)
        )

    def _why(self, watch: Watch, before: str) -> str:
        place = watch.feeds.index(before)
        if watch.choice.active < place and watch.seen[place].verdict is not BAD:
            return f"{watch.active} is good again"
        return watch.seen[place].why

    def _ask(self) -> None:
        """Have every feed asked for what is wanted of it, as often as whoever wants it most often."""
        symbols, every = dict[str, list[str]](), dict[str, set[float]]()
        for name, section in self.settings.feeds.items():
            symbols[name], every[name] = list(section.symbols), {self._usual(name)} if section.symbols else set()
        for watch in self.watches:
            for feed in watch.feeds[: watch.choice.wanted]:
                symbols[feed].append(watch.symbol)
                every[feed].add(watch.settings.every or self._usual(feed))
        for name, station in self.stations.items():
            station.want(Wanted(tuple(dict.fromkeys(symbols[name])), min(every[name], default=None)))

    def _usual(self, feed: str) -> float:
        return self.settings.feeds[feed].every or self.stations[feed].feed.ways.every

    def _tell(self) -> None:
        """Gauges, and a word when no feed of a group is any good, and when one is again."""
        active = Counter((watch.group, watch.active) for watch in self.watches)
        for name, group in self.settings.groups.items():
            for feed in group.feeds:
                observe.gauge("feed_active", active[name, feed], group=name, feed=feed)
        helpless = {watch.group for watch in self.watches if watch.helpless}
        for name in sorted(helpless - self._helpless):
            reasons = dict.fromkeys(
                f"{w.active}: {w.seen[w.choice.active].why}" for w in self.watches if w.group == name
            )
            observe.tell("feeds", "no feed of a group answers", logging.WARNING, group=name, reason="; ".join(reasons))
        for name in sorted(self._helpless - helpless):
            observe.tell("feeds", "a feed of a group answers again", group=name)
        self._helpless = helpless

    def _sign(self, feed: str, symbol: str) -> Sign | None:
        station = self.stations[feed]
        health = station.health(symbol)
        if health is None:
            return None
        said, came = self.newest.of(feed, symbol)
        every = round(station.poll.plan.every * SECOND) if station.poll else 0
        return Sign(health.state, health.since, health.error, said, came, every)

    def _watches(self, name: str, group: GroupSettings, active: Mapping[str, str]) -> Iterator[Watch]:
        first = group.feeds[0]
        own, usual = self.settings.feeds[first].market, self.stations[first].feed.about.market
        patience = Patience(round(group.switch_after * SECOND), round(group.return_after * SECOND))
        for symbol in group.symbols:
            before = active.get(symbol, first)
            place = group.feeds.index(before) if before in group.feeds else 0
            choice = Choice(len(group.feeds), patience, place)
            yield Watch(symbol, name, group, own or market_of(symbol, usual), choice)
