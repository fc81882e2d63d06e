"""Financial Modeling Prep: quotes by polling, end-of-day history, charts and economic series of plans that have them.

A free key has 250 calls a day for some large companies, one symbol a call; with `batch = yes` a paid one asks for a hundred at
once. A channel about one symbol says it, as `quote:AAPL` does, so that an answer that names none is about something all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, timedelta
from typing import Any

import msgspec

from tickhouse.core.batches import Parsed, RawBatch
from tickhouse.core.errors import BadSetting, NoData
from tickhouse.core.model import Hole, Ids, Want
from tickhouse.core.requests import About, Answer, Cost, Pace, Request, Subscription, Ways
from tickhouse.core.secrets import Secret, secret
from tickhouse.core.symbols import canonical
from tickhouse.feeds._decoding import day_of, refusing
from tickhouse.feeds._fmp_answers import classify
from tickhouse.feeds._fmp_bars import CHARTS, chart, days
from tickhouse.feeds._fmp_names import Names, read_spellings
from tickhouse.feeds._fmp_rows import Indicators, Snapshots, searched
from tickhouse.feeds._messages import Read, each
from tickhouse.feeds._rounds import Asking, one_by_one

SYMBOLS_A_BATCH = 100
STEP = timedelta(days=85)
"""An answer holds the 90 days of an economic series that end with the day asked for; a step back of less leaves no gap."""
SINGLE = {
    "quote": "quote", "quote_short": "quote-short", "aftermarket_quote": "aftermarket-quote",
    "aftermarket_trade": "aftermarket-trade",
}  # fmt: skip
"""Channel of quotes to its path."""
BATCHES = {f"batch_{channel}": f"batch-{path}" for channel, path in SINGLE.items()}
POLLED = (*SINGLE, *BATCHES, "economic")
HISTORY = ("historical", "historical_chart", "economic")
Params = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of the feed. `batch` asks for many symbols in one call, which needs a paid plan; `spellings` gives FMP's names
    of symbols where the rules do not. FMP's sockets are not used, so neither is `ws_url`."""

    channel: str = "quote"
    rest_url: str = "https://financialmodelingprep.com"
    ws_url: str = ""
    symbols: Sequence[str] = ()
    key: Secret | None = None
    batch: bool = False
    spellings: Mapping[str, str] = field(default_factory=dict)


