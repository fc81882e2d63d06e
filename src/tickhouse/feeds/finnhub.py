"""Finnhub: trades of US shares, coins and currencies by socket, quotes by polling, bars where the plan has them. Needs a key.

US trades of the free plan are those of a part of the market, about 2.5 % of the volume. Trades have no ids and equal ones are
real, so nothing tells a repeat: two connections are never merged, and what the socket missed is lost.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import msgspec

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.clock import SECOND
from tickhouse.core.errors import BadSetting, NoData
from tickhouse.core.model import Hole, Ids, Want
from tickhouse.core.requests import About, Answer, Cost, Pace, Request, Subscription, Ways
from tickhouse.core.secrets import Secret
from tickhouse.feeds._finnhub_answers import classify
from tickhouse.feeds._finnhub_names import CURRENCIES, Names
from tickhouse.feeds._polled_options import asking, read
from tickhouse.feeds._rounds import one_by_one

RESOLUTIONS = {"1m": "1", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "1d": "D", "1w": "W"}
MONTH = 30 * 86_400 * SECOND
"""Only so much of bars shorter than a day comes in one answer."""
LIVE = ("trade", "quote")
MUTE_AFTER = 130.0
"""A ping comes about once a minute; two that fail to come are a silence."""


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of the feed. `symbols_per_connection` is what the plan allows; a key has one connection only.

    `crypto_exchange` and `forex_broker` are the places whose pairs are asked for; `names` gives the spelling of single symbols, as
    `BTC-USD=COINBASE:BTC-USD, EUR-USD=IC MARKETS:1`.
    """

    channel: str = "trade"
    rest_url: str = "https://finnhub.io"
    ws_url: str = "wss://ws.finnhub.io"
    symbols: Sequence[str] = ()
    key: Secret | None = None
    symbols_per_connection: int = 50
    crypto_exchange: str = "BINANCE"
    forex_broker: str = "OANDA"
    names: str | Mapping[str, str] = ""

    def __post_init__(self) -> None:
        if self.channel.partition(":")[0] not in LIVE:
            raise BadSetting("feeds.finnhub.channel", self.channel, f"one of {', '.join(LIVE)}")


