"""Alpha Vantage: quotes, bars of shares, forex and crypto, and economic series, by polling with a key.

A free key has 25 calls a day and one a second, so calls are planned and a spent day is not retried. One call answers for one
symbol. Pairs are asked for with the functions that they have: EUR-USD on the channel `daily` is a forex series. Prices of bars are
as traded; the dividends and splits that adjusted days carry are actions beside them.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import BadSetting, NoData
from tickhouse.core.model import Hole, Ids, Want
from tickhouse.core.requests import About, Answer, Cost, Pace, Request, Subscription, Ways
from tickhouse.core.secrets import Secret, secret
from tickhouse.core.symbols import canonical
from tickhouse.feeds._alpha_vantage_answers import classify
from tickhouse.feeds._alpha_vantage_requests import INTERVALS, Asker
from tickhouse.feeds._alpha_vantage_values import Names

SNAPSHOTS = ("global_quote", "exchange_rate")
INTRADAY = ("intraday", "fx_intraday", "crypto_intraday")
DAILY = ("daily", "daily_adjusted", "fx_daily", "crypto_daily")
PAST = (*DAILY, *INTRADAY, "economic")
CHANNELS = (*SNAPSHOTS, *PAST)
STAMPS = ("open", "close")
YES, NO = ("true", "yes", "1"), ("false", "no", "0", "")


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of the feed.

    `symbols` are canonical names that must be read back exactly as written. `prepost` asks for minutes of before and after regular
    hours too. `stamped` says whether minutes carry the time of their open, as they do since about 2021, or of their close.
    """

    channel: str = "global_quote"
    rest_url: str = "https://www.alphavantage.co"
    ws_url: str = ""
    symbols: Sequence[str] = ()
    key: Secret | None = None
    prepost: bool = False
    stamped: str = "open"

    def __post_init__(self) -> None:
        _split("feeds.alpha_vantage.channel", self.channel, CHANNELS)
        if self.stamped not in STAMPS:
            raise BadSetting("feeds.alpha_vantage.stamped", self.stamped, " or ".join(STAMPS))


