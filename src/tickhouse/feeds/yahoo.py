"""Yahoo Finance: bars of the past with splits and dividends, quotes, and a stream of snapshots. No key, and no promise.

Best effort: the service is not documented and may change or refuse overnight. tickhouse says who it is and imitates no browser;
Yahoo often refuses such clients, with 429 and a text. Charts and the stream need no cookie; quotes need one and a crumb, which
are fetched when needed and kept until they are refused.

Prices are in the unit of the listing: pence where Yahoo's currency is GBp, likewise ZAc and ILA. Nothing is converted.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import BadSetting, NoData
from tickhouse.core.model import Hole, Ids, Want
from tickhouse.core.requests import About, Answer, Cost, Pace, Request, Subscription, Ways
from tickhouse.core.secrets import Secret
from tickhouse.core.symbols import canonical
from tickhouse.feeds._yahoo_answers import classify
from tickhouse.feeds._yahoo_names import Names, spelled
from tickhouse.feeds._yahoo_requests import REACH, SPELLED, Asker

REST, COOKIE, STREAM = "https://query1.finance.yahoo.com", "https://fc.yahoo.com", "wss://streamer.finance.yahoo.com"
MOST_SYMBOLS = 100
"""Symbols of one connection to the stream, at most; Yahoo cuts off the rest without a word."""
POLLED = ("quote", "chart")
DAY_US = 86_400_000_000
CHANNELS = ("stream", *POLLED)
YES, NO = ("true", "yes", "1"), ("false", "no", "0", "")


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of the feed.

    `symbols` are canonical names that must be read back exactly as written. `user_agent` names the client, the product's own name
    by default; `prepost` asks for bars of before and after regular hours too. `cookie_url` is where a cookie is given: `rest_url`,
    when that is set to another place. There is no key; one is passed over.
    """

    channel: str = "stream"
    rest_url: str = REST
    ws_url: str = STREAM
    cookie_url: str = ""
    symbols_per_connection: int = MOST_SYMBOLS
    symbols: Sequence[str] = ()
    user_agent: str = ""
    prepost: bool = False
    key: Secret | None = None

    def __post_init__(self) -> None:
        _split("feeds.yahoo.channel", self.channel, CHANNELS)


