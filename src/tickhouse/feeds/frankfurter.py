"""Frankfurter: daily reference rates of currencies by polling, back to 1999; needs no key.

A rate is a mean that central banks fix once a day, not a price that anybody deals at. The interface v2 (`rates`) blends many
banks, so weekends have rates too, and refuses a request with a code that it does not know; v1 (`latest`) has the working days
of the ECB and leaves unknown codes out.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting, NoData, UnknownSymbol
from tickhouse.core.model import Hole, Ids, Want
from tickhouse.core.requests import About, Answer, Cost, Pace, Request, Subscription, Ways
from tickhouse.core.secrets import Secret
from tickhouse.feeds._frankfurter_answers import BAD_JSON, classify
from tickhouse.feeds._polled_options import asking, read
from tickhouse.feeds._rounds import one_by_one

CHANNELS = ("rates", "latest")
DAY = 86_400 * SECOND
FIRST_DAY = 10_595
"""1999-01-04, in days since 1970: before it there are no rates."""
ROWS = 100_000
"""So many rates are asked for at once, which are about 7 MB."""


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of the feed. `providers` names the banks of v2, such as `ECB`; all of them when it is empty.

    `ws_url` and `key` are not used: there is no socket, and no key.
    """

    channel: str = "rates"
    rest_url: str = "https://api.frankfurter.dev"
    ws_url: str = ""
    symbols: Sequence[str] = ()
    key: Secret | None = None
    providers: str = ""

    def __post_init__(self) -> None:
        _channel(self.channel)