class Fmp:
    """Financial Modeling Prep's stable API; what its old one said is understood too."""

    name = "fmp"
    about = About(
        "Financial Modeling Prep",
        "required",
        "equities",
        "FMP's terms of use; see them before showing data to others",
        ("*",),
    )
    channels: Mapping[str, str] = {
        "quote": "price and day of one symbol: `quote:AAPL`",
        "quote_short": "price of one symbol, without a time",
        "aftermarket_quote": "bid and ask of one symbol after hours; the price is their middle",
        "aftermarket_trade": "the last trade of one symbol after hours",
        "batch_quote": "price and day of many symbols; a paid plan",
        "batch_quote_short": "price of many symbols, without a time; a paid plan",
        "batch_aftermarket_quote": "bid and ask of many symbols after hours; a paid plan",
        "batch_aftermarket_trade": "the last trades of many symbols after hours; a paid plan",
        "historical": "bars of days: `historical:AAPL`",
        "historical_chart": "bars of minutes and hours: `historical_chart:AAPL:1m`; a paid plan",
        "economic": "an economic series: `economic:CPI`",
        "search": "symbols found by words",
    }
    ways = Ways((), POLLED, HISTORY, {"1d": "historical", **dict.fromkeys(CHARTS, "historical_chart")})
    ids = Ids.NONE
    pace = Pace(per_day=250)

    def __init__(self, options: Options) -> None:
        self.options = options
        self._names = Names(options.spellings)
        self._names.learn(options.symbols)

    @property
    def channel(self) -> str:
        """The live channel that is taken where the settings name none."""
        return self.options.channel

    def subscriptions(self, want: Want) -> list[Subscription]:
        """None: FMP is polled."""
        raise BadSetting("feeds.fmp.channel", want.channel, f"one of {', '.join(POLLED)}, which are polled")

    def poll(self, want: Want) -> Asking:
        """The present state of the symbols: one request each, or one for every hundred where batches may be used."""
        channel = want.channel or self.options.channel
        if channel not in POLLED:
            raise BadSetting("feeds.fmp.channel", channel, f"one of {', '.join(POLLED)}")
        self._names.learn(want.symbols)
        if channel == "economic":
            return one_by_one(want.symbols, self._indicator)
        if self.options.batch and channel in SINGLE:
            channel = f"batch_{channel}"
        if channel in BATCHES:
            return self._batches(channel, want.symbols)
        return one_by_one(want.symbols, lambda symbol: self._single(channel, symbol))

    def _single(self, channel: str, symbol: str) -> Asking:
        yield self._request(SINGLE[channel], f"{channel}:{symbol}", {"symbol": self._names.spelled(symbol)})

    def _batches(self, channel: str, symbols: Sequence[str]) -> Asking:
        for first in range(0, len(symbols), SYMBOLS_A_BATCH):
            part = symbols[first : first + SYMBOLS_A_BATCH]
            spelled = ",".join(self._names.spelled(symbol) for symbol in part)
            yield self._request(BATCHES[channel], channel, {"symbols": spelled})

    def history(self, want: Want) -> Asking:
        """Bars of days in one request a symbol, bars of a chart and economic series from the end back to the start.

        The interval is that of `historical_chart:5m` or of the option `interval`; without one it is days.
        """
        channel, _, interval = (want.channel or "historical").partition(":")
        interval = interval or want.options.get("interval", "1d" if channel == "historical" else "1m")
        if channel not in HISTORY:
            raise BadSetting("channel", want.channel, f"one of {', '.join(HISTORY)}")
        if channel != "economic" and interval not in ("1d", *CHARTS):
            raise BadSetting("interval", interval, f"one of {', '.join(('1d', *CHARTS))}")
        self._names.learn(want.symbols)
        first = None if want.start is None else day_of(want.start)
        last = None if want.end is None else day_of(want.end - 1)
        if want.start is not None and want.end is not None and want.start >= want.end:
            return one_by_one((), self._indicator)
        if channel == "economic":
            return one_by_one(want.symbols, lambda series: self._indicators(series, first, last))
        if interval == "1d":
            return one_by_one(want.symbols, lambda symbol: self._days(symbol, first, last))
        return one_by_one(want.symbols, lambda symbol: self._chart(symbol, interval, first, last))

    def cost(self, want: Want) -> Cost:
        """One call a symbol, and one more for each window of an economic series; how much a chart holds only its answers tell."""
        windows = 1
        if want.channel.startswith("economic") and want.start is not None and want.end is not None:
            windows = max(1, -(-(day_of(want.end - 1) - day_of(want.start)) // STEP))
        return Cost(windows * len(want.symbols), windows * len(want.symbols))

    def _days(self, symbol: str, first: date | None, last: date | None) -> Asking:
        params: Params = {"symbol": self._names.spelled(symbol), **_range(first, last)}
        yield self._request("historical-price-eod/full", f"historical:{symbol}", params)

    def _chart(self, symbol: str, interval: str, first: date | None, last: date | None) -> Asking:
        """An answer holds the newest days of the range that fit in; the next range ends before the oldest of them."""
        found = False
        while first is None or last is None or first <= last:
            params: Params = {"symbol": self._names.spelled(symbol), **_range(first, last)}
            channel = f"historical_chart:{symbol}:{interval}"
            try:
                answer = yield self._request(f"historical-chart/{CHARTS[interval]}", channel, params)
            except NoData:
                if found:
                    return
                raise
            oldest = _oldest(answer)
            if first is None or oldest is None or oldest <= first or (last is not None and oldest > last):
                return
            found, last = True, oldest - timedelta(days=1)

    def _indicators(self, series: str, first: date | None, last: date | None) -> Asking:
        """Windows of 90 days, newest first. One may well be empty: the date of a quarter is its first day."""
        empty: NoData | None = None
        found = False
        while True:
            try:
                answer = yield self._of_economy(series, {} if last is None else {"to": last.isoformat()})
                found, last = True, last or day_of(answer.received_at)
            except NoData as nothing:
                empty = nothing
            if first is None or last is None or last - STEP <= first:
                break
            last -= STEP
        if empty is not None and not found:
            raise empty

    def _indicator(self, series: str) -> Asking:
        yield self._of_economy(series, {})

    def _of_economy(self, series: str, params: Params) -> Request:
        name = self._names.spelled(series)
        return self._request("economic-indicators", f"economic:{series}", {"name": name, **params})

    def _request(self, path: str, channel: str, params: Params) -> Request:
        url, key = f"{self.options.rest_url.rstrip('/')}/stable/{path}", self.options.key
        return Request(url, channel, params, secret_params={"apikey": key} if key else {})

    def refill(self, hole: Hole) -> Asking:
        """Nothing: FMP has no trades, and so no ids."""
        raise NoData("FMP has no history by id; ask for bars of a range instead")

    def classify(self, answer: Answer) -> Exception | None:
        """The error that an answer stands for, None when it is data."""
        return classify(answer, paid=self.options.batch)

    def parse(self, raw: RawBatch) -> Parsed:
        """Quotes, bars of days and charts, and observations; the channel says which, and of what where it must."""
        return each(raw, self._reader(raw.channel))

    def _reader(self, channel: str) -> Read:
        name, _, rest = channel.partition(":")
        only, _, interval = rest.partition(":")
        if name in SINGLE or name in BATCHES:
            return Snapshots(self._names, only).read
        if name == "historical":
            return days(self._names, only)
        if name == "historical_chart":
            return chart(self._names, only, interval)
        if name == "economic":
            return Indicators(self._names, only).read
        return searched if name == "search" else refusing("unknown_channel", f"fmp has no channel {channel[:40]!r}")


def _range(first: date | None, last: date | None) -> Params:
    """The days of a range, both inclusive."""
    return {name: on.isoformat() for name, on in (("from", first), ("to", last)) if on is not None}


def _oldest(answer: Answer) -> date | None:
    """The day of the oldest row of a chart, None where none is to be seen."""
    try:
        rows = msgspec.json.decode(answer.body, type=list[_Dated])
        return min((date.fromisoformat(row.date[:10]) for row in rows), default=None)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


class _Dated(msgspec.Struct):
    date: str


def open(**options: Any) -> Fmp:
    """The feed of a section of the settings. Raises `BadSetting` for an option that is not of `Options`.

    >>> next(open(rest_url="http://127.0.0.1:9000").poll(Want(("BRK.B",), "quote"))).params
    {'symbol': 'BRK-B'}
    """
    known = [option.name for option in fields(Options)]
    for name, value in options.items():
        if name not in known:
            raise BadSetting(f"feeds.fmp.{name}", value, f"one of the options {', '.join(known)}")
    channel, batch = options.get("channel", "quote"), str(options.get("batch", "no")).lower()
    if channel not in POLLED:
        raise BadSetting("feeds.fmp.channel", channel, f"one of {', '.join(POLLED)}")
    if batch not in ("yes", "true", "no", "false"):
        raise BadSetting("feeds.fmp.batch", batch, "yes, with a paid plan, or no")
    symbols = options.get("symbols", ())
    listed = symbols.replace(",", " ").split() if isinstance(symbols, str) else symbols
    read = {
        "symbols": tuple(canonical(symbol) for symbol in listed),
        "batch": batch in ("yes", "true"),
        "key": secret(options.get("key")),
    }
    return Fmp(Options(**{**options, **read, "spellings": read_spellings(options.get("spellings", {}))}))