class Finnhub:
    """Finnhub's API and socket, or any server that speaks as they do."""

    name = "finnhub"
    about = About(
        "Finnhub",
        "required",
        "equities",
        "Finnhub's terms: neither the data nor results derived from them may be redistributed",
        ("1d", "1w"),
    )
    channels: Mapping[str, str] = {
        "trade": "trades with their conditions, by socket",
        "quote": "the present price of one symbol, polled; `quote:AAPL`",
        "candle": "bars of the past where the plan has them; `candle:AAPL:1d`",
    }
    ways = Ways(("trade",), ("quote",), ("candle",), dict.fromkeys(RESOLUTIONS, "candle"))
    ids = Ids.NONE
    pace = Pace(per_second=30, per_minute=60)

    def __init__(self, options: Options) -> None:
        self.options = options
        self._names = Names(options.crypto_exchange, options.forex_broker, options.names)
        self._names.learn(options.symbols)

    @property
    def channel(self) -> str:
        """The live channel that is taken where the settings name none."""
        return self.options.channel

    def subscriptions(self, want: Want) -> list[Subscription]:
        """The one socket that a key may have. Raises `BadSetting` for more symbols than it carries."""
        channel, most = want.channel or self.options.channel, self.options.symbols_per_connection
        if channel != "trade":
            raise BadSetting("feeds.finnhub.channel", channel, "trade, the channel of the socket; quote is polled")
        if len(want.symbols) > most:
            expected = f"at most {most}, for a key has one connection (option symbols_per_connection)"
            raise BadSetting("feeds.finnhub.symbols", f"{len(want.symbols)} symbols", expected)
        if not want.symbols:
            return []
        self._names.learn(want.symbols)
        spelled = {symbol: self._names.spelled(symbol) for symbol in want.symbols}
        return [
            Subscription(
                self.options.ws_url, "trade", tuple(want.symbols),
                hello=tuple(_control("subscribe", name) for name in spelled.values()),
                renew={s: (_control("unsubscribe", name), _control("subscribe", name)) for s, name in spelled.items()},
                sends_per_second=10.0, mute_after=MUTE_AFTER, lifetime=inf, speaks=True,
                secret_params={"token": self._key},
            )
        ]  # fmt: skip

    def poll(self, want: Want) -> Generator[Request, Answer, None]:
        """One call a symbol: there is none for several."""
        channel = (want.channel or self.options.channel).partition(":")[0]
        if channel != "quote":
            raise BadSetting("feeds.finnhub.channel", channel, "quote, which is polled; trades come by socket")
        self._names.learn(want.symbols)
        requests = {s: self._request("quote", f"quote:{s}", symbol=self._names.spelled(s)) for s in want.symbols}
        return one_by_one(want.symbols, lambda symbol: asking([requests[symbol]]))

    def history(self, want: Want) -> Generator[Request, Answer, None]:
        """The bars of [start, end), a month a call when they are shorter than a day.

        The interval is the option of that name, or stands in the channel (`candle:5m`), else it is 1d.
        """
        channel, _, named = want.channel.partition(":")
        interval = named or want.options.get("interval", "1d")
        if channel != "candle":
            raise BadSetting("channel", want.channel, "candle, for Finnhub has no trades of the past")
        if interval not in RESOLUTIONS:
            raise BadSetting("interval", interval, f"one of {', '.join(RESOLUTIONS)}")
        if want.start is None or want.end is None:
            raise BadSetting("start", want.start, "a start and an end, for Finnhub's candles are asked for by both")
        self._names.learn(want.symbols)
        span = want.start, want.end
        requests = {symbol: list(self._candles(symbol, interval, span)) for symbol in want.symbols}
        return one_by_one(want.symbols, lambda symbol: asking(requests[symbol]))

    def cost(self, want: Want) -> Cost:
        """One call a symbol, of bars shorter than a day one a month."""
        interval = want.channel.partition(":")[2] or want.options.get("interval", "1d")
        span = 0 if want.start is None or want.end is None else want.end - want.start
        calls = len(want.symbols) * (1 if interval in ("1d", "1w") else max(1, -(-span // MONTH)))
        return Cost(calls, calls)

    def _candles(self, symbol: str, interval: str, span: tuple[int, int]) -> Iterable[Request]:
        start, end = span
        piece = max(end - start, 1) if interval in ("1d", "1w") else MONTH
        for begin in range(start, end, piece):
            yield self._request(
                f"{_market(symbol)}/candle", f"candle:{symbol}:{interval}",
                **{"symbol": self._names.spelled(symbol), "resolution": RESOLUTIONS[interval]},
                **{"from": -(-begin // SECOND), "to": (min(begin + piece, end) - 1) // SECOND},
            )  # fmt: skip

    def refill(self, hole: Hole) -> Generator[Request, Answer, None]:
        """Nothing: trades of the past are not served."""
        raise NoData("Finnhub serves no trades of the past: what the socket missed is lost")

    def classify(self, answer: Answer) -> Exception | None:
        """The error that an answer stands for, None when it is data."""
        return classify(answer)

    def parse(self, raw: RawBatch) -> Parsed:
        """Trades as ticks, quotes as quotes, candles as bars."""
        from tickhouse.feeds._finnhub_pages import parse_page
        from tickhouse.feeds._finnhub_trades import parse_trades

        channel = raw.channel.partition(":")[0]
        if channel == "trade":
            return parse_trades(raw, self._names)
        if channel in self.channels:
            return parse_page(raw, self._names)
        return Parsed.refused(raw, "unknown_channel", f"finnhub has no channel {raw.channel[:40]!r}")

    @property
    def _key(self) -> Secret:
        if not self.options.key:
            raise BadSetting("feeds.finnhub.key", None, "a key of finnhub.io, which is free")
        return self.options.key

    def _request(self, path: str, channel: str, **params: str | int) -> Request:
        url = f"{self.options.rest_url.rstrip('/')}/api/v1/{path}"
        return Request(url, channel, params, secret_headers={"x-finnhub-token": self._key})


def _control(what: str, name: str) -> str:
    return msgspec.json.encode({"type": what, "symbol": name}).decode()


def _market(symbol: str) -> str:
    """The part of the API that has a symbol's candles."""
    base, dash, quote = symbol.rpartition("-")
    return "stock" if not dash else "forex" if base in CURRENCIES and quote in CURRENCIES else "crypto"


def open(**options: Any) -> Finnhub:
    """The feed of a section of the settings. Raises `BadSetting` for an option that is not of `Options`.

    >>> next(open(key="k").poll(Want(("AAPL",), "quote"))).channel
    'quote:AAPL'
    """
    return Finnhub(read(Options, "finnhub", options))