class Yahoo:
    """What Yahoo Finance gives to anyone who asks."""

    name = "yahoo"
    about = About(
        "Yahoo Finance", "none", "equities",
        "Yahoo gives no licence for automated use: for personal use at your own risk, not to be shown to others; prices in the "
        "unit of the listing, pence where it is GBp", ("*",),
    )  # fmt: skip
    channels: Mapping[str, str] = {
        "chart": "bars with splits and dividends, by request; `chart:<interval>` chooses the interval",
        "quote": "snapshots of many symbols, by request with a cookie and a crumb",
        "stream": "snapshots as they come, about one a second and symbol at best, by socket",
    }
    ways = Ways(("stream",), POLLED, ("chart",), dict.fromkeys(SPELLED, "chart"))
    ids = Ids.NONE
    pace = Pace(per_second=1, per_minute=30)
    """A guess that is gentle: Yahoo's limits are not written anywhere."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._names = Names(options.symbols)
        base = options.rest_url.rstrip("/")
        cookie_url = options.cookie_url or (COOKIE if base == REST else base)
        self._asker = Asker(base, cookie_url, options.user_agent, options.prepost)

    @property
    def channel(self) -> str:
        """The live channel that is taken where the settings name none."""
        return self.options.channel

    def subscriptions(self, want: Want) -> list[Subscription]:
        """One socket for every `symbols_per_connection` symbols."""
        _split("feeds.yahoo.channel", want.channel or self.options.channel, ("stream",))
        size = self.options.symbols_per_connection
        groups = [want.symbols[i : i + size] for i in range(0, len(want.symbols), size)]
        return [self._subscription(group) for group in groups]

    def _subscription(self, symbols: Sequence[str]) -> Subscription:
        names = {symbol: spelled(symbol) for symbol in symbols}
        hello = json.dumps({"subscribe": list(names.values())})
        renew = {
            symbol: (json.dumps({"unsubscribe": [name]}), json.dumps({"subscribe": [name]}))
            for symbol, name in names.items()
        }
        return Subscription(f"{self.options.ws_url.rstrip('/')}/?version=2", "stream", tuple(symbols), (hello,), renew)

    def poll(self, want: Want) -> Generator[Request, Answer, None]:
        """`quote`: many symbols a request; `chart`: the bars of the last session, one symbol a request.

        Raises after the round what was wrong with some symbols. A symbol that Yahoo does not know is missing from an answer of
        several quotes without a sign.
        """
        channel, interval = _split("feeds.yahoo.channel", want.channel or self.options.channel, POLLED)
        if channel == "quote":
            return self._asker.quotes(want.symbols)
        return self._asker.newest(want.symbols, _interval(interval or want.options.get("interval", "1m")))

    def history(self, want: Want) -> Generator[Request, Answer, None]:
        """Bars of [start, end) as Yahoo keeps them: days for ever, minutes for a month; one symbol after the other.

        Days come in one answer; minutes window by window, the newest first. Without a start: all days, or the newest window.
        Raises after all else `NoData` when Yahoo no longer keeps a part of the range.
        """
        _, interval = _split("channel", want.channel, ("chart",))
        chosen = _interval(interval or want.options.get("interval", "1d"))
        return self._asker.past(want.symbols, chosen, want.start, want.end)

    def cost(self, want: Want) -> Cost:
        """One answer a symbol, or one for each window of minutes."""
        _, interval = _split("channel", want.channel, ("chart",))
        reach = REACH.get(_interval(interval or want.options.get("interval", "1d")))
        span = 0 if want.start is None or want.end is None else want.end - want.start
        windows = 1 if reach is None else max(1, -(-min(span, reach.kept * DAY_US) // (reach.at_once * DAY_US)))
        return Cost(windows * len(want.symbols), windows * len(want.symbols))

    def refill(self, hole: Hole) -> Generator[Request, Answer, None]:
        """Nothing: Yahoo has no trades."""
        raise NoData(f"Yahoo has no trades, so holes of {hole.symbol} cannot be filled by trade id; ask for its bars")

    def classify(self, answer: Answer) -> Exception | None:
        """The error that an answer stands for, None when it is data."""
        return classify(answer)

    def parse(self, raw: RawBatch) -> Parsed:
        """Charts as bars, actions and the price of the moment; quotes and frames as quotes."""
        read = self._readers.get(raw.channel.partition(":")[0])
        if read is not None:
            return read(raw)
        return Parsed.refused(raw, "unknown_channel", f"yahoo has no channel {raw.channel[:40]!r}")

    @cached_property
    def _readers(self) -> Mapping[str, Callable[[RawBatch], Parsed]]:
        from tickhouse.feeds._messages import each
        from tickhouse.feeds._yahoo_chart import read_chart
        from tickhouse.feeds._yahoo_quotes import read_quotes
        from tickhouse.feeds._yahoo_stream import read_frame

        names = self._names
        return {
            "chart": lambda raw: each(raw, lambda payload, at: read_chart(payload, at, names)),
            "quote": lambda raw: each(raw, lambda payload, _: read_quotes(payload, names)),
            "stream": lambda raw: each(raw, lambda payload, _: read_frame(payload, names)),
        }


def _split(key: str, channel: str, allowed: Sequence[str]) -> tuple[str, str]:
    """A channel and the interval behind its colon."""
    name, _, interval = channel.partition(":")
    if name not in allowed or (interval and name != "chart"):
        raise BadSetting(key, channel, f"one of {', '.join(allowed)}")
    return name, interval


def _interval(text: str) -> str:
    if text not in SPELLED:
        raise BadSetting("interval", text, f"one of {', '.join(SPELLED)}")
    return text


def open(**options: Any) -> Yahoo:
    """The feed of a section of the settings. Raises `BadSetting` for an option that is not of `Options`.

    >>> open(ws_url="ws://127.0.0.1:9000").subscriptions(Want(("USD-JPY",), "stream"))[0].hello
    ('{"subscribe": ["JPY=X"]}',)
    """
    known = [option.name for option in fields(Options)]
    for name, value in options.items():
        if name not in known:
            raise BadSetting(f"feeds.yahoo.{name}", value, f"one of the options {', '.join(known)}")
    return Yahoo(Options(**{**options, **dict(_read(options))}))


def _read(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The options that are more than texts."""
    size, prepost = str(options.get("symbols_per_connection", MOST_SYMBOLS)), str(options.get("prepost", "")).lower()
    if not size.isdecimal() or not 1 <= int(size) <= MOST_SYMBOLS:
        raise BadSetting("feeds.yahoo.symbols_per_connection", size, f"1 to {MOST_SYMBOLS}")
    if prepost not in YES + NO:
        raise BadSetting("feeds.yahoo.prepost", prepost, "true or false")
    symbols = options.get("symbols", ())
    listed = symbols.replace(",", " ").split() if isinstance(symbols, str) else symbols
    yield "symbols_per_connection", int(size)
    yield "prepost", prepost in YES
    yield "symbols", tuple(canonical(symbol) for symbol in listed)
