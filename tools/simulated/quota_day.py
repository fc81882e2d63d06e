"""A day of a polled feed against the dialect of its provider, which counts calls itself: what was spent of what is allowed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tickhouse.core.requests import Pace
from tickhouse.exchange import Request
from tickhouse.exchange.binance import Binance
from tickhouse.exchange.dialects import Dialects
from tickhouse.exchange.floor import Floor
from tickhouse.exchange.history import History
from tickhouse.exchange.limits import Doorman, Limits
from tickhouse.exchange.market import Market
from tickhouse.exchange.world import World
from tools.simulated.scene import Provider, Scene
from tools.simulated.site import response
from tools.simulated.timeline import Timeline, us

KEY = "simulated00simulated00simulated0"
ROUND = 30_000_000
"""Calls that follow each other within it (us) are of one round."""


@dataclass(frozen=True)
class Day:
    """A feed, what of it is polled, and from when to when; the day of shares is a little longer than their session."""

    feed: str
    channel: str
    symbols: tuple[str, ...]
    start: str
    end: str
    hours: float
    every: str = "60s"
    key: str | None = KEY


SHARES, COINS = ("AAPL", "MSFT", "KO", "TSLA", "JPM"), ("BTC-USD", "ETH-USD", "SOL-USD")
SESSION = "2026-03-06T14:20", "2026-03-06T21:10", 6.5
WHOLE = "2026-03-06T00:00", "2026-03-07T00:00", 24.0
DAYS = (
    Day("alpha_vantage", "global_quote", SHARES, *SESSION),
    Day("fmp", "quote", SHARES[:3], *SESSION),
    Day("finnhub", "quote", SHARES, *SESSION),
    Day("yahoo", "quote", SHARES, *SESSION, key=None),
    Day("coingecko", "simple_price", COINS, *WHOLE),
    Day("fred", "observations", ("GDP", "UNRATE"), *WHOLE, every="1h"),
    Day("frankfurter", "rates", ("EUR-USD", "EUR-GBP"), *WHOLE, every="1h", key=None),
)
TERMS = {"coingecko": {"per_day": 320}}
"""What a provider counts beside its own terms: of CoinGecko's 10,000 calls a month a day has its part."""


@dataclass
class Spent:
    """`calls` that were answered, by the moments they came at; `refused` are those that the provider counted as too many."""

    calls: list[int] = field(default_factory=list)
    refused: int = 0
    allowed: int = 0
    wished: int = 0
    every: float = 0.0

    @property
    def share(self) -> float:
        """The part that was spent of what could sensibly be: what was wished for, or what is allowed where that is less."""
        return len(self.calls) / min(self.wished, self.allowed)


class Dealing(Scene):
    """A scene in which one dialect answers."""

    def __init__(self, folder: Path, day: Day, terms: dict[str, int]) -> None:
        section = {"symbols": day.symbols, "channel": day.channel, "every": day.every}
        section |= {"key": day.key} if day.key else {}
        super().__init__(folder, Timeline(day.start), Provider(day.feed, section, lambda *_: None))
        market = Market(seed=1, symbols=8, rate=1, floor=Floor(1))
        market.play(self.timeline.clock.now())
        world = World(History(market), Doorman(Limits()), self.timeline.clock.now)
        self.dialect: Any = Dialects(Binance(), world)[day.feed]
        # CoinGecko counts those without a key by their address, the others by their key.
        self.clerk, self.spent = getattr(self.dialect, "keyed", self.dialect.clerk), Spent()
        self.clerk.terms = self.clerk.terms.changed(**terms)
        self._counts = self.clerk.spend
        self.clerk.spend = self._counted

    def _counted(self, who: str) -> Any:
        found = self._counts(who)
        self.spent.refused += found is not None
        return found

    def _script(self, provider: Provider) -> Any:
        async def answer(_: int, head: str) -> bytes:
            line, *rest = head.split("\r\n")
            url = urlsplit(line.split()[1])
            headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in rest if one)}
            self.spent.calls.append(self.timeline.clock.now())
            said = self.dialect.answer(Request("GET", url.path or "/", url.query, headers))
            return response(said.status, said.body, content_type=said.kind, **said.headers)

        return answer


async def spent(folder: Path, day: Day) -> Spent:
    """Poll for a day."""
    async with Dealing(folder, day, TERMS.get(day.feed, {})).running() as scene:
        await scene.until(day.end)
        found, poll = scene.spent, scene.polls[day.feed]
        pace, hours = poll.pace, day.hours
        a_round = sum(
            at > found.calls[-1] - ROUND for at in found.calls
        )  # of the first one Yahoo's has its cookie, too
        found.allowed, found.every = allowed(pace, hours), poll.plan.every
        found.wished = round(hours * 3600 / poll.wish.every) * a_round
        assert us(day.start) <= found.calls[0] and found.calls[-1] <= us(day.end)
        return found


def allowed(pace: Pace, hours: float) -> int:
    """How many calls may be made in so many hours."""
    limits = (pace.per_second * 3600 * hours, pace.per_minute * 60 * hours, float(pace.per_day))
    return round(min(limit for limit in limits if limit))