class AlphaVantage:
    """Alpha Vantage's functions, each a channel."""

    name = "alpha_vantage"
    about = About(
        "Alpha Vantage", "required", "equities",
        "Alpha Vantage's terms of service; a free key is for personal use: read them before showing its data to others",
    )  # fmt: skip
    channels: Mapping[str, str] = {
        "global_quote": "the newest price of a share (free)",
        "exchange_rate": "the rate of two currencies, crypto too (free)",
        "intraday": "minutes of a share, `intraday:<interval>`; paid",
        "fx_intraday": "minutes of a forex pair; paid",
        "crypto_intraday": "minutes of a crypto pair; paid",
        "daily": "days of a share as traded (the newest hundred free)",
        "daily_adjusted": "days of a share as traded, with its dividends and splits; paid",
        "fx_daily": "days of a forex pair (free)",
        "crypto_daily": "days of a crypto pair (free)",
        "economic": "the values of an economic series, `economic:<series>` (free)",
    }
    ways = Ways(polled=CHANNELS, history=PAST, bars={**dict.fromkeys(INTERVALS, "intraday"), "1d": "daily"})
    ids = Ids.NONE
    pace = Pace(per_second=1, per_day=25, day_zone="America/New_York")
    """Where its day begins is written nowhere; it was seen to refuse after midnight UTC."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._names = Names(options.symbols)
        self._asker = Asker(options.rest_url.rstrip("/"), options.key, options.prepost)

    @property
    def channel(self) -> str:
        """The live channel that is taken where the settings name none."""
        return self.options.channel

    def subscriptions(self, want: Want) -> list[Subscription]:
        """Nothing: Alpha Vantage has no stream."""
        raise BadSetting(
            "feeds.alpha_vantage.channel", want.channel, "a feed with a stream; Alpha Vantage is polled only"
        )

    def poll(self, want: Want) -> Generator[Request, Answer, None]:
        """One call a symbol: its quote or rate, the newest hundred bars, or the whole economic series.

        Raises after the round what was wrong with some symbols.
        """
        channel, interval = _split("feeds.alpha_vantage.channel", want.channel or self.options.channel, CHANNELS)
        return self._asker.newest(channel, want.symbols, _interval(channel, interval, want))

    def history(self, want: Want) -> Generator[Request, Answer, None]:
        """Bars from a start on, or all values of an economic series, one symbol after the other.

        Days take one call, or two where the newest hundred do not reach back; minutes one a month; the rest one. Without a start:
        the newest hundred bars.
        """
        channel, interval = _split("channel", want.channel, PAST)
        return self._asker.past(channel, want.symbols, _interval(channel, interval, want), want.start, want.end)

    def cost(self, want: Want) -> Cost:
        """One call a symbol, of minutes of shares one a month; of days a second one where the newest hundred do not do."""
        channel, _ = _split("channel", want.channel, PAST)
        calls = sum(self._asker.calls(channel, symbol, want.start, want.end) for symbol in want.symbols)
        return Cost(calls, calls)

    def refill(self, hole: Hole) -> Generator[Request, Answer, None]:
        """Nothing: Alpha Vantage has no trades."""
        raise NoData(
            f"Alpha Vantage has no trades, so holes of {hole.symbol} cannot be filled by trade id; ask for its bars"
        )

    def classify(self, answer: Answer) -> Exception | None:
        """The error that an answer stands for, None when it is data."""
        return classify(answer)

    def parse(self, raw: RawBatch) -> Parsed:
        """Series as bars and actions, quotes and rates as quotes, economic series as observations."""
        name, _, rest = raw.channel.partition(":")
        read = self._readers.get(name)
        if read is not None:
            return read(raw, rest)
        return Parsed.refused(raw, "unknown_channel", f"alpha_vantage has no channel {raw.channel[:40]!r}")

    @cached_property
    def _readers(self) -> Mapping[str, Callable[[RawBatch, str], Parsed]]:
        from tickhouse.feeds import _alpha_vantage_snapshots as snapshots
        from tickhouse.feeds._alpha_vantage_series import read_series
        from tickhouse.feeds._messages import each

        names, stamped = self._names, self.options.stamped
        readers: dict[str, Callable[[RawBatch, str], Parsed]] = {
            name: lambda raw, _: each(raw, lambda payload, at: read_series(payload, at, names, stamped))
            for name in (*INTRADAY, *DAILY)
        }
        return readers | {
            "global_quote": lambda raw, _: each(
                raw, lambda payload, at: snapshots.read_global_quote(payload, at, names)
            ),
            "exchange_rate": lambda raw, _: each(raw, lambda payload, at: snapshots.read_exchange_rate(payload, names)),
            "economic": lambda raw, series: each(raw, lambda payload, at: snapshots.read_economic(payload, at, series)),
        }


def _split(key: str, channel: str, allowed: Sequence[str]) -> tuple[str, str]:
    """A channel and the interval behind its colon."""
    name, _, interval = channel.partition(":")
    if name not in allowed or (interval and name not in INTRADAY):
        raise BadSetting(key, channel, f"one of {', '.join(allowed)}")
    return name, interval


def _interval(channel: str, given: str, want: Want) -> str:
    """The length of the bars of an intraday channel, of the others none."""
    if channel not in INTRADAY:
        return ""
    interval = given or want.options.get("interval", "1m")
    if interval not in INTERVALS:
        raise BadSetting("interval", interval, f"one of {', '.join(INTERVALS)}")
    return interval


def open(**options: Any) -> AlphaVantage:
    """The feed of a section of the settings. Raises `BadSetting` for an option that is not of `Options`.

    >>> next(open(key="k").poll(Want(("IBM",), "global_quote"))).params
    {'function': 'GLOBAL_QUOTE', 'symbol': 'IBM'}
    """
    known = [option.name for option in fields(Options)]
    for name, value in options.items():
        if name not in known:
            raise BadSetting(f"feeds.alpha_vantage.{name}", value, f"one of the options {', '.join(known)}")
    return AlphaVantage(Options(**{**options, **dict(_read(options))}))


def _read(options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The options that are more than texts."""
    prepost, key, symbols = str(options.get("prepost", "")).lower(), options.get("key"), options.get("symbols", ())
    if prepost not in YES + NO:
        raise BadSetting("feeds.alpha_vantage.prepost", prepost, "true or false")
    listed = symbols.replace(",", " ").split() if isinstance(symbols, str) else symbols
    yield "prepost", prepost in YES
    yield "key", secret(key)
    yield "symbols", tuple(canonical(symbol) for symbol in listed)