class Frankfurter:
    """Frankfurter's API, or any server that answers as it does."""

    name = "frankfurter"
    about = About(
        "Frankfurter", "none", "forex", "the terms of the central bank that fixed the rate; name it as the source"
    )
    channels: Mapping[str, str] = {
        "rates": "daily rates of one base currency, newest or of a range, blended from many banks",
        "latest": "the same from the ECB alone, working days only, by the older interface",
    }
    ways = Ways(polled=CHANNELS, history=CHANNELS, every=3600.0)
    ids = Ids.NONE
    pace = Pace(per_second=1, per_minute=30)

    def __init__(self, options: Options) -> None:
        self.options = options
        _by_base(options.symbols)

    @property
    def channel(self) -> str:
        """The live channel that is taken where the settings name none."""
        return self.options.channel

    def subscriptions(self, want: Want) -> list[Subscription]:
        """None: Frankfurter is polled."""
        raise BadSetting("feeds.frankfurter.channel", want.channel, f"one of {', '.join(CHANNELS)}, which are polled")

    def poll(self, want: Want) -> Generator[Request, Answer, None]:
        """One call a base currency. Raises `UnknownSymbol` after the last answer when one silently left out a currency."""
        return self._newest(_channel(want.channel or self.options.channel), _by_base(want.symbols))

    def _newest(self, channel: str, bases: Mapping[str, Sequence[str]]) -> Generator[Request, Answer, None]:
        return one_by_one(list(bases), lambda base: self._newest_of(channel, base, bases[base]))

    def _newest_of(self, channel: str, base: str, quotes: Sequence[str]) -> Generator[Request, Answer, None]:
        answer = yield self._request(channel, base, quotes)
        held = _held(answer.body)
        absent = [f"{base}-{quote}" for quote in quotes if held is not None and quote not in held]
        if absent:
            raise UnknownSymbol(f"Frankfurter gives no rate of {', '.join(absent[:10])}")

    def history(self, want: Want) -> Generator[Request, Answer, None]:
        """The rates of the days that begin in [start, end); without a start the newest ones."""
        channel, bases = _channel(want.channel or self.options.channel), _by_base(want.symbols)
        if want.start is None:
            return self._newest(channel, bases)
        first = max(-(-want.start // DAY), FIRST_DAY)
        last = None if want.end is None else (want.end - 1) // DAY
        return asking(self._ranges(channel, bases, first, last))

    def _ranges(
        self, channel: str, bases: Mapping[str, Sequence[str]], first: int, last: int | None
    ) -> Iterable[Request]:
        for base, quotes in bases.items():
            if last is None:
                yield self._request(channel, base, quotes, (first, None))
                continue
            days = max(1, ROWS // len(quotes))
            for day in range(first, last + 1, days):
                yield self._request(channel, base, quotes, (day, min(day + days - 1, last)))

    def cost(self, want: Want) -> Cost:
        """One call a base currency for every 100,000 rates."""
        bases, days = _by_base(want.symbols), 1
        if want.start is not None and want.end is not None:
            days = max(1, (want.end - 1) // DAY - max(-(-want.start // DAY), FIRST_DAY) + 1)
        calls = sum(max(1, -(-days * len(quotes) // ROWS)) for quotes in bases.values())
        return Cost(calls, calls)

    def refill(self, hole: Hole) -> Generator[Request, Answer, None]:
        """Nothing: there are no trades."""
        raise NoData("Frankfurter has no trades, and so none of the past")

    def classify(self, answer: Answer) -> Exception | None:
        """The error that an answer stands for, None when it is data."""
        return classify(answer)

    def parse(self, raw: RawBatch) -> Parsed:
        """Rates as quotes."""
        parsed: Parsed = self._parse(raw)
        return parsed

    @cached_property
    def _parse(self) -> Any:
        from tickhouse.feeds._frankfurter_pages import parse_page

        return parse_page

    def _request(
        self, channel: str, base: str, quotes: Sequence[str], days: tuple[int, int | None] | None = None
    ) -> Request:
        """The newest rates, or those of days (the last one included)."""
        url, listed = self.options.rest_url.rstrip("/"), ",".join(quotes)
        first, last = ("", "") if days is None else (_day(days[0]), "" if days[1] is None else _day(days[1]))
        if channel == "latest":
            return Request(
                f"{url}/v1/{f'{first}..{last}' if days else 'latest'}", channel, {"base": base, "symbols": listed}
            )
        params = {"base": base, "quotes": listed, "from": first, "to": last, "providers": self.options.providers}
        return Request(f"{url}/v2/rates", channel, {name: value for name, value in params.items() if value})


def _channel(text: str) -> str:
    if text not in CHANNELS:
        raise BadSetting("feeds.frankfurter.channel", text, f"one of {', '.join(CHANNELS)}")
    return text


def _by_base(symbols: Iterable[str]) -> dict[str, list[str]]:
    """The quote currencies wanted of each base. Raises `BadSetting` for a symbol that is no pair of currencies."""
    bases: dict[str, list[str]] = {}
    for symbol in symbols:
        base, _, quote = symbol.partition("-")
        if not all(len(code) == 3 and code.isalpha() and code.isascii() for code in (base, quote)) or base == quote:
            raise BadSetting("feeds.frankfurter.symbols", symbol, "a pair of two currencies such as EUR-USD")
        if quote not in bases.setdefault(base, []):
            bases[base].append(quote)
    return bases


class _Quoted(msgspec.Struct):
    quote: str


class _Mapped(msgspec.Struct):
    rates: dict[str, msgspec.Raw]


def _held(body: bytes) -> set[str] | None:
    """The currencies that an answer prices; None for one that cannot be read, which is for the parser to tell."""
    try:
        page = msgspec.json.decode(body, type=list[_Quoted] | _Mapped)
    except BAD_JSON:
        return None
    return set(page.rates) if isinstance(page, _Mapped) else {rate.quote for rate in page}


def _day(number: int) -> str:
    """The ISO date of a day counted from 1970."""
    return datetime.fromtimestamp(number * 86_400, UTC).date().isoformat()


def open(**options: Any) -> Frankfurter:
    """The feed of a section of the settings. Raises `BadSetting` for an option that is not of `Options`.

    >>> dict(next(open().poll(Want(("EUR-USD", "EUR-GBP"), "rates"))).params)
    {'base': 'EUR', 'quotes': 'USD,GBP'}
    """
    return Frankfurter(read(Options, "frankfurter", options))
